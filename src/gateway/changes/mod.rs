//! What services say of their resources: events, query events, resets.

mod drift;
mod events;
mod overflow;
mod query;
mod reset;
