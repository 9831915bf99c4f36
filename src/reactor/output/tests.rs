use super::*;
use crate::gateway::Encoding;

/// Takes so many bytes a call, as its script says, then would block.
struct Script<'a> {
    takes: &'a [usize],
    got: Vec<u8>,
    calls: usize,
}

impl<'a> Script<'a> {
    fn new(takes: &'a [usize]) -> Self {
        Self {
            takes,
            got: Vec::new(),
            calls: 0,
        }
    }

    fn take(&mut self) -> io::Result<usize> {
        self.calls += 1;
        let Some((&first, rest)) = self.takes.split_first() else {
            return Err(ErrorKind::WouldBlock.into());
        };
        self.takes = rest;
        if first == 0 {
            return Err(ErrorKind::Interrupted.into());
        }
        Ok(first)
    }
}

impl Write for Script<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.take()?.min(bytes.len());
        self.got.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        assert!(slices.len() <= SLICES);
        let mut left = self.take()?;
        let mut n = 0;
        for slice in slices {
            let part = left.min(slice.len());
            self.got.extend_from_slice(&slice[..part]);
            left -= part;
            n += part;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A text frame made the plain way.
fn framed(text: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x81];
    match text.len() {
        len @ 0..126 => frame.push(len as u8),
        len @ 126..65536 => {
            frame.push(126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(text);
    frame
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|i| b'a' + (i % 23) as u8).collect()
}

/// Fills a queue with messages of these sizes, a control frame between, and
/// returns what must reach the wire.
fn fill(output: &mut Output, sizes: &[usize]) -> Vec<u8> {
    let mut expected = Vec::new();
    for &size in sizes {
        let text = text(size);
        output.push(
            Piece::Message(Message::new(&text), Envelope::TextFrame),
            Time(0),
        );
        output.push(Piece::Bytes(Box::new([0x8a, 0])), Time(0));
        expected.extend_from_slice(&framed(&text));
        expected.extend_from_slice(&[0x8a, 0]);
    }
    assert_eq!(output.bytes(), expected.len());
    expected
}

/// The same with answers that have bodies of these sizes, each body sent to several
/// requests, plain and as if it were compressed to half its size.
fn fill_with_answers(output: &mut Output, sizes: &[usize]) -> Vec<u8> {
    let mut expected = Vec::new();
    for &size in sizes {
        let text = text(size);
        let body = Message::new(&text);
        body.encode_as(Encoding::Deflate, |text| Some(text[..size / 2].into()));
        for id in [7, u64::MAX] {
            let answer = SharedAnswer::new(body.clone(), id);
            let tail = format!(",\"id\":{id}}}").into_bytes();
            output.push(Piece::Answer(answer.clone(), Envelope::TextFrame), Time(0));
            expected.extend(framed(&[&text[..], &tail].concat()));
            output.push(Piece::Answer(answer, Envelope::DeflatedFrame), Time(0));
            let length = tail.len() as u8;
            let end = [&[length, 0, !length, 0xff][..], &tail, &[0]].concat();
            let frame = expected.len();
            expected.extend(framed(&[&text[..size / 2], &end].concat()));
            expected[frame] = 0xc1;
        }
    }
    assert_eq!(output.bytes(), expected.len());
    expected
}

/// Writes a queue with one cut, and looks at what leaves before and behind it.
fn cut_at(cut: usize, fill: impl Fn(&mut Output) -> Vec<u8>) {
    let mut scratch = Vec::new();
    let mut output = Output::default();
    let expected = fill(&mut output);
    let takes = [cut];
    let mut socket = Script::new(&takes);
    let state = output.write_to(&mut socket, &mut scratch, Time(1)).unwrap();
    assert_eq!(socket.got, expected[..socket.got.len()]);
    assert_eq!(output.bytes(), expected.len() - socket.got.len());
    if state == Written::Blocked {
        assert_eq!(socket.got.len(), cut);
    }
    let mut rest = Script::new(&[usize::MAX; 8]);
    while output.write_to(&mut rest, &mut scratch, Time(2)).unwrap() != Written::All {}
    let mut got = socket.got;
    got.extend_from_slice(&rest.got);
    assert!(got == expected, "cut at {cut}");
    assert_eq!((output.bytes(), output.cost()), (0, 0));
}

#[test]
fn every_first_split_gives_the_same_bytes() {
    let sizes = [0, 1, 125, 126, 200, 17_000, 3, 70_000, 5];
    let total = fill(&mut Output::default(), &sizes).len();
    // Every cut near the pieces' borders would do; every byte is cheap enough up
    // to the first large piece, and a prime step covers its inside.
    for cut in (1..600).chain((600..total).step_by(997)).chain([total]) {
        cut_at(cut, |output| fill(output, &sizes));
    }
}

#[test]
fn every_first_split_of_answers_gives_the_same_bytes() {
    // Below and at the size from which bodies stay where they are, plain or packed.
    for sizes in [&[2, 90, 300][..], &[LARGE - 1, 2 * LARGE]] {
        let total = fill_with_answers(&mut Output::default(), sizes).len();
        let step = if total < 10_000 { 1 } else { 13 };
        for cut in (1..total).step_by(step).chain([total]) {
            cut_at(cut, |output| fill_with_answers(output, sizes));
        }
    }
}

#[test]
fn byte_by_byte_gives_the_same_bytes() {
    let sizes = [2, 130, 16_384, 7];
    let mut output = Output::default();
    let expected = fill(&mut output, &sizes);
    let takes = vec![1; expected.len()];
    let mut socket = Script::new(&takes);
    let mut scratch = Vec::new();
    while output.write_to(&mut socket, &mut scratch, Time(0)).unwrap() != Written::All {}
    assert_eq!(socket.got, expected);

    let mut output = Output::default();
    let expected = fill_with_answers(&mut output, &sizes);
    let takes = vec![1; expected.len()];
    let mut socket = Script::new(&takes);
    while output.write_to(&mut socket, &mut scratch, Time(0)).unwrap() != Written::All {}
    assert!(socket.got == expected);
}

#[test]
fn bodies_of_answers_are_not_copied() {
    let mut output = Output::default();
    let body = Message::new(&text(80_000));
    for id in 0..3 {
        let answer = SharedAnswer::new(body.clone(), id);
        output.push(Piece::Answer(answer, Envelope::TextFrame), Time(0));
    }
    // A queue's measure counts what leaves, wherever it is.
    let wire = 3 * (10 + 80_000 + 8);
    assert_eq!(
        (output.bytes(), output.cost()),
        (wire, wire + 3 * PIECE_COST)
    );
    let mut socket = Script::new(&[usize::MAX]);
    let mut scratch = Vec::new();
    let state = output.write_to(&mut socket, &mut scratch, Time(0));
    assert_eq!(state.unwrap(), Written::All);
    assert_eq!((socket.got.len(), scratch.len()), (wire, 3 * (10 + 8)));
}

#[test]
fn small_messages_leave_in_one_call() {
    let mut output = Output::default();
    let expected = fill(&mut output, &[40; 500]);
    let mut socket = Script::new(&[usize::MAX]);
    let state = output.write_to(&mut socket, &mut Vec::new(), Time(0));
    assert_eq!(state.unwrap(), Written::All);
    assert_eq!((socket.calls, socket.got), (1, expected));
}

#[test]
fn large_messages_are_not_copied() {
    let mut output = Output::default();
    let expected = fill(&mut output, &[80_000; 3]);
    let mut socket = Script::new(&[usize::MAX]);
    let mut scratch = Vec::new();
    let state = output.write_to(&mut socket, &mut scratch, Time(0));
    assert_eq!(state.unwrap(), Written::All);
    assert_eq!(socket.got, expected);
    assert_eq!(scratch.len(), 3 * (10 + 2));
}

#[test]
fn the_packed_form_leaves_in_a_frame_that_says_so() {
    let mut output = Output::default();
    for packed in [&b"packed"[..], &[7; 20_000]] {
        let message = Message::new(&text(30_000));
        message.encode_as(Encoding::Deflate, |_| Some(packed.into()));
        output.push(Piece::Message(message, Envelope::DeflatedFrame), Time(0));
    }
    let mut expected = framed(b"packed");
    let second = expected.len();
    expected.extend(framed(&[7; 20_000]));
    (expected[0], expected[second]) = (0xc1, 0xc1);
    let mut socket = Script::new(&[usize::MAX]);
    let state = output.write_to(&mut socket, &mut Vec::new(), Time(0));
    assert_eq!((state.unwrap(), socket.got), (Written::All, expected));
}

#[test]
fn one_call_offers_a_bounded_amount() {
    let mut output = Output::default();
    fill(&mut output, &[LARGE; 200]);
    let mut socket = Script::new(&[usize::MAX]);
    let state = output.write_to(&mut socket, &mut Vec::new(), Time(0));
    assert_eq!(state.unwrap(), Written::Some);
    assert!(socket.got.len() <= WRITE_MAX + LARGE + 16);

    // Nor is a long piece offered as a whole, and all of it comes.
    let mut output = Output::default();
    let expected = fill(&mut output, &[3 * WRITE_MAX + 1, 5]);
    let mut socket = Script::new(&[usize::MAX; 5]);
    for calls in 1.. {
        let before = socket.got.len();
        let state = output.write_to(&mut socket, &mut Vec::new(), Time(0));
        assert!(socket.got.len() - before <= WRITE_MAX + 16);
        if state.unwrap() == Written::All {
            assert_eq!(calls, 4);
            break;
        }
    }
    assert_eq!(socket.got, expected);

    // Nor do many parts come to more than one call takes.
    let mut output = Output::default();
    let expected = fill_with_answers(&mut output, &[2 * LARGE; 20]);
    let mut socket = Script::new(&[usize::MAX; 20]);
    while output
        .write_to(&mut socket, &mut Vec::new(), Time(0))
        .unwrap()
        != Written::All
    {}
    assert!(socket.got == expected);
    assert!(socket.calls > 1);
}

#[test]
fn blocks_and_is_interrupted() {
    let mut output = Output::default();
    let expected = fill(&mut output, &[10]);
    let mut scratch = Vec::new();
    let mut full = Script::new(&[]);
    let state = output.write_to(&mut full, &mut scratch, Time(9)).unwrap();
    assert_eq!((state, output.progress()), (Written::Blocked, Time(0)));
    let mut socket = Script::new(&[0, 0, 4]);
    let state = output.write_to(&mut socket, &mut scratch, Time(9)).unwrap();
    assert_eq!((state, output.progress()), (Written::Blocked, Time(9)));
    assert_eq!(output.bytes(), expected.len() - 4);
}

#[test]
fn a_socket_that_takes_nothing_is_an_error() {
    struct Closed;
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Ok(0)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut output = Output::default();
    fill(&mut output, &[10]);
    let error = output
        .write_to(&mut Closed, &mut Vec::new(), Time(0))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WriteZero);
}

#[test]
fn stalls_by_many_messages_but_not_by_one() {
    let push = |output: &mut Output, len: usize| {
        output.push(Piece::Bytes(vec![0; len].into()), Time(5));
    };
    let write = |output: &mut Output, sizes: &[usize], now| {
        let written = output.write_to(&mut Script::new(sizes), &mut Vec::new(), Time(now));
        assert_eq!(written.unwrap(), Written::Blocked);
    };
    let mut one = Output::default();
    push(&mut one, 3 * SOFT_LIMIT);
    write(&mut one, &[], 6);
    assert!(!one.is_stalled(Time(6 + STALL_TIME)));
    push(&mut one, SOFT_LIMIT - PIECE_COST);
    assert!(!one.is_stalled(Time(6 + STALL_TIME)));
    push(&mut one, 1);
    assert!(!one.is_stalled(Time(5 + STALL_TIME)));
    assert!(one.is_stalled(Time(6 + STALL_TIME)));
    // A second try in vain changes nothing.
    write(&mut one, &[], 5_000);
    assert!(one.is_stalled(Time(6 + STALL_TIME)));
    // One byte that leaves starts the time again.
    write(&mut one, &[1], 9_000);
    assert!(!one.is_stalled(Time(6 + STALL_TIME)));
    assert!(one.is_stalled(Time(9_000 + STALL_TIME)));
    // What was never offered nobody has refused, however long it waits.
    let mut fresh = Output::default();
    push(&mut fresh, SOFT_LIMIT);
    push(&mut fresh, SOFT_LIMIT);
    assert!(!fresh.is_stalled(Time(u64::MAX)));
}
