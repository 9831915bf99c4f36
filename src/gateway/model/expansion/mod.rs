//! Resources as the web sees them: JSON with what is referenced nested in it.
//!
//! In the `json` encoding a referenced resource is an object with its address and its
//! content; in `jsonflat` it is the content alone. Soft references, and references to
//! what is being encoded further out, are the address alone.
//!
//! It takes three steps, each of which can be cut anywhere: the resources are read, each
//! once ([`Tree`]); the size of what they expand to is counted ([`Count`]); and only what
//! is not too large is put together ([`Assembly`]). A graph of references can double at
//! each level, or have more paths than can be walked: what is read is no larger than what
//! it expands to, and the count stops where a limit is passed.

mod assembly;
mod count;
#[cfg(test)]
mod tests;
mod tree;

pub use assembly::Assembly;
pub use count::{Count, Size};
pub use tree::{Followed, Tree};

use super::keys::AliasKey;
use super::outbox::Message;
use super::tag::Tag;
use crate::res::Error;
use std::rc::Rc;

/// What an answer may be expanded to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Resources, each counted as often as it is nested.
    pub resources: u64,
    /// Bytes of the body.
    pub bytes: u64,
}

/// The limit that an expansion passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLarge {
    Resources(u64),
    Bytes(u64),
}

impl TooLarge {
    /// What the client is told.
    pub fn error(self) -> Error {
        let (what, option) = match self {
            Self::Resources(limit) => (format!("{limit} nested resources"), "apiMaxResources"),
            Self::Bytes(limit) => (format!("{limit} bytes"), "apiMaxBytes"),
        };
        Error::internal(format!(
            "the resource with its references is too large: more than {what} ({option}); \
             ask for a part of it, or over WebSocket, which has each resource once"
        ))
    }
}

/// How resources are encoded.
#[derive(Clone, Copy, Debug)]
pub struct Form<'f> {
    /// Whether references are left out where the resource stands.
    pub is_flat: bool,
    /// What addresses begin with.
    pub api_path: &'f str,
}

/// What became of an expansion.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The body, and its tag.
    Body(Rc<Message>, Tag),
    TooLarge(TooLarge),
}

/// An outcome, and all that it depends on.
#[derive(Debug)]
pub struct Known {
    /// The resources that were read, and their versions.
    pub parts: Box<[(AliasKey, u64)]>,
    pub outcome: Outcome,
}

impl Known {
    /// Bytes that it keeps.
    pub fn size(&self) -> usize {
        let text = match &self.outcome {
            Outcome::Body(body, _) => body.text().len(),
            Outcome::TooLarge(_) => 0,
        };
        size_of_val(&*self.parts) + text
    }
}

/// What a reference is replaced by, where it is not left out: the address and the member
/// that has the content.
fn wrapping(is_flat: bool, head: usize, member: &str) -> u64 {
    match is_flat {
        true => 0,
        false => (head + member.len() + END.len()) as u64,
    }
}

/// The end of an object that names a resource.
const END: &[u8] = b"}";
