//! Values and keys: what the parts keep and hand to each other. Nothing in here knows a
//! table or the gateway.

pub mod answer;
pub mod arena;
pub mod border;
pub mod content;
pub mod delay;
pub mod diff;
pub mod event;
pub mod expansion;
pub mod few;
pub mod keys;
pub mod list;
pub mod outbox;
pub mod parked;
pub mod paths;
pub mod queue;
pub mod random;
pub mod rate;
pub mod references;
pub mod set;
pub mod sid;
pub mod slack;
pub mod slots;
pub mod table;
pub mod tag;
pub mod texts;
pub mod time;
pub mod update;
pub mod way;
