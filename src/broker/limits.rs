//! The broker's limits.

#[cfg(test)]
pub(crate) use super::permissions::REPLIES_MAX;
#[cfg(test)]
pub(crate) use super::protocol::CONTROL_LINE_MAX;
#[cfg(test)]
pub(crate) use super::users::{PATTERNS_MAX, USERS_MAX};

/// Other gateways of this host, at most.
pub(crate) const WORKERS: usize = 1_024;

/// Bytes that may wait for a client.
pub(crate) const PENDING_MAX: usize = 64 << 20;

/// Milliseconds in which some of what waits must leave.
pub(crate) const WRITE_TIME: u64 = 10_000;

/// Milliseconds for a client to show who it is, and for TLS.
pub(crate) const CONNECT_TIME: u64 = 2_000;

/// Milliseconds of silence after which a client is asked for a sign of life.
pub(crate) const PING_TIME: u64 = 120_000;

/// How often it may be asked without one.
pub(crate) const PINGS_MAX: u32 = 2;

/// Milliseconds between two looks at the deadlines of all clients, at least.
pub(crate) const LOOK_TIME: u64 = 250;

/// What the subscriptions of all clients may take in memory, about, and those of one.
pub(crate) const COST_MAX: usize = 256 << 20;
pub(crate) const COST_OF_ONE: usize = COST_MAX / 4;

/// What a subscription takes, and a token of its pattern, about.
pub(crate) const SUB_COST: usize = 160;
pub(crate) const TOKEN_COST: usize = 128;

/// Subscriptions that a message is delivered to before others have their turn, and bytes.
pub(crate) const FANOUT: usize = 1_024;
pub(crate) const FANOUT_BYTES: usize = 1 << 20;
