//! The heart's limits, for the test that compares the documents with them.

pub(crate) use super::events::{MAX_QUEUE, MAX_QUEUE_SIZE};
pub(crate) use super::query::{MAX_INBOX, MAX_INBOX_SIZE};
pub(crate) use super::requests::{MAX_BACKGROUND, MAX_TIMEOUT};
pub(crate) use super::session::{MAX_IN_FLIGHT, MAX_WAITING};
pub(crate) use super::web_json::MAX_BODY;
