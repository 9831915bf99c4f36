//! What services say of their resources: events, query events, resets.

mod drift;
mod events;
mod large;
mod query;
mod reset;

#[cfg(test)]
pub(crate) use events::{MAX_QUEUE, MAX_QUEUE_SIZE};
