//! The binary: arguments, configuration, logging, run, exit codes.

fn main() {}
