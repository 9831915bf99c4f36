//! What is shipped beside the binary, read by the programs that it is for. A program that is
//! not installed is skipped with a word.

mod configuration;
mod monitoring;
mod shells;
mod systemd;
mod tools;
