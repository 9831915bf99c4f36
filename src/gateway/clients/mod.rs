//! What connections ask, and what they are answered.

mod notes;
mod poll;
mod respond;
mod session;
mod stream;
mod tokens;
mod web;
mod web_json;
