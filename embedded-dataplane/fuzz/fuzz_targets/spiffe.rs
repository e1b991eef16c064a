#![no_main]

#[path = "../cases/spiffe.rs"]
mod spiffe;

libfuzzer_sys::fuzz_target!(|data: &[u8]| spiffe::run(data));
