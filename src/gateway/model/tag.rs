//! Tags: what content is compared by, without being sent.
//!
//! A tag is the first half of the SHA-256 of a text: the body of a web answer, or a resource
//! set. There is no seed in it, and the texts of equal content are equal (properties are in
//! order), so that every gateway has the same tag for the same content, also after a restart.
//! It is as long as it must be for nobody to find two texts with one tag: whoever may write a
//! resource must not be able to make another reader miss that.

use ring::digest::{Context, SHA256};
use std::fmt;

/// Bytes of a tag.
const LENGTH: usize = 16;

/// Bytes of text that cost a work unit.
pub const HASHED: usize = 256;

/// What a text is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag([u8; LENGTH]);

impl Tag {
    /// Length of a tag as a text.
    pub const TEXT: usize = 2 * LENGTH;

    /// The tag of a text.
    pub fn of(text: &[u8]) -> Self {
        let mut tagging = Tagging::default();
        tagging.context.update(text);
        tagging.finish()
    }

    /// Reads a tag as [`text`](Self::text) gives it; `None` for a text that none has.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; LENGTH];
        if text.len() != Self::TEXT {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// The tag as hexadecimal digits.
    pub fn text(self) -> [u8; Self::TEXT] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0; Self::TEXT];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        text
    }
}

/// The tag of a text that may be too long for one turn.
pub struct Tagging {
    context: Context,
    done: usize,
}

impl Default for Tagging {
    fn default() -> Self {
        Self {
            context: Context::new(&SHA256),
            done: 0,
        }
    }
}

impl Tagging {
    /// Goes on with a text, always the same one, and takes what it used off the work units.
    /// Gives the tag at the end.
    pub fn step(&mut self, text: &[u8], units: &mut usize) -> Option<Tag> {
        let rest = &text[self.done.min(text.len())..];
        let most = units.saturating_mul(HASHED).max(HASHED);
        let part = &rest[..rest.len().min(most)];
        self.context.update(part);
        self.done += part.len();
        *units = units.saturating_sub(part.len() / HASHED);
        (part.len() == rest.len()).then(|| std::mem::take(self).finish())
    }

    fn finish(self) -> Tag {
        let digest = self.context.finish();
        let mut bytes = [0; LENGTH];
        bytes.copy_from_slice(&digest.as_ref()[..LENGTH]);
        Tag(bytes)
    }
}

impl fmt::Debug for Tagging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tagging({} bytes)", self.done)
    }
}

/// What a client has already of what it asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Have {
    /// Nothing that it says.
    #[default]
    Nothing,
    /// Whatever there is.
    Anything,
    /// Content with one of these tags.
    Tagged(Box<[Tag]>),
}

impl Have {
    /// Whether the client has the content with this tag.
    pub fn covers(&self, tag: Tag) -> bool {
        match self {
            Self::Nothing => false,
            Self::Anything => true,
            Self::Tagged(tags) => tags.contains(&tag),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What SHA-256 gives for a text is known (FIPS 180-4), and must never change here: others
    /// have tags of it.
    #[test]
    fn a_tag_is_half_of_the_hash_of_the_text() {
        let text = "ba7816bf8f01cfea414140de5dae2223";
        let tag = Tag::of(b"abc");
        assert_eq!(tag.text(), *text.as_bytes());
        assert_eq!(Tag::parse(text.as_bytes()), Some(tag));
        for text in ["", "abc", "BA7816BF8F01CFEA414140DE5DAE2223", &text[1..]] {
            assert_eq!(Tag::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_tag_is_the_same_in_many_turns() {
        for length in [0, 1, HASHED - 1, HASHED, 10 * HASHED + 7] {
            let text = vec![b'x'; length];
            let (mut tagging, mut turns) = (Tagging::default(), 1);
            let tag = loop {
                let mut units = 3;
                if let Some(tag) = tagging.step(&text, &mut units) {
                    break tag;
                }
                assert_eq!(units, 0);
                turns += 1;
            };
            assert_eq!(tag, Tag::of(&text));
            assert_eq!(turns, length.div_ceil(3 * HASHED).max(1), "{length}");
        }
    }
}
