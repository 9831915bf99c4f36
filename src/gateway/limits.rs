//! The heart's limits, for the test that compares the documents with them.

pub(crate) use super::model::parked::PLACE_TIME;
pub(crate) use super::model::queue::QueueLimits;
pub(crate) use super::parts::background::MAX_BACKGROUND;
pub(crate) use super::parts::cache::{MAX_INBOX, MAX_INBOX_SIZE, MAX_RESETS, MAX_RESETS_SIZE};
pub(crate) use super::parts::haves::{
    KEPT as HAD_FOR, MAX_KEPT as MAX_HAD, MAX_NAMED, MAX_NAMED_BYTES,
};
pub(crate) use super::parts::requests::MAX_TIMEOUT;
pub(crate) use super::parts::sessions::{MAX_IN_FLIGHT, MAX_WAITING};
pub(crate) use super::parts::warnings::{MAX_NAMES as MAX_WARNED_NAMES, PERIOD as WARNING_PERIOD};
pub(crate) use super::parts::windows::{
    WAITING_BYTES, WAITING_BYTES_ALL, WINDOW, WINDOW_MAX, WINDOW_MIN, WINDOW_SLOW,
};
