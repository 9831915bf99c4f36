//! What services are asked, and what is done with their answers.

mod access;
mod calls;
mod requests;
mod trees;
