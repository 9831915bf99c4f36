//! A request that is ready to be sent, and waits.

use super::keys::PendingKey;

/// How long a request without answer has a place in its service's window, in milliseconds.
pub(crate) const PLACE_TIME: u64 = 500;

/// A request that waits, for the broker or for its turn at a service.
#[derive(Debug)]
pub struct Parked {
    pub request: PendingKey,
    /// Its subject, and its payload behind it.
    text: Box<[u8]>,
    subject: usize,
    size: usize,
}

impl Parked {
    /// `text` has the subject, of the length `subject`, and the payload behind it.
    pub fn new(request: PendingKey, text: &[u8], subject: usize) -> Self {
        Self {
            request,
            text: text.into(),
            subject,
            size: text.len(),
        }
    }

    /// One that is written when it is its turn, and of which so many bytes wait until then.
    pub fn of_size(request: PendingKey, size: usize) -> Self {
        Self {
            request,
            text: Box::default(),
            subject: 0,
            size,
        }
    }

    pub fn subject(&self) -> &[u8] {
        &self.text[..self.subject]
    }

    pub fn payload(&self) -> &[u8] {
        &self.text[self.subject..]
    }

    /// Bytes that wait with it.
    pub fn size(&self) -> usize {
        self.size
    }
}
