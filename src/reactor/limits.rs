//! The loop's limits, for the test that compares the documents with them.

use super::deadlines::Kind;

pub(crate) use super::BROKER_BUDGET;
pub(crate) use super::admission::LINGERING_MAX;
pub(crate) use super::away::SILENT_REQUESTS;
pub(crate) use super::backlog::{BACKLOG_HIGH, BACKLOG_MAX, PATIENCE};
pub(crate) use super::broker::{CONNECT_TIMEOUT, OUTPUT_HIGH, OUTPUT_MAX, PACED_HIGH};
pub(crate) use super::clients::writing::{FLUSH_TIME, LONG};
pub(crate) use super::compression::{EXCESS_MAX, EXCESS_RATE, LENGTHS, TURN_BUDGET};
pub(crate) use super::drain::{ANSWERS, LAST_WORDS, LOST_TIME};
pub(crate) use super::events::WAIT_MAX;
pub(crate) use super::input::{MESSAGE_MAX, OUTPUT_BUDGET, PIPELINE_MAX, READ_MAX};
pub(crate) use super::link::{LOOK_UP_TIME, PAUSE_MAX, PAUSE_MIN, TOLD_MAX};
pub(crate) use super::monitor::{CONNECTIONS_MAX, IDLE_TIME, REQUEST_TIME};
pub(crate) use super::output::{HARD_LIMIT, SOFT_LIMIT, STALL_TIME, WRITE_MAX};
pub(crate) use super::pulse::INTERVAL_MIN;
pub(crate) use super::rotation::MAX_AGE_MIN;
pub(crate) use super::services::{VISIT, VISIT_BYTES};
pub(crate) use super::turn::{
    BUSY, CLIENTS, CONSOLE, HANDSHAKES, LEFT, LEFT_STEPS, NATS, Share, TIMERS, VISIT_STEPS,
    VISIT_UNITS,
};
pub(crate) use crate::tls::RECORD_MAX;

/// Milliseconds for the head of a request, and for a TLS handshake.
pub(crate) const HEAD_TIME: u64 = Kind::Head.duration();
/// Milliseconds for the body of a request.
pub(crate) const BODY_TIME: u64 = Kind::Body.duration();
/// Milliseconds that a kept connection may have no request.
pub(crate) const KEPT_TIME: u64 = Kind::Kept.duration();
/// Milliseconds that a last answer may stand still.
pub(crate) const LAST_TIME: u64 = Kind::Idle.duration();
/// Milliseconds for the close handshake of a WebSocket.
pub(crate) const CLOSE_TIME: u64 = Kind::Close.duration();
/// Milliseconds for the peer to end its side.
pub(crate) const LINGER_TIME: u64 = Kind::Linger.duration();
/// Milliseconds for the rest of a message.
pub(crate) const MESSAGE_TIME: u64 = Kind::Message.duration();
/// Milliseconds in which some of the waiting output must be read.
pub(crate) const UNREAD_TIME: u64 = Kind::Unread.duration();
