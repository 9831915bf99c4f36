//! Events in a row for the same clients, framed once for all of them.
//!
//! The gateway hands out the first event of a streak to each of its receivers, and then only
//! tells of the events that follow. Here they are put together behind each other, in
//! bytes that stand in the queues of all receivers: what follows costs the same for one
//! client as for ten thousand, and each of them is sent all of it in one write, from where
//! it is.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;

use super::compression::Compression;
use super::framing::Framing;
use crate::gateway::{InQueues, Message};

/// Bytes of a streak from which on the next event begins another one. A queue learns of the
/// streak's growth late, so that its limits may be passed by as much.
const STREAK_MAX: usize = 128 << 10;

/// The frames of a streak in the form for some connections. They grow until they are read
/// for the first time.
#[derive(Debug, Default)]
pub(super) struct Frames {
    growing: RefCell<Vec<u8>>,
    whole: OnceCell<Box<[u8]>>,
    in_queues: InQueues,
}

impl Frames {
    /// Their length by now.
    pub(super) fn len(&self) -> usize {
        match self.whole.get() {
            Some(bytes) => bytes.len(),
            None => self.growing.borrow().len(),
        }
    }

    /// In how many queues they stand.
    pub(super) fn in_queues(&self) -> &InQueues {
        &self.in_queues
    }

    /// The frames, which grow no more.
    pub(super) fn bytes(&self) -> &[u8] {
        self.whole.get_or_init(|| self.growing.take().into())
    }

    /// Adds a message.
    fn add(&self, message: &Message, framing: Framing, compression: &mut Compression) {
        debug_assert!(self.whole.get().is_none(), "a sealed streak was continued");
        let envelope = framing.envelope(message, compression);
        envelope.write(message, &mut self.growing.borrow_mut());
    }
}

/// The streak to which events can be added.
#[derive(Debug, Default)]
pub(super) struct Streak {
    parts: Vec<Part>,
}

/// The receivers with the same framing.
#[derive(Debug)]
struct Part {
    framing: Framing,
    frames: Rc<Frames>,
    receivers: u64,
}

/// What an event that follows comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Followed {
    /// How many clients get it.
    pub receivers: u64,
    /// Whether the streak should take no more.
    pub is_full: bool,
}

impl Streak {
    /// Forgets the streak, of which the receivers keep what they have.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
    }

    /// What a receiver of the streak's first message is sent.
    pub(super) fn lead(
        &mut self,
        message: &Message,
        framing: Framing,
        compression: &mut Compression,
    ) -> Rc<Frames> {
        let known = self.parts.iter_mut().find(|part| part.framing == framing);
        match known {
            Some(part) => {
                part.receivers += 1;
                part.frames.clone()
            }
            None => {
                let frames = Rc::new(Frames::default());
                frames.add(message, framing, compression);
                self.parts.push(Part {
                    framing,
                    frames: frames.clone(),
                    receivers: 1,
                });
                frames
            }
        }
    }

    /// Adds a message for all receivers.
    pub(super) fn follow(&mut self, message: &Message, compression: &mut Compression) -> Followed {
        let mut followed = Followed {
            receivers: 0,
            is_full: false,
        };
        for part in &self.parts {
            part.frames.add(message, part.framing, compression);
            followed.receivers += part.receivers;
            followed.is_full |= part.frames.len() >= STREAK_MAX;
        }
        followed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::Time;
    use crate::reactor::framing::Chunking;
    use crate::reactor::output::{Output, Piece, Written};
    use crate::ws::extension::negotiate;

    const TEXT: Framing = Framing::WebSocket(None);

    /// What reaches the wire of a queue.
    fn written(output: &mut Output) -> Vec<u8> {
        let (mut wire, mut scratch) = (Vec::new(), Vec::new());
        while output
            .write_to(&mut wire, &mut scratch, Time(0))
            .expect("a vector takes all")
            != Written::All
        {}
        wire
    }

    /// The same messages, each as a piece of its own.
    fn alone(messages: &[Rc<Message>], framing: Framing, compression: &mut Compression) -> Vec<u8> {
        let mut output = Output::default();
        for message in messages {
            let envelope = framing.envelope(message, compression);
            output.push(Piece::Message(message.clone(), envelope), Time(0));
        }
        written(&mut output)
    }

    #[test]
    fn every_receiver_is_sent_every_message_in_its_framing() {
        let mut compression = Compression::new(true);
        let agreed = negotiate([&b"permessage-deflate"[..]].into_iter());
        let messages: Vec<_> = [20, 300, 200, 5_000, 20]
            .map(|length| Message::new(&vec![b'a'; length]))
            .into();
        let mut streak = Streak::default();
        let agreed = Framing::WebSocket(agreed);
        let events = Framing::Events(Chunking::Chunked);
        let framings = [TEXT, agreed, TEXT, events, agreed, events];
        let mut outputs = framings.map(|_| Output::default());
        for (output, framing) in outputs.iter_mut().zip(framings) {
            // Something stands before it.
            output.push(Piece::Bytes(Box::new([0x8a, 0])), Time(0));
            let frames = streak.lead(&messages[0], framing, &mut compression);
            output.push(Piece::streak(frames), Time(0));
        }
        assert_eq!(streak.parts.len(), 3);
        for message in &messages[1..] {
            let before = outputs.each_ref().map(Output::bytes);
            let followed = streak.follow(message, &mut compression);
            let after = outputs.each_ref().map(Output::bytes);
            assert_eq!((followed.receivers, followed.is_full), (6, false));
            let grown = [0, 2, 3, 5].map(|index| after[index] - before[index]);
            let (frame, event) = (message.text().len() + header(message), event(message));
            assert_eq!(grown, [frame, frame, event, event]);
        }
        for (output, framing) in outputs.iter_mut().zip(framings) {
            let before = output.bytes();
            let pong = output.push(Piece::Bytes(Box::new([0x8a, 0])), Time(0));
            let bytes = output.bytes();
            assert_eq!(bytes, before + pong);
            let expected = [
                &[0x8a, 0][..],
                &alone(&messages, framing, &mut compression),
                &[0x8a, 0],
            ]
            .concat();
            let wire = written(output);
            assert_eq!(wire.len(), bytes);
            assert!(wire == expected);
        }
    }

    fn header(message: &Message) -> usize {
        if message.text().len() < 126 { 2 } else { 4 }
    }

    fn event(message: &Message) -> usize {
        let event = "id:\ndata:\n\n".len() + message.text().len();
        format!("{event:x}\r\n\r\n").len() + event
    }

    #[test]
    fn a_streak_that_is_long_enough_says_so() {
        let mut compression = Compression::new(false);
        let message = Message::new(&[b'x'; 60_000]);
        let mut streak = Streak::default();
        streak.lead(&message, TEXT, &mut compression);
        assert!(!streak.follow(&message, &mut compression).is_full);
        assert!(streak.follow(&message, &mut compression).is_full);
        streak.clear();
        assert_eq!(streak.follow(&message, &mut compression).receivers, 0);
    }
}
