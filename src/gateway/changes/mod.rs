//! What services say of their resources: events, query events, resets.

mod drift;
mod events;
mod large;
mod overflow;
mod query;
mod reset;
