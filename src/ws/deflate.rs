//! Compressed messages (permessage-deflate, RFC 7692, 7.2), without context takeover:
//! each message stands for itself, so one compressor and one decompressor serve all
//! connections of the process.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// How every compressed message ends, and what is left out of its frames: an empty block
/// that makes the compressor say all it has (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The fastest level: 3 to 8 us for some hundred bytes. The next one takes 15 us and
/// makes them a fifth shorter; answers, which one client gets, are not worth that.
const LEVEL: u32 = 1;

/// Memory that the compressor's output buffer keeps between messages, in bytes.
const BUFFER_KEPT: usize = 256 << 10;

/// Compresses messages. The memory, some 400 KiB, is taken with the first one.
#[derive(Debug, Default)]
pub struct Deflater {
    compress: Option<Compress>,
    buffer: Vec<u8>,
}

impl Deflater {
    /// The compressed form of a message, the payload of a frame with
    /// [`COMPRESSED`](super::frame::COMPRESSED) set; `None` if it is not shorter.
    pub fn deflate(&mut self, message: &[u8]) -> Option<Box<[u8]>> {
        let compress = self
            .compress
            .get_or_insert_with(|| Compress::new(Compression::new(LEVEL), false));
        compress.reset();
        self.buffer.clear();
        self.buffer.reserve(message.len() + 64);
        // All output is taken, even when it can no longer be a gain: zlib-rs 0.6.8 does
        // not forget it at a reset, and panics some messages later.
        let is_whole = loop {
            let rest = &message[compress.total_in() as usize..];
            let made = self.buffer.len();
            let status = compress.compress_vec(rest, &mut self.buffer, FlushCompress::Sync);
            if self.buffer.len() < self.buffer.capacity() {
                break status.is_ok() && compress.total_in() == message.len() as u64;
            }
            if self.buffer.len() == made {
                break false;
            }
            self.buffer.reserve(message.len() / 8 + 64);
        };
        if !is_whole {
            self.compress = None;
        }
        let deflated = match self.buffer.strip_suffix(&TAIL) {
            Some(deflated) if is_whole && deflated.len() < message.len() => Some(deflated.into()),
            _ => None,
        };
        if self.buffer.capacity() > BUFFER_KEPT {
            self.buffer = Vec::new();
        }
        deflated
    }
}

/// Bytes that [`write_end`] writes beside the text.
pub const END_COST: usize = 5;

/// What makes the compressed form of a message that of the message with a text behind it:
/// so a compressed message can be shared by receivers who get different ends. It is
/// written to the beginning of `room`, which holds the text and [`END_COST`] bytes; the
/// text has 65,535 bytes at most.
///
/// A compressed message ends with the header of a stored block, padded to a whole byte,
/// whose length is left out: `00 00 ff ff` is that of an empty one. Here the block gets the
/// text, in which nothing refers to what was before, and the next such header follows
/// (RFC 1951, 3.2.4).
pub fn write_end<'r>(text: &[u8], room: &'r mut [u8]) -> &'r [u8] {
    debug_assert!(text.len() <= usize::from(u16::MAX));
    let length = text.len() as u16;
    room[..2].copy_from_slice(&length.to_le_bytes());
    room[2..4].copy_from_slice(&(!length).to_le_bytes());
    let end = 4 + text.len();
    room[4..end].copy_from_slice(text);
    room[end] = 0;
    &room[..=end]
}

/// Blocks that call themselves the last one which a message may have, beside one for each
/// [`END_SIZE`] bytes. Going on behind one costs microseconds, and it takes two bytes:
/// without a bound a message of 1 MiB would hold up all clients for a second.
pub(crate) const ENDS: usize = 16;

/// Bytes of a message's payload that earn it a further such block.
pub(crate) const END_SIZE: usize = 256;

/// Why a compressed message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InflateError {
    /// It is longer than allowed.
    TooBig,
    /// It is not what the algorithm writes, or ends again and again.
    Corrupt,
}

/// Decompresses messages. The memory, some 50 KiB, is taken with the first one.
#[derive(Debug, Default)]
pub struct Inflater {
    decompress: Option<Decompress>,
    done: Inflation,
}

/// What an [`Inflater`] has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inflation {
    /// Bytes that were decompressed.
    pub payload: usize,
    /// Bytes that they became, those of a message included that became too long.
    pub message: usize,
}

impl Inflater {
    /// What it has done since this was asked last.
    pub fn take_done(&mut self) -> Inflation {
        std::mem::take(&mut self.done)
    }

    /// The message behind the payload of its frames. Work and memory are bounded by
    /// `limit`, the most bytes that it may have, and by the payload's length.
    pub(super) fn inflate(
        &mut self,
        payload: &[u8],
        limit: usize,
    ) -> Result<Vec<u8>, InflateError> {
        let mut message = Vec::new();
        let result = self.inflate_into(payload, limit, &mut message);
        self.done.payload += payload.len();
        self.done.message += message.len();
        result.map(|()| message)
    }

    fn inflate_into(
        &mut self,
        payload: &[u8],
        limit: usize,
        message: &mut Vec<u8>,
    ) -> Result<(), InflateError> {
        let decompress = self
            .decompress
            .get_or_insert_with(|| Decompress::new(false));
        decompress.reset(false);
        let mut ends = ENDS + payload.len() / END_SIZE;
        for mut input in [payload, &TAIL] {
            loop {
                if message.len() == message.capacity() {
                    // One byte above the limit tells a message that is too big.
                    let room = (3 * payload.len()).max(message.len()).max(64);
                    message.reserve_exact(room.min(limit + 1 - message.len()));
                }
                let taken = decompress.total_in();
                let status = decompress.decompress_vec(input, message, FlushDecompress::Sync);
                let taken = (decompress.total_in() - taken) as usize;
                input = &input[taken..];
                match status {
                    _ if message.len() > limit => return Err(InflateError::TooBig),
                    // A block may call itself the last one, and others follow
                    // (RFC 7692, 7.2.3.4).
                    Ok(Status::StreamEnd) if ends > 0 => {
                        ends -= 1;
                        decompress.reset(false);
                    }
                    Ok(Status::Ok | Status::BufError) if message.len() == message.capacity() => {}
                    Ok(Status::Ok | Status::BufError) if input.is_empty() => {}
                    Ok(Status::Ok) if taken > 0 => {}
                    Ok(_) | Err(_) => return Err(InflateError::Corrupt),
                }
                if input.is_empty() && message.len() < message.capacity() {
                    break;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text that compresses about as well as JSON does.
    fn text(len: usize) -> Vec<u8> {
        let mut text = Vec::new();
        let mut number = 1u32;
        while text.len() < len {
            number = number.wrapping_mul(0x9e37_79b1).rotate_left(9) ^ 0x55;
            text.extend_from_slice(format!(r#"{{"id":{},"name":"x"}},"#, number % 999).as_bytes());
        }
        text.truncate(len);
        text
    }

    /// Bytes that do not compress.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        (0..len)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state >> 32) as u8
            })
            .collect()
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        for len in [64, 100, 255, 1_000, 32_768, 70_000, 1 << 20, 3_000_000] {
            let text = text(len);
            let deflated = deflater.deflate(&text).unwrap();
            assert!(deflated.len() < text.len(), "{len}");
            assert!(inflater.inflate(&deflated, len) == Ok(text), "{len}");
            assert_eq!(
                inflater.inflate(&deflated, len - 1),
                Err(InflateError::TooBig)
            );
        }
        assert!(deflater.buffer.capacity() <= BUFFER_KEPT);
    }

    #[test]
    fn a_compressed_message_takes_any_end() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        // The lengths leave the last bits of the stream at different places in a byte.
        for len in (160..190).chain([5_000, 70_000]) {
            let text = text(len);
            let deflated = deflater.deflate(&text).unwrap();
            for end in [
                &b""[..],
                b"}",
                b",\"id\":18446744073709551615}",
                &[b'x'; 65_535],
            ] {
                let mut room = vec![0xee; end.len() + END_COST];
                let all = [&deflated[..], write_end(end, &mut room)].concat();
                assert_eq!(all.len(), deflated.len() + end.len() + END_COST);
                let expected = [&text[..], end].concat();
                assert!(
                    inflater.inflate(&all, expected.len()) == Ok(expected),
                    "{len} {}",
                    end.len()
                );
            }
        }
    }

    #[test]
    fn messages_do_not_depend_on_earlier_ones() {
        let mut deflater = Deflater::default();
        let first = deflater.deflate(&text(500));
        deflater.deflate(&noise(50_000));
        assert_eq!(deflater.deflate(&text(500)), first);
        let mut inflater = Inflater::default();
        assert_eq!(
            inflater.inflate(b"\xff\xff\xff", 100),
            Err(InflateError::Corrupt)
        );
        assert_eq!(inflater.inflate(&first.unwrap(), 500), Ok(text(500)));
    }

    #[test]
    fn what_does_not_become_shorter_stays() {
        let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
        let noise = noise(100_000);
        for _ in 0..20 {
            for message in [&b""[..], b"a", b"abc", b"{}", &noise[..300], &noise] {
                assert_eq!(deflater.deflate(message), None, "{}", message.len());
            }
            // The compressor is none the worse for it.
            let deflated = deflater.deflate(&text(9_000)).unwrap();
            assert_eq!(inflater.inflate(&deflated, 9_000), Ok(text(9_000)));
        }
    }

    #[test]
    fn reads_the_examples_of_the_rfc() {
        // RFC 7692, 7.2.3.1 to 7.2.3.5.
        let table: [(&[u8], &[u8]); 5] = [
            (&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], b"Hello"),
            // No compression.
            (
                &[
                    0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00,
                ],
                b"Hello",
            ),
            // A block that calls itself the last.
            (&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00], b"Hello"),
            // Two blocks.
            (
                &[
                    0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00,
                ],
                b"Hello",
            ),
            // An empty message.
            (&[0x00], b""),
        ];
        let mut inflater = Inflater::default();
        for (payload, expected) in table {
            assert_eq!(inflater.inflate(payload, 5).as_deref(), Ok(expected));
        }
        // The second "Hello" of 7.2.3.2 needs the first one's window.
        assert_eq!(
            inflater.inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00], 5),
            Err(InflateError::Corrupt)
        );
    }

    #[test]
    fn bombs_stop_at_the_limit() {
        let mut deflater = Deflater::default();
        let bomb = deflater.deflate(&vec![b' '; 50 << 20]).unwrap();
        assert!(bomb.len() < 1 << 20);
        let mut inflater = Inflater::default();
        assert_eq!(inflater.inflate(&bomb, 1 << 20), Err(InflateError::TooBig));
        assert_eq!(inflater.inflate(&bomb, 0), Err(InflateError::TooBig));
        // Many empty blocks are long, but no message.
        let blocks = [&[0, 0, 0, 0xff, 0xff].repeat(1_000)[..], &[0]].concat();
        assert_eq!(inflater.inflate(&blocks, 0), Ok(vec![]));
    }

    #[test]
    fn a_message_ends_so_often_and_no_more() {
        let mut inflater = Inflater::default();
        // An empty block that calls itself the last, and its padding.
        for (count, expected) in [
            (1, Ok(vec![])),
            (ENDS, Ok(vec![])),
            (ENDS + 1, Err(InflateError::Corrupt)),
            (100_000, Err(InflateError::Corrupt)),
        ] {
            let blocks = [3, 0].repeat(count);
            assert_eq!(inflater.inflate(&blocks, 10), expected, "{count}");
        }
        // A long message may end more often.
        let block = [&[1, 0, 4, 0xff, 0xfb][..], &[b'x'; 1_024]].concat();
        let message = inflater.inflate(&block.repeat(100), 200_000);
        assert!(message == Ok(vec![b'x'; 102_400]));
    }
}
