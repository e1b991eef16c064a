#![no_main]

#[path = "../cases/editor.rs"]
mod editor;

libfuzzer_sys::fuzz_target!(|data: &[u8]| editor::run(data));
