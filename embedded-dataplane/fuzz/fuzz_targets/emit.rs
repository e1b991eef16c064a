#![no_main]

#[path = "../cases/emit.rs"]
mod emit;

libfuzzer_sys::fuzz_target!(|data: &[u8]| emit::run(data));
