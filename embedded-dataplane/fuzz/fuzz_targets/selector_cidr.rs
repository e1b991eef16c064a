#![no_main]

#[path = "../cases/selector_cidr.rs"]
mod selector_cidr;

libfuzzer_sys::fuzz_target!(|data: &[u8]| selector_cidr::run(data));
