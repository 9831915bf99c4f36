//! What connections ask, and what they are answered.

mod respond;
mod session;
mod tokens;
mod web;
mod web_json;
