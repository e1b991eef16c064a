#![no_main]

#[path = "../cases/revocations.rs"]
mod revocations;

libfuzzer_sys::fuzz_target!(|data: &[u8]| revocations::run(data));
