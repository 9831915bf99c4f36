//! The poll loop: the only part that touches sockets, the clock and signals.

use std::convert::Infallible;

use crate::config::Config;

/// Runs the gateway until it is told to stop.
///
/// # Errors
/// None yet.
pub fn run(_config: &Config) -> Result<(), Infallible> {
    Ok(())
}
