//! The NATS client protocol, sans-I/O.
