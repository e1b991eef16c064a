#![no_main]

#[path = "../cases/proxy_v2.rs"]
mod proxy_v2;

libfuzzer_sys::fuzz_target!(|data: &[u8]| proxy_v2::run(data));
