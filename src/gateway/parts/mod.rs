//! The parts of the gateway: each keeps one kind of thing, with the rules that hold for it.
//! None knows another, and none knows the gateway.

pub mod background;
pub mod broker;
pub mod cache;
pub mod counters;
pub mod deprecated;
pub mod expansions;
pub mod haves;
pub mod holdings;
pub mod presence;
pub mod queues;
pub mod renewals;
pub mod requests;
pub mod sendings;
pub mod sessions;
pub mod texts;
pub mod throttle;
pub mod trees;
pub mod unsettled;
pub mod waiters;
pub mod warnings;
pub mod windows;
pub mod worklist;
