//! Answers of services, before they are read.

use crate::res::Error;
use std::borrow::Cow;

/// An answer's payload, or why there is none.
pub type Answer<'a> = Result<Cow<'a, [u8]>, Error>;
