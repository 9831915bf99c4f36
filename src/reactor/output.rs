//! What waits to be written to one connection.
//!
//! Messages are shared between the queues of all clients that get them, and so are the
//! bodies of answers. A queue holds a pointer each; what stands around them, and an
//! answer's tail, is made when they are written. Small pieces are copied together and
//! leave in one system call, large ones leave from where they are.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::rc::Rc;

use super::deadlines::Timer;
use super::framing::{Envelope, HEADER_MAX, TRAILER_MAX};
use super::streak::Frames;
use crate::gateway::{InQueues, Message, SharedAnswer, Time};

/// Waiting bytes at which nothing more is queued and the connection is given up.
pub(crate) const HARD_LIMIT: usize = 64 << 20;

/// Waiting bytes that may not stand still for [`STALL_TIME`].
pub(crate) const SOFT_LIMIT: usize = 8 << 20;

/// Milliseconds from a write that the socket did not take for which more than
/// [`SOFT_LIMIT`] may wait without one byte leaving.
pub(crate) const STALL_TIME: u64 = 10_000;

/// What a piece costs beside its bytes: its place in the queue, and its allocation.
/// Without it a client that never reads could hold a hundred times the limit in
/// answers of two bytes.
const PIECE_COST: usize = 48;

/// Pieces from this size on are written from where they are, not copied.
const LARGE: usize = 16 << 10;

/// Bytes that are copied together for one system call.
const COPY_MAX: usize = 128 << 10;

/// Bytes offered to one system call, so that one connection cannot hold up the others.
pub(crate) const WRITE_MAX: usize = 1 << 20;

/// Slices of one vectored write; more would only grow the kernel's own copy.
const SLICES: usize = 64;

/// Those that a piece needs at most: what is before its body, the body in place, what is
/// behind it.
const PIECE_PARTS: usize = 3;

/// One piece of output.
#[derive(Debug)]
pub(super) enum Piece {
    /// A message, and what it leaves in.
    Message(Rc<Message>, Envelope),
    /// An answer, and what it leaves in.
    Answer(SharedAnswer, Envelope),
    /// Frames that other connections are sent too, and how many of their bytes the queue
    /// has counted: while this is its last piece they may grow.
    Streak(Rc<Frames>, u32),
    /// The body of an HTTP answer that other connections are sent too.
    Shared(Rc<Message>),
    /// Bytes as they are: HTTP answers, control frames.
    Bytes(Box<[u8]>),
}

impl Piece {
    /// Frames that other connections are sent too.
    pub(super) fn streak(frames: Rc<Frames>) -> Self {
        let counted = frames.len() as u32;
        Piece::Streak(frames, counted)
    }

    /// What stands before the body.
    fn header<'r>(&self, room: &'r mut [u8; HEADER_MAX]) -> &'r [u8] {
        match self {
            Piece::Message(_, envelope) => {
                envelope.header(self.body().len() + envelope.trailer_len(0), room)
            }
            Piece::Answer(answer, envelope) => {
                let trailer = envelope.trailer_len(answer.tail_len());
                envelope.header(self.body().len() + trailer, room)
            }
            Piece::Streak(..) | Piece::Shared(_) | Piece::Bytes(_) => &[],
        }
    }

    fn body(&self) -> &[u8] {
        match self {
            Piece::Message(message, envelope) => envelope.body(message),
            Piece::Answer(answer, envelope) => envelope.body(answer.body()),
            Piece::Streak(frames, _) => frames.bytes(),
            Piece::Shared(text) => text.text(),
            Piece::Bytes(bytes) => bytes,
        }
    }

    /// What stands behind the body.
    fn trailer<'r>(&self, room: &'r mut [u8; TRAILER_MAX]) -> &'r [u8] {
        match self {
            Piece::Message(_, envelope) => envelope.trailer(&[], room),
            Piece::Answer(answer, envelope) => {
                envelope.trailer(answer.tail(&mut [0; SharedAnswer::TAIL_MAX]), room)
            }
            Piece::Streak(..) | Piece::Shared(_) | Piece::Bytes(_) => &[],
        }
    }

    /// What is counted of its memory: where, if other queues may have it too, and how much.
    fn memory(&self) -> (Option<&InQueues>, usize) {
        match self {
            Piece::Message(message, _) => (Some(message.in_queues()), message.memory()),
            Piece::Shared(text) => (Some(text.in_queues()), text.memory()),
            Piece::Answer(answer, _) => (Some(answer.body().in_queues()), answer.body().memory()),
            Piece::Streak(frames, _) => (Some(frames.in_queues()), frames.len()),
            Piece::Bytes(bytes) => (None, bytes.len()),
        }
    }

    /// Stands in a queue from now on: the memory that queues hold more.
    fn enter(&self) -> usize {
        match self.memory() {
            (Some(shared), bytes) => shared.enter(bytes),
            (None, bytes) => bytes,
        }
    }

    /// Stands in a queue no longer: the memory that queues hold less.
    fn leave(&self) -> usize {
        match self.memory() {
            (Some(shared), _) => shared.leave(),
            (None, bytes) => bytes,
        }
    }

    /// Bytes on the wire.
    #[inline]
    pub(super) fn len(&self) -> usize {
        match self {
            Piece::Message(message, envelope) => envelope.len(envelope.body(message).len(), 0),
            Piece::Answer(answer, envelope) => {
                envelope.len(envelope.body(answer.body()).len(), answer.tail_len())
            }
            // Not by its body, which would end its growth.
            Piece::Streak(frames, _) => frames.len(),
            Piece::Shared(text) => text.text().len(),
            Piece::Bytes(bytes) => bytes.len(),
        }
    }
}

/// What is left of some bytes behind the offset, which shrinks by what is left out.
fn behind<'b>(bytes: &'b [u8], offset: &mut usize) -> &'b [u8] {
    let written = bytes.len().min(*offset);
    *offset -= written;
    &bytes[written..]
}

/// Makes a system call until it was not interrupted.
fn until_done(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// How a write ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing waits any more.
    All,
    /// More waits, and the socket would take more.
    Some,
    /// The socket takes no more for now.
    Blocked,
}

/// A range of what one system call gets.
#[derive(Clone, Copy)]
enum Part {
    /// From the scratch buffer.
    Copied { start: usize, end: usize },
    /// From a piece's body.
    InPlace {
        piece: usize,
        start: usize,
        end: usize,
    },
}

/// Puts what was copied between two places of the scratch buffer behind the other parts.
fn list_copied(parts: &mut [Part], count: &mut usize, start: &mut usize, end: usize) {
    if *start == end {
        return;
    }
    match count.checked_sub(1).map(|last| &mut parts[last]) {
        Some(Part::Copied { end: last, .. }) => *last = end,
        _ => {
            parts[*count] = Part::Copied { start: *start, end };
            *count += 1;
        }
    }
    *start = end;
}

/// The queue of one connection, with a cursor into its first piece.
#[derive(Debug, Default)]
pub(super) struct Output {
    pieces: VecDeque<Piece>,
    /// Bytes of the first piece that were written.
    offset: usize,
    /// Bytes that wait.
    bytes: usize,
    /// When a byte last left, or the queue was last empty.
    progress: Time,
    /// When the socket first took no more since then. Until a write has shown that, it is
    /// not the reader who is slow.
    blocked: Option<Time>,
    /// Of `bytes`, about those which no other queue held before.
    own: usize,
    /// By how much the memory of all queues has grown and not been asked for yet.
    change: isize,
    /// Of `own`, those that the reactor counts as work to be done.
    pub(super) fresh: usize,
    /// Whether the reactor counts it among the queues that are long though their sockets may
    /// take more.
    pub(super) long: bool,
    /// Whether the reactor's list of possibly slow clients names the connection.
    pub(super) watched: bool,
    /// The time for some of it to be read.
    pub(super) timer: Timer,
}

impl Output {
    /// Adds a piece and returns its length in bytes.
    pub(super) fn push(&mut self, piece: Piece, now: Time) -> usize {
        self.count_streak();
        let len = piece.len();
        if self.pieces.is_empty() {
            self.note_progress(now);
        }
        if len > 0 {
            let memory = piece.enter();
            self.own += memory;
            self.change += (memory + PIECE_COST) as isize;
            self.pieces.push_back(piece);
            self.bytes += len;
        }
        len
    }

    /// Bytes that wait and that no other queue held before.
    pub(super) fn own(&self) -> usize {
        self.own
    }

    /// By how much the memory of all queues has changed since this was called last.
    pub(super) fn take_change(&mut self) -> isize {
        std::mem::take(&mut self.change)
    }

    /// Drops pieces, as many as are given at most; whether nothing is left.
    pub(super) fn drop_pieces(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some(piece) = self.pieces.pop_back() else {
                break;
            };
            self.change -= (piece.leave() + PIECE_COST) as isize;
        }
        self.pieces.is_empty()
    }

    /// Pieces that wait.
    pub(super) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        let uncounted = match self.pieces.back() {
            Some(Piece::Streak(frames, counted)) => frames.len() - *counted as usize,
            _ => 0,
        };
        self.bytes + uncounted
    }

    /// Counts what the streak at the end of the queue has grown by.
    fn count_streak(&mut self) {
        self.bytes = self.bytes();
        if let Some(Piece::Streak(frames, counted)) = self.pieces.back_mut() {
            *counted = frames.len() as u32;
            let grown = frames.in_queues().grow(frames.len());
            self.own += grown;
            self.change += grown as isize;
        }
    }

    /// What the queue holds in memory, in bytes: the measure of the limits.
    pub(super) fn cost(&self) -> usize {
        self.bytes() + self.pieces.len() * PIECE_COST
    }

    /// When a byte last left, or the queue was last empty.
    pub(super) fn progress(&self) -> Time {
        self.progress
    }

    /// Notes that bytes leave, be it such that the queue has given away before.
    pub(super) fn note_progress(&mut self, now: Time) {
        self.progress = now;
        self.blocked = None;
    }

    /// Notes that the socket takes no more.
    pub(super) fn note_blocked(&mut self, now: Time) {
        self.blocked.get_or_insert(now);
    }

    /// Room for pieces that is kept while the queue is empty.
    pub(super) fn capacity(&self) -> usize {
        self.pieces.capacity()
    }

    /// Whether the reader is too slow to be kept. The piece that is being written does
    /// not count: one large answer alone is no sign of a slow reader.
    pub(super) fn is_stalled(&self, now: Time) -> bool {
        let current = self
            .pieces
            .front()
            .map_or(0, |piece| piece.len() - self.offset + PIECE_COST);
        let is_still = |since: Time| now.0.saturating_sub(since.0) >= STALL_TIME;
        self.cost() - current > SOFT_LIMIT && self.blocked.is_some_and(is_still)
    }

    /// Makes at most one successful write. `scratch` is any buffer, used for copying.
    ///
    /// # Errors
    ///
    /// The socket's, except that an interrupted call is made again.
    pub(super) fn write_to(
        &mut self,
        socket: &mut impl Write,
        scratch: &mut Vec<u8>,
        now: Time,
    ) -> io::Result<Written> {
        if self.pieces.is_empty() {
            return Ok(Written::All);
        }
        self.count_streak();
        let outcome = match self.pieces.front() {
            // What leaves alone need be put together with nothing.
            Some(Piece::Streak(frames, _)) if self.pieces.len() == 1 => {
                let rest = &frames.bytes()[self.offset..];
                let rest = &rest[..rest.len().min(WRITE_MAX)];
                until_done(|| socket.write(rest)).map(|written| (written, rest.len()))
            }
            _ => self.write_gathered(socket, scratch),
        };
        let (written, offered) = match outcome {
            Ok((0, _)) => return Err(ErrorKind::WriteZero.into()),
            Ok(outcome) => outcome,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.note_blocked(now);
                return Ok(Written::Blocked);
            }
            Err(error) => return Err(error),
        };
        self.advance(written.min(offered));
        self.own = self.own.min(self.bytes);
        self.note_progress(now);
        Ok(if self.pieces.is_empty() {
            Written::All
        } else if written < offered {
            self.note_blocked(now);
            Written::Blocked
        } else {
            Written::Some
        })
    }

    /// Writes once what several pieces have: how many bytes were taken, of how many.
    fn write_gathered(
        &self,
        socket: &mut impl Write,
        scratch: &mut Vec<u8>,
    ) -> io::Result<(usize, usize)> {
        const NONE: Part = Part::Copied { start: 0, end: 0 };
        let (mut few, mut many);
        let parts = match self.pieces.len() {
            1 => {
                few = [NONE; PIECE_PARTS];
                &mut few[..]
            }
            _ => {
                many = [NONE; SLICES];
                &mut many[..]
            }
        };
        let (count, offered) = self.gather(parts, scratch);
        let written = until_done(|| match parts[..count] {
            [Part::Copied { start, end }] => socket.write(&scratch[start..end]),
            [Part::InPlace { piece, start, end }] => {
                socket.write(&self.pieces[piece].body()[start..end])
            }
            _ => {
                let mut slices = [IoSlice::new(&[]); SLICES];
                for (slice, part) in slices.iter_mut().zip(&parts[..count]) {
                    *slice = IoSlice::new(match *part {
                        Part::Copied { start, end } => &scratch[start..end],
                        Part::InPlace { piece, start, end } => {
                            &self.pieces[piece].body()[start..end]
                        }
                    });
                }
                socket.write_vectored(&slices[..count])
            }
        })?;
        Ok((written, offered))
    }

    /// Chooses what the next write offers: how many parts, and their bytes in all.
    fn gather(&self, parts: &mut [Part], scratch: &mut Vec<u8>) -> (usize, usize) {
        scratch.clear();
        let (mut count, mut in_place) = (0, 0);
        let (mut offset, mut listed) = (self.offset, 0);
        for (index, piece) in self.pieces.iter().enumerate() {
            if count + PIECE_PARTS > parts.len()
                || in_place + scratch.len() >= WRITE_MAX
                || scratch.len() >= COPY_MAX
            {
                break;
            }
            let (mut header, mut trailer) = ([0; HEADER_MAX], [0; TRAILER_MAX]);
            scratch.extend_from_slice(behind(piece.header(&mut header), &mut offset));
            let whole = piece.body();
            let body = behind(whole, &mut offset);
            if body.len() >= LARGE {
                list_copied(parts, &mut count, &mut listed, scratch.len());
                let (start, len) = (whole.len() - body.len(), body.len().min(WRITE_MAX));
                parts[count] = Part::InPlace {
                    piece: index,
                    start,
                    end: start + len,
                };
                count += 1;
                in_place += len;
                if len < body.len() {
                    break; // The rest of it comes with a later write.
                }
            } else {
                scratch.extend_from_slice(body);
            }
            scratch.extend_from_slice(behind(piece.trailer(&mut trailer), &mut offset));
            list_copied(parts, &mut count, &mut listed, scratch.len());
        }
        (count, in_place + scratch.len())
    }

    /// Moves the cursor over written bytes and lets go of what is behind it.
    fn advance(&mut self, mut written: usize) {
        self.bytes -= written;
        while let Some(piece) = self.pieces.front() {
            let rest = piece.len() - self.offset;
            if written < rest {
                self.offset += written;
                return;
            }
            written -= rest;
            self.offset = 0;
            self.change -= (piece.leave() + PIECE_COST) as isize;
            self.pieces.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
