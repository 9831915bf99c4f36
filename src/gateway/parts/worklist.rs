//! The worklist: consequences of an input, one after the other, none within another.

use crate::gateway::model::keys::{NameKey, SubKey, WaiterKey};

/// Something that follows from what was done.
pub enum Work {
    /// A subscription needs content.
    Load(SubKey),
    /// A request or event may have all that it waited for.
    Ready(WaiterKey),
    /// A subscription may go on with the events that wait.
    Pump(SubKey),
    /// A subscription's access was put in question.
    Reaccess(SubKey),
    /// A name's inputs may go on.
    Inbox(NameKey),
}
