//! The wire formats as far as the driver and the floor need them: NATS lines,
//! WebSocket frames (RFC 6455, section 5.2), HTTP answers (RFC 9112).

use std::ops::Range;

use crate::fault::{Fault, Outcome};

/// Opcode of a text frame.
pub const TEXT: u8 = 1;

/// Opcode of a binary frame.
pub const BINARY: u8 = 2;

/// Opcode of a ping.
pub const PING: u8 = 9;

/// A message from the broker, in place.
#[derive(Clone, Copy)]
pub struct Delivery<'a> {
    pub subject: &'a [u8],
    /// Empty for none.
    pub reply: &'a [u8],
    pub payload: &'a [u8],
}

/// What a broker sends after its `INFO`.
pub enum Line<'a> {
    Message(Delivery<'a>),
    Ping,
    Pong,
    Error(String),
}

/// Finds the complete lines and messages; returns how many bytes they take.
pub fn split_lines(data: &[u8], mut take: impl FnMut(Line<'_>) -> Outcome) -> Result<usize, Fault> {
    let mut used = 0;
    while let Some(len) = data[used..].iter().position(|&byte| byte == b'\n') {
        let line = data[used..used + len].trim_ascii_end();
        let start = used + len + 1;
        if let Some(fields) = line.strip_prefix(b"MSG ") {
            let mut fields = fields.split(|&byte| byte == b' ');
            let subject = fields.next().unwrap_or_default();
            let (reply, size) = match (fields.next(), fields.next(), fields.next()) {
                (Some(_), Some(reply), Some(size)) => (reply, size),
                (Some(_), Some(size), None) => (&b""[..], size),
                _ => return Err(strange(line)),
            };
            let end = start + number(size).ok_or_else(|| strange(line))? as usize;
            if data.len() < end + 2 {
                break;
            }
            take(Line::Message(Delivery {
                subject,
                reply,
                payload: &data[start..end],
            }))?;
            used = end + 2;
            continue;
        }
        match line {
            b"PING" => take(Line::Ping)?,
            b"PONG" => take(Line::Pong)?,
            _ if line.starts_with(b"INFO ") => {}
            _ => take(Line::Error(String::from_utf8_lossy(line).into_owned()))?,
        }
        used = start;
    }
    Ok(used)
}

fn strange(line: &[u8]) -> Fault {
    Fault::Surprise(format!("broker line {}", String::from_utf8_lossy(line)))
}

/// Appends the header of a frame that is a whole message; `mask` is the mask bit.
pub fn frame_header(out: &mut Vec<u8>, opcode: u8, len: usize, mask: u8) {
    out.push(0x80 | opcode);
    match len {
        0..126 => out.push(mask | len as u8),
        126..0x1_0000 => {
            out.push(mask | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

/// A frame at the beginning of the input.
pub struct Frame {
    pub opcode: u8,
    /// Whether the message is compressed (RFC 7692, section 6).
    pub is_compressed: bool,
    pub payload: Range<usize>,
}

/// Finds the frame at the beginning of the input, and its length. Servers do not mask.
pub fn split_frame(input: &[u8]) -> Option<(Frame, usize)> {
    let (&first, rest) = input.split_first()?;
    let (start, len) = match *rest.first()? {
        126 => (
            4,
            u16::from_be_bytes(input.get(2..4)?.try_into().ok()?).into(),
        ),
        127 => {
            let len = u64::from_be_bytes(input.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(len).ok()?)
        }
        len => (2, usize::from(len)),
    };
    let end = start + len;
    let frame = Frame {
        opcode: first & 0x0f,
        is_compressed: first & 0x40 != 0,
        payload: start..end,
    };
    (input.len() >= end).then_some((frame, end))
}

/// Where the head of an HTTP message ends.
pub fn head_end(input: &[u8]) -> Option<usize> {
    find(input, b"\r\n\r\n").map(|at| at + 4)
}

/// Where `wanted` begins in `input`.
pub fn find(input: &[u8], wanted: &[u8]) -> Option<usize> {
    input.windows(wanted.len()).position(|part| part == wanted)
}

/// Status, body and length of a whole HTTP answer; `None` while it is not complete. The
/// framing of a body in chunks is left in it.
pub fn split_response(input: &[u8]) -> Result<Option<(u16, Range<usize>, usize)>, Fault> {
    let Some(start) = head_end(input) else {
        return Ok(None);
    };
    let head = &input[..start];
    let strange = || Fault::Surprise(format!("HTTP answer {}", String::from_utf8_lossy(head)));
    let status = head
        .get(9..12)
        .and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
        .ok_or_else(strange)?;
    let len = match find(head, b"Content-Length: ") {
        Some(at) => number(&head[at + 16..]).ok_or_else(strange)?,
        None if status == 204 => 0,
        None if find(head, b"Transfer-Encoding: chunked").is_some() => {
            let end = chunks_end(&input[start..]).map(|len| start + len);
            return Ok(end.map(|end| (status, start..end, end)));
        }
        None => return Err(strange()),
    };
    let end = start + len as usize;
    Ok((input.len() >= end).then_some((status, start..end, end)))
}

/// The data of the chunk at the beginning of the input, and its length with the framing.
pub fn split_chunk(input: &[u8]) -> Option<(Range<usize>, usize)> {
    let line = find(input, b"\r\n")?;
    let digits = std::str::from_utf8(&input[..line]).ok()?;
    let len = usize::from_str_radix(digits.trim(), 16).ok()?;
    let start = line + 2;
    let end = start + len;
    (input.len() >= end + 2).then_some((start..end, end + 2))
}

/// Where a body in chunks ends, its framing included.
fn chunks_end(input: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let (data, len) = split_chunk(input.get(at..)?)?;
        at += len;
        if data.is_empty() {
            return Some(at);
        }
    }
}

/// The decimal number at the beginning of the input.
pub fn number(input: &[u8]) -> Option<u64> {
    let digits = input.iter().take_while(|byte| byte.is_ascii_digit());
    let mut any = false;
    let value = digits.fold(0, |value: u64, digit| {
        any = true;
        value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'))
    });
    any.then_some(value)
}
