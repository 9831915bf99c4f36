//! Where a request's body ends (RFC 9112, 6) and, if it is chunked, how to decode it.

use std::ops::Range;

use super::fields::{self, Lines};
use super::head::Version;
use super::request::{Limits, RequestError};

/// Bytes of a line with a chunk's size, extensions included. They are ignored, so there
/// is no reason to take many.
const SIZE_LINE_MAX: usize = 256;

/// What the head says of the length of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// As many bytes; no body is none.
    Length(u64),
    /// Chunks, until one is empty.
    Chunked,
}

impl Framing {
    /// Reads the two fields that frame a body. What recipients could understand
    /// differently is refused, since that is how requests are smuggled.
    pub(super) fn of(
        coding: Lines<'_>,
        length: Lines<'_>,
        version: Version,
    ) -> Result<Self, RequestError> {
        match (coding, length) {
            (Lines::Missing, Lines::Missing) => Ok(Self::Length(0)),
            (Lines::Missing, Lines::One(length)) => parse_length(length).map(Self::Length),
            (Lines::Missing, Lines::Many) => Err(RequestError::ContentLength),
            (Lines::One(coding), Lines::Missing) if version == Version::Http11 => {
                check_coding(coding).map(|()| Self::Chunked)
            }
            _ => Err(RequestError::TransferEncoding),
        }
    }
}

fn parse_length(value: &[u8]) -> Result<u64, RequestError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(RequestError::ContentLength);
    }
    // What does not fit is certainly above every limit.
    Ok(value.iter().fold(0u64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

fn check_coding(value: &[u8]) -> Result<(), RequestError> {
    let mut after_chunked = false;
    let mut is_chunked = false;
    let mut count = 0;
    for coding in fields::list(value) {
        after_chunked |= is_chunked;
        is_chunked = coding.eq_ignore_ascii_case(b"chunked");
        count += 1;
        if coding.is_empty() {
            return Err(RequestError::TransferEncoding);
        }
    }
    match (after_chunked, is_chunked && count == 1) {
        (true, _) => Err(RequestError::TransferEncoding),
        (false, true) => Ok(()),
        (false, false) => Err(RequestError::Coding),
    }
}

/// A body on its way in.
///
/// It stands right behind the head. The data of a chunked body are moved together
/// there as they come, so that the body ends as one slice, and the bytes that framed it
/// never pile up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Body {
    /// Body bytes in place.
    length: usize,
    /// Buffer bytes behind the head that are done with; behind `length` if the last
    /// input held framing.
    spent: usize,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Length(usize),
    Chunked(Chunks),
}

impl Body {
    pub(super) fn new(framing: Framing, limits: &Limits) -> Result<Self, RequestError> {
        let kind = match framing {
            Framing::Chunked => Kind::Chunked(Chunks::default()),
            Framing::Length(length) => match usize::try_from(length) {
                Ok(length) if length <= limits.body => Kind::Length(length),
                _ => return Err(RequestError::BodyTooLarge),
            },
        };
        Ok(Self {
            length: 0,
            spent: 0,
            kind,
        })
    }

    /// Takes what is in the buffer behind the head; `true` when the body is complete.
    pub(super) fn advance(
        &mut self,
        buffer: &mut [u8],
        head_end: usize,
        limits: &Limits,
    ) -> Result<bool, RequestError> {
        let Some(input) = buffer.get_mut(head_end..) else {
            return Ok(false);
        };
        match &mut self.kind {
            Kind::Length(length) => {
                self.length = input.len().min(*length);
                self.spent = self.length;
                Ok(self.length == *length)
            }
            Kind::Chunked(chunks) => {
                self.spent = self.length;
                while chunks.state != ChunkState::Done && self.spent < input.len() {
                    if chunks.state == ChunkState::Data {
                        let taken = chunks.remaining.min(input.len() - self.spent);
                        input.copy_within(self.spent..self.spent + taken, self.length);
                        self.spent += taken;
                        self.length += taken;
                        chunks.take(taken);
                    } else {
                        let space = limits.body.saturating_sub(self.length);
                        chunks.framing_byte(input[self.spent], space, limits)?;
                        self.spent += 1;
                    }
                }
                Ok(chunks.state == ChunkState::Done)
            }
        }
    }

    /// How much of a buffer of this length is still needed while the body is partial.
    pub(super) fn keep(&self, head_end: usize, buffer_length: usize) -> usize {
        match self.kind {
            Kind::Length(_) => buffer_length,
            Kind::Chunked(_) => head_end + self.length,
        }
    }

    /// Where the complete body stands in the buffer, and where the next request begins.
    pub(super) fn finish(&self, head_end: usize) -> (Range<usize>, usize) {
        (head_end..head_end + self.length, head_end + self.spent)
    }
}

/// The decoder of a chunked body (RFC 9112, 7.1), between two bytes.
#[derive(Clone, Copy, Debug, Default)]
struct Chunks {
    state: ChunkState,
    /// Size of the chunk as far as it is read, then the data bytes still to come.
    remaining: usize,
    /// Bytes of the current size line, or of the trailers.
    line: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkState {
    /// Before the first digit of a size.
    #[default]
    Size,
    /// Behind a digit.
    Digits,
    /// In white space behind the digits, which only an extension may follow.
    Space,
    /// In extensions.
    Extension,
    /// Behind the CR of a size line.
    SizeEnd,
    /// In data.
    Data,
    /// Behind data, before CR.
    DataCr,
    /// Behind data and CR.
    DataLf,
    /// At the beginning of a trailer line or of the empty line behind them.
    Trailer,
    /// In the name of a trailer field.
    TrailerName,
    /// In the value of a trailer field.
    TrailerValue,
    /// Behind the CR of a trailer line.
    TrailerEnd,
    /// Behind the last CR.
    LastLf,
    Done,
}

impl Chunks {
    /// Takes data bytes of the current chunk.
    fn take(&mut self, count: usize) {
        self.remaining -= count;
        if self.remaining == 0 {
            self.state = ChunkState::DataCr;
        }
    }

    /// Takes a byte that is not data. `space` is how many body bytes may still come.
    fn framing_byte(
        &mut self,
        byte: u8,
        space: usize,
        limits: &Limits,
    ) -> Result<(), RequestError> {
        use ChunkState as S;
        self.line += 1;
        self.state = match (self.state, byte) {
            (S::Size | S::Digits, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).unwrap_or_default() as usize;
                self.remaining = self.remaining.saturating_mul(16).saturating_add(digit);
                if self.remaining > space {
                    return Err(RequestError::BodyTooLarge);
                }
                S::Digits
            }
            (S::Digits | S::Space, b' ' | b'\t') => S::Space,
            (S::Digits | S::Space, b';') => S::Extension,
            (S::Digits | S::Extension, b'\r') => S::SizeEnd,
            (S::Extension, _) if fields::is_value_byte(byte) => S::Extension,
            (S::SizeEnd, b'\n') => {
                self.line = 0;
                match self.remaining {
                    0 => S::Trailer,
                    _ => S::Data,
                }
            }
            (S::DataCr, b'\r') => S::DataLf,
            (S::DataLf, b'\n') => {
                self.line = 0;
                S::Size
            }
            (S::Trailer, b'\r') => S::LastLf,
            (S::Trailer | S::TrailerName, _) if fields::is_token_byte(byte) => S::TrailerName,
            (S::TrailerName, b':') => S::TrailerValue,
            (S::TrailerValue, b'\r') => S::TrailerEnd,
            (S::TrailerValue, _) if fields::is_value_byte(byte) => S::TrailerValue,
            (S::TrailerEnd, b'\n') => S::Trailer,
            (S::LastLf, b'\n') => S::Done,
            _ => return Err(RequestError::Chunk),
        };
        match self.state {
            S::Digits | S::Space | S::Extension if self.line > SIZE_LINE_MAX => {
                Err(RequestError::Chunk)
            }
            S::Trailer | S::TrailerName | S::TrailerValue if self.line > limits.head => {
                Err(RequestError::HeadTooLarge)
            }
            _ => Ok(()),
        }
    }
}
