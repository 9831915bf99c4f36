//! Texts that are short, most of them: names of properties, numbers, titles.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

/// Bytes that are kept in place.
const SHORT: usize = 22;

/// A text that is kept in place if it has no more than 22 bytes, and shared otherwise. So
/// most values cost no allocation, and nothing has to be fetched from elsewhere in memory to
/// compare or write them.
///
/// It cannot be changed, and is as cheap to clone as a pointer.
#[derive(Clone)]
pub struct Text(Form);

#[derive(Clone)]
enum Form {
    Short { length: u8, bytes: [u8; SHORT] },
    Long(Rc<str>),
}

impl Text {
    /// The text's bytes, which are UTF-8. They cost nothing to get, while `str` has to be
    /// checked again.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Short { length, bytes } => &bytes[..usize::from(*length)],
            Form::Long(text) => text.as_bytes(),
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        Self(match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Form::Short {
                    length: text.len() as u8,
                    bytes,
                }
            }
            None => Form::Long(text.into()),
        })
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        match &self.0 {
            // It was made of a text, so it is one.
            Form::Short { .. } => str::from_utf8(self.as_bytes()).unwrap_or_default(),
            Form::Long(text) => text,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Text {}

/// The order of `str`, which is that of the bytes.
impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_texts_of_any_length() {
        for length in 0..60 {
            let text = "é2x4".repeat(15);
            let Some(text) = text.get(..length) else {
                continue;
            };
            assert_eq!(&*Text::from(text), text);
            assert_eq!(Text::from(text).as_bytes(), text.as_bytes());
            assert_eq!(Text::from(text).clone(), Text::from(text));
            assert_ne!(Text::from(text), Text::from(&*format!("{text}\0")));
        }
    }

    #[test]
    fn is_ordered_as_other_texts_are() {
        let long = "a".repeat(SHORT + 1);
        let texts = ["", "a", "a\0", "ab", "b", "é", "z", &long, "a\u{10000}"];
        for a in texts {
            for b in texts {
                assert_eq!(Text::from(a).cmp(&Text::from(b)), a.cmp(b), "{a} {b}");
            }
        }
    }

    #[test]
    fn is_no_larger_than_three_words() {
        assert_eq!(size_of::<Text>(), 24);
    }
}
