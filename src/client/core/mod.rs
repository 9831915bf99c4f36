//! What needs no socket, no clock and no file: the command line, addresses, the client's
//! side of the RES protocol, the resources that a client holds, and how all that is shown.

pub mod address;
pub mod args;
pub mod error;
pub mod help;
pub mod lines;
pub mod messages;
pub mod print;
pub mod resources;
pub mod zone;
