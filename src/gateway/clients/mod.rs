//! What connections ask, and what they are answered.

mod notes;
mod respond;
mod session;
mod tokens;
mod web;
mod web_json;
