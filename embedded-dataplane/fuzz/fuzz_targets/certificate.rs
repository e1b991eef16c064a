#![no_main]

#[path = "../cases/certificate.rs"]
mod certificate;

libfuzzer_sys::fuzz_target!(|data: &[u8]| certificate::run(data));
