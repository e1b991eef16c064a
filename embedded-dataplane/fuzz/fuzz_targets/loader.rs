#![no_main]

#[path = "../cases/loader.rs"]
mod loader;

libfuzzer_sys::fuzz_target!(|data: &[u8]| loader::run(data));
