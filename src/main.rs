//! The `kubectl-ambient` binary.

fn main() {}
