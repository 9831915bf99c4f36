//! The console's limits, for the documents' tables.

pub(crate) use super::frames::{FRAME_MAX, FRAMES_MAX, TRACE_MAX, TRACED_MAX};
pub(crate) use super::views::ROWS;
pub(crate) use super::{KEPT, REFRESHED_MAX};
