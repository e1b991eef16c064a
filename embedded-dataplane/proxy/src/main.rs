//! The program: see the library of the same name.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    ambient_proxy::run()
}
