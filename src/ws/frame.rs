//! Frames that are sent, never fragmented (RFC 6455, 5.2): a server's, which are not masked,
//! and a client's.

use super::mask;

/// Bytes that a frame can have in front of its payload, and of its mask.
pub const HEADER_MAX: usize = 10;
/// Payload bytes that a control frame can have.
pub const CONTROL_MAX: usize = 125;

/// The bit of a header's first byte that says that the message is compressed: RSV1
/// (RFC 7692, 6).
pub const COMPRESSED: u8 = 0x40;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A text message or its first fragment.
    Text = 1,
    /// A binary message or its first fragment.
    Binary = 2,
    /// The closing handshake.
    Close = 8,
    /// A question whether the other side is there.
    Ping = 9,
    /// The answer to a ping.
    Pong = 10,
}

impl Opcode {
    /// Reads the four bits of a frame; `None` for those that are reserved.
    pub(super) fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether a frame of this kind is the first of a message.
    pub(super) fn begins_message(self) -> bool {
        matches!(self, Self::Text | Self::Binary)
    }

    /// Whether frames of this kind may come between the fragments of a message.
    pub fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

/// Writes the header of a whole message or control frame, and gives its length.
pub fn header(opcode: Opcode, length: usize, out: &mut [u8; HEADER_MAX]) -> usize {
    out[0] = 0x80 | opcode as u8;
    match length {
        0..126 => {
            out[1] = length as u8;
            2
        }
        126..0x1_0000 => {
            out[1] = 126;
            out[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        _ => {
            out[1] = 127;
            out[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    }
}

/// Bytes of the header of a frame whose payload has so many.
#[inline]
pub const fn header_len(length: usize) -> usize {
    match length {
        0..126 => 2,
        126..0x1_0000 => 4,
        _ => 10,
    }
}

/// Appends a whole frame.
pub fn write(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    let mut bytes = [0; HEADER_MAX];
    let length = header(opcode, payload.len(), &mut bytes);
    out.extend_from_slice(&bytes[..length]);
    out.extend_from_slice(payload);
}

/// Appends a whole frame of a client, masked by a key that nobody can foresee.
pub fn write_masked(opcode: Opcode, payload: &[u8], key: [u8; 4], out: &mut Vec<u8>) {
    let mut bytes = [0; HEADER_MAX];
    let length = header(opcode, payload.len(), &mut bytes);
    bytes[1] |= 0x80;
    out.extend_from_slice(&bytes[..length]);
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    // The same operation puts the mask on and takes it off.
    mask::unmask(&mut out[start..], key);
}

/// A ping that carries nothing, as a server sends it.
pub const PING: [u8; 2] = [0x80 | Opcode::Ping as u8, 0];

/// Appends the answer to a ping.
pub fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write(
        Opcode::Pong,
        &payload[..payload.len().min(CONTROL_MAX)],
        out,
    );
}

/// Appends a close frame. The reason is cut, between characters, to what fits; without
/// a code there is none.
pub fn write_close(code: Option<u16>, reason: &str, out: &mut Vec<u8>) {
    let mut payload = [0; CONTROL_MAX];
    let length = match code {
        None => 0,
        Some(code) => {
            let mut end = reason.len().min(CONTROL_MAX - 2);
            while !reason.is_char_boundary(end) {
                end -= 1;
            }
            payload[..2].copy_from_slice(&code.to_be_bytes());
            payload[2..2 + end].copy_from_slice(&reason.as_bytes()[..end]);
            2 + end
        }
    };
    write(Opcode::Close, &payload[..length], out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_have_the_shortest_length() {
        let table: [(usize, &[u8]); 7] = [
            (0, &[0x81, 0]),
            (125, &[0x81, 125]),
            (126, &[0x81, 126, 0, 126]),
            (256, &[0x81, 126, 1, 0]),
            (0xffff, &[0x81, 126, 0xff, 0xff]),
            (0x1_0000, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
            (0x0102_0304, &[0x81, 127, 0, 0, 0, 0, 1, 2, 3, 4]),
        ];
        for (length, expected) in table {
            let mut bytes = [0; HEADER_MAX];
            let end = header(Opcode::Text, length, &mut bytes);
            assert_eq!(&bytes[..end], expected, "{length}");
            assert_eq!(header_len(length), end);
        }
    }

    #[test]
    fn builds_control_frames() {
        let build = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            out
        };
        assert_eq!(build(&|out| write_pong(b"hi", out)), b"\x8a\x02hi");
        assert_eq!(build(&|out| write_close(None, "unsaid", out)), b"\x88\x00");
        assert_eq!(
            build(&|out| write_close(Some(1001), "bye", out)),
            b"\x88\x05\x03\xe9bye"
        );
        // 61 characters of two bytes and one that does not fit any more.
        let long = "\u{f6}".repeat(80);
        let cut = build(&|out| write_close(Some(1000), &long, out));
        assert_eq!(cut[..4], [0x88, 124, 0x03, 0xe8]);
        assert_eq!(&cut[4..], "\u{f6}".repeat(61).as_bytes());
    }

    #[test]
    fn masks_as_in_the_example_of_the_rfc() {
        let mut out = Vec::new();
        write_masked(Opcode::Text, b"Hello", *b"\x37\xfa\x21\x3d", &mut out);
        assert_eq!(out, b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    }

    #[test]
    fn opcodes_survive_their_bits() {
        for bits in 0..16 {
            if let Some(opcode) = Opcode::from_bits(bits) {
                assert_eq!(opcode as u8, bits);
                assert_eq!(opcode.is_control(), bits >= 8);
            }
        }
        assert_eq!((0..16).filter_map(Opcode::from_bits).count(), 6);
    }
}
