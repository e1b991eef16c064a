#![no_main]

#[path = "../cases/baggage.rs"]
mod baggage;

libfuzzer_sys::fuzz_target!(|data: &[u8]| baggage::run(data));
