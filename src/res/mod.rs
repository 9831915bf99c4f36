//! The RES vocabulary, without I/O.
