//! The poll loop: the only part that touches sockets, the clock and signals.
