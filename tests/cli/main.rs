//! The binary as its users see it: exit code, standard output and standard error of whole runs.

mod harness;

mod general;
mod migrate;
