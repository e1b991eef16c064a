#![no_main]

#[path = "../cases/administration.rs"]
mod administration;

libfuzzer_sys::fuzz_target!(|data: &[u8]| administration::run(data));
