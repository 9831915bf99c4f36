//! What a client of the broker sends: bytes to operations, without copying.
//!
//! The tolerance is that of nats-server 2.15: verbs in any letter case, tabs and spaces
//! between fields, lines that end with or without a carriage return, and anything behind
//! `PING`, `PONG` and `+OK`. A line of another kind is limited by [`CONTROL_LINE_MAX`].

#[cfg(test)]
mod tests;

/// Most that may follow a verb and its spaces on a line, in bytes without the line end.
pub(crate) const CONTROL_LINE_MAX: usize = 4_096;

/// Digits of a size: more are no size.
const DIGITS_MAX: usize = 9;

/// An operation of a client, borrowed from the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op<'a> {
    /// `CONNECT`, with its JSON text.
    Connect(&'a [u8]),
    /// `PUB` or `HPUB`.
    Publish(Publication<'a>),
    /// `SUB`.
    Subscribe {
        subject: &'a [u8],
        /// The queue group; empty for none.
        queue: &'a [u8],
        sid: &'a [u8],
    },
    /// `UNSUB`; after so many messages in all, or at once.
    Unsubscribe { sid: &'a [u8], max: Option<u64> },
    /// `PING`, to be answered.
    Ping,
    /// `PONG`, an answer.
    Pong,
    /// `INFO`, which says nothing to a server as long as it is JSON.
    Info(&'a [u8]),
    /// `+OK`, which says nothing to a server.
    Ok,
}

/// A message that a client publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Publication<'a> {
    pub(super) subject: &'a [u8],
    /// The subject for an answer; empty for none.
    pub(super) reply: &'a [u8],
    /// The header block; empty for none.
    pub(super) headers: &'a [u8],
    pub(super) payload: &'a [u8],
}

/// Why a connection ends over what came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// No known operation begins here, or a payload does not end where it should.
    Unknown,
    /// Something else than `CONNECT` came first, where credentials are asked for.
    Unauthorized,
    /// A line is longer than [`CONTROL_LINE_MAX`].
    LineTooLong,
    /// A payload is larger than the broker takes.
    PayloadTooLarge,
    /// The arguments of an operation are not as they must be, of which the client is not
    /// told.
    Arguments(&'static str),
}

/// Operations whose arguments are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Connect,
    Publish,
    PublishWithHeaders,
    Subscribe,
    Unsubscribe,
    Info,
    Error,
}

/// Operations of which only the verb counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    Ping,
    Pong,
    Ok,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Verb(Verb),
    Word(Word),
}

const KNOWN: [(&[u8], Known); 10] = [
    (b"PUB", Known::Verb(Verb::Publish)),
    (b"HPUB", Known::Verb(Verb::PublishWithHeaders)),
    (b"SUB", Known::Verb(Verb::Subscribe)),
    (b"UNSUB", Known::Verb(Verb::Unsubscribe)),
    (b"PING", Known::Word(Word::Ping)),
    (b"PONG", Known::Word(Word::Pong)),
    (b"CONNECT", Known::Verb(Verb::Connect)),
    (b"INFO", Known::Verb(Verb::Info)),
    (b"+OK", Known::Word(Word::Ok)),
    (b"-ERR", Known::Verb(Verb::Error)),
];

/// What the input begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Start,
    /// The rest of a line that says no more.
    Rest(Word),
    /// Spaces, and then the arguments.
    Arguments(Verb),
}

/// Takes operations off the front of what a client sent.
///
/// It holds no bytes. What it has taken of an operation that is not complete is little: the
/// verb and spaces; the rest stays in the input.
#[derive(Clone, Debug)]
pub(super) struct Parser {
    state: State,
    /// Bytes that must be there before looking again is of use.
    needed: usize,
    /// Bytes at the front that are known to hold no line end.
    scanned: usize,
    max_payload: usize,
    /// Whether the client may send headers.
    pub(super) takes_headers: bool,
    /// Whether nothing but `CONNECT` may come.
    pub(super) awaits_connect: bool,
}

impl Parser {
    pub(super) fn new(max_payload: usize, awaits_connect: bool) -> Self {
        Self {
            state: State::Start,
            needed: 0,
            scanned: 0,
            max_payload,
            takes_headers: false,
            awaits_connect,
        }
    }

    /// The operation at the front of the input, and how many bytes are done with. Without an
    /// operation the others must be given again with more behind them.
    pub(super) fn next<'a>(&mut self, input: &'a [u8]) -> Result<(usize, Option<Op<'a>>), Fault> {
        if input.len() < self.needed {
            return Ok((0, None));
        }
        let mut at = 0;
        if self.state == State::Start {
            let Some(len) = self.begin(input)? else {
                return Ok((0, None));
            };
            at = len;
        }
        let (taken, op) = match self.state {
            State::Rest(word) => self.rest(&input[at..], word),
            State::Arguments(verb) => self.arguments(&input[at..], verb)?,
            State::Start => (0, None),
        };
        if op.is_some() {
            self.state = State::Start;
        }
        Ok((at + taken, op))
    }

    /// Reads the verb; its length, or `None` if more must come.
    fn begin(&mut self, input: &[u8]) -> Result<Option<usize>, Fault> {
        let Some(first) = input.first() else {
            return Ok(None);
        };
        if self.awaits_connect && !first.eq_ignore_ascii_case(&b'C') {
            return Err(Fault::Unauthorized);
        }
        let fits = |name: &[u8]| {
            let len = name.len().min(input.len());
            name[..len].eq_ignore_ascii_case(&input[..len])
        };
        let Some((name, known)) = KNOWN.iter().find(|(name, _)| fits(name)) else {
            return Err(Fault::Unknown);
        };
        if input.len() < name.len() {
            return Ok(None);
        }
        match known {
            Known::Word(word) => {
                self.state = State::Rest(*word);
                Ok(Some(name.len()))
            }
            // These two may be followed by anything.
            Known::Verb(verb @ (Verb::Connect | Verb::Info)) => {
                self.state = State::Arguments(*verb);
                Ok(Some(name.len()))
            }
            Known::Verb(verb) => match input.get(name.len()) {
                None => Ok(None),
                Some(b' ' | b'\t') => {
                    self.state = State::Arguments(*verb);
                    Ok(Some(name.len() + 1))
                }
                Some(_) => Err(Fault::Unknown),
            },
        }
    }

    /// Goes to the end of the line.
    fn rest<'a>(&mut self, input: &[u8], word: Word) -> (usize, Option<Op<'a>>) {
        let Some(end) = input.iter().position(|&b| b == b'\n') else {
            return (input.len(), None);
        };
        let op = match word {
            Word::Ping => Op::Ping,
            Word::Pong => Op::Pong,
            Word::Ok => Op::Ok,
        };
        (end + 1, Some(op))
    }

    /// Reads the arguments, and the payload if the operation has one.
    fn arguments<'a>(
        &mut self,
        input: &'a [u8],
        verb: Verb,
    ) -> Result<(usize, Option<Op<'a>>), Fault> {
        let spaces = input.iter().position(|&b| b != b' ' && b != b'\t');
        let Some(start) = spaces else {
            (self.needed, self.scanned) = (0, 0);
            return Ok((input.len(), None));
        };
        let input = &input[start..];
        // Room for the line end.
        let searched = &input[..input.len().min(CONTROL_LINE_MAX + 2)];
        let scanned = self.scanned.min(searched.len());
        let Some(end) = searched[scanned..].iter().position(|&b| b == b'\n') else {
            let line = searched.strip_suffix(b"\r").unwrap_or(searched);
            if line.len() > CONTROL_LINE_MAX {
                return Err(Fault::LineTooLong);
            }
            (self.scanned, self.needed) = (searched.len(), searched.len() + 1);
            return Ok((start, None));
        };
        let end = scanned + end;
        let line = input[..end].strip_suffix(b"\r").unwrap_or(&input[..end]);
        if line.len() > CONTROL_LINE_MAX {
            return Err(Fault::LineTooLong);
        }
        let op = match verb {
            Verb::Publish | Verb::PublishWithHeaders => {
                let arguments = self.publish_arguments(line, verb)?;
                let Some((len, op)) = self.payload(input, end, arguments)? else {
                    return Ok((start, None));
                };
                (self.needed, self.scanned) = (0, 0);
                return Ok((start + len, Some(op)));
            }
            Verb::Connect => Op::Connect(line),
            Verb::Info => Op::Info(line),
            Verb::Subscribe => subscribe(line)?,
            Verb::Unsubscribe => unsubscribe(line)?,
            Verb::Error => return Err(Fault::Arguments("the client reports an error")),
        };
        (self.needed, self.scanned) = (0, 0);
        Ok((start + end + 1, Some(op)))
    }

    fn publish_arguments<'a>(&self, line: &'a [u8], verb: Verb) -> Result<Head<'a>, Fault> {
        let with_headers = verb == Verb::PublishWithHeaders;
        if with_headers && !self.takes_headers {
            return Err(Fault::Arguments("message headers not supported"));
        }
        let wrong = Fault::Arguments;
        let mut fields = [&b""[..]; 4];
        let count = split(line, &mut fields).ok_or(wrong("publish arguments are wrong"))?;
        let [subject, second, third, fourth] = fields;
        let (reply, header_len, size) = match (with_headers, count) {
            (false, 2) => (&b""[..], None, second),
            (false, 3) => (second, None, third),
            (true, 3) => (&b""[..], Some(second), third),
            (true, 4) => (second, Some(third), fourth),
            _ => return Err(wrong("publish arguments are wrong")),
        };
        let size = size_of(size).ok_or(wrong("the size of a message is bad or missing"))?;
        let header_len = match header_len {
            None => 0,
            Some(digits) => {
                size_of(digits).ok_or(wrong("the size of headers is bad or missing"))?
            }
        };
        if header_len > size {
            return Err(wrong("headers are larger than their message"));
        }
        if size > self.max_payload {
            return Err(Fault::PayloadTooLarge);
        }
        Ok(Head {
            subject,
            reply,
            header_len,
            size,
        })
    }

    /// Takes the payload behind the line that ends at `end`.
    fn payload<'a>(
        &mut self,
        input: &'a [u8],
        end: usize,
        head: Head<'a>,
    ) -> Result<Option<(usize, Op<'a>)>, Fault> {
        let body = end + 1;
        let behind = body + head.size;
        for (offset, expected) in [(behind, b'\r'), (behind + 1, b'\n')] {
            match input.get(offset) {
                Some(&byte) if byte == expected => {}
                Some(_) => return Err(Fault::Unknown),
                None => {
                    (self.scanned, self.needed) = (end, offset + 1);
                    return Ok(None);
                }
            }
        }
        let (headers, payload) = input[body..behind].split_at(head.header_len);
        let op = Op::Publish(Publication {
            subject: head.subject,
            reply: head.reply,
            headers,
            payload,
        });
        Ok(Some((behind + 2, op)))
    }
}

/// The arguments of `PUB` and `HPUB`.
struct Head<'a> {
    subject: &'a [u8],
    reply: &'a [u8],
    /// At most `size`.
    header_len: usize,
    size: usize,
}

fn subscribe(line: &[u8]) -> Result<Op<'_>, Fault> {
    let mut fields = [&b""[..]; 3];
    let [subject, second, third] = match split(line, &mut fields) {
        Some(2) => [fields[0], b"", fields[1]],
        Some(3) => fields,
        _ => return Err(Fault::Arguments("subscribe arguments are wrong")),
    };
    Ok(Op::Subscribe {
        subject,
        queue: second,
        sid: third,
    })
}

fn unsubscribe(line: &[u8]) -> Result<Op<'_>, Fault> {
    let mut fields = [&b""[..]; 2];
    let max = match split(line, &mut fields) {
        Some(1) => None,
        Some(2) => size_of(fields[1]).filter(|max| *max > 0),
        _ => return Err(Fault::Arguments("unsubscribe arguments are wrong")),
    };
    Ok(Op::Unsubscribe {
        sid: fields[0],
        max: max.map(|max| max as u64),
    })
}

/// Writes the fields of a line to `fields`; how many, or `None` if there are more.
fn split<'a>(line: &'a [u8], fields: &mut [&'a [u8]]) -> Option<usize> {
    let mut count = 0;
    let all = line.split(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
    for field in all.filter(|field| !field.is_empty()) {
        *fields.get_mut(count)? = field;
        count += 1;
    }
    Some(count)
}

fn size_of(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > DIGITS_MAX {
        return None;
    }
    digits.iter().try_fold(0, |number: usize, byte| {
        byte.is_ascii_digit()
            .then(|| number * 10 + usize::from(byte - b'0'))
    })
}
