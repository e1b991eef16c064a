#![no_main]

#[path = "../cases/authority.rs"]
mod authority;

libfuzzer_sys::fuzz_target!(|data: &[u8]| authority::run(data));
