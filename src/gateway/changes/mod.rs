//! What services say of their resources: events, query events, resets.

mod events;
mod query;
mod reset;
