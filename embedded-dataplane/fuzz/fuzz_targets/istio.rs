#![no_main]

#[path = "../cases/istio.rs"]
mod istio;

libfuzzer_sys::fuzz_target!(|data: &[u8]| istio::run(data));
