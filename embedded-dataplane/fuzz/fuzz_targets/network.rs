#![no_main]

#[path = "../cases/network.rs"]
mod network;

libfuzzer_sys::fuzz_target!(|data: &[u8]| network::run(data));
