//! What connections ask, and what they are answered.

mod encode;
mod session;
mod tokens;
mod web;
mod web_json;
