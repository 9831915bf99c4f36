//! What services are asked, and what is done with their answers.

mod access;
mod broker;
mod calls;
mod presence;
mod requests;
mod trees;
mod windows;
