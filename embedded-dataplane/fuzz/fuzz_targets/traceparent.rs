#![no_main]

#[path = "../cases/traceparent.rs"]
mod traceparent;

libfuzzer_sys::fuzz_target!(|data: &[u8]| traceparent::run(data));
