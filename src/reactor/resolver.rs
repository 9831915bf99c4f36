//! Names of hosts, looked up without holding the loop up.
//!
//! What the system knows of names (hosts files, search domains, name services) it tells
//! only by a call that blocks. So that call has a thread of its own, which lives for the
//! one look-up: the only thread beside the loop's. Its answer comes back through a
//! channel, and the poll's waker tells that it is there. Nobody waits for the thread: when
//! the process ends, it ends too, whatever the call is waiting for.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use mio::Waker;

/// The addresses of a host.
type Answer = io::Result<Vec<SocketAddr>>;

/// How names are looked up; it may block.
type LookUp = dyn Fn(&str, u16) -> Answer + Send + Sync;

/// Looks up one name at a time.
pub(super) struct Resolver {
    waker: Arc<Waker>,
    look_up: Arc<LookUp>,
    /// The look-up that has the thread.
    running: Option<Running>,
    /// The name whose turn comes when the thread is free again.
    next: Option<(String, u16)>,
}

struct Running {
    name: (String, u16),
    answer: Receiver<Answer>,
    /// Another name is wanted by now.
    is_abandoned: bool,
}

impl Resolver {
    /// A resolver that asks the system. The waker's token tells that there is an answer.
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            waker: Arc::new(waker),
            look_up: Arc::new(ask_system),
            running: None,
            next: None,
        }
    }

    /// Begins to look a name up; [`Self::take`] gets the answer. An earlier name that was
    /// not answered yet is abandoned: its answer will be dropped, and as the call cannot be
    /// broken off, only then is this name's turn. So there is never more than one thread. If
    /// it is the same name, the call that runs is the one that is waited for.
    ///
    /// # Errors
    ///
    /// The system gives no thread.
    pub(super) fn look_up(&mut self, host: &str, port: u16) -> io::Result<()> {
        let name = (host.to_owned(), port);
        if let Some(running) = &mut self.running {
            running.is_abandoned = running.name != name;
            self.next = running.is_abandoned.then_some(name);
            return Ok(());
        }
        self.start(name)
    }

    /// The answer for the name that was asked for last, once it is there.
    pub(super) fn take(&mut self) -> Option<Answer> {
        let running = self.running.as_ref()?;
        let answer = match running.answer.try_recv() {
            Ok(answer) => answer,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err(io::Error::other("the look-up broke off")),
        };
        let is_abandoned = running.is_abandoned;
        self.running = None;
        if !is_abandoned {
            return Some(answer);
        }
        let name = self.next.take()?;
        self.start(name).err().map(Err)
    }

    fn start(&mut self, (host, port): (String, u16)) -> io::Result<()> {
        let (sender, answer) = channel();
        let (waker, look_up) = (Arc::clone(&self.waker), Arc::clone(&self.look_up));
        let name = (host.clone(), port);
        thread::Builder::new()
            .name("resolver".into())
            .spawn(move || {
                let answer = look_up(&host, port);
                // Whoever has lost interest in the answer needs none.
                if sender.send(answer).is_ok()
                    && let Err(error) = waker.wake()
                {
                    log::error!("cannot wake the poll loop: {error}");
                }
            })?;
        self.running = Some(Running {
            name,
            answer,
            is_abandoned: false,
        });
        Ok(())
    }
}

/// The address that a host stands for by itself, without any look-up.
pub(super) fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    let address: IpAddr = host.parse().ok()?;
    Some(SocketAddr::new(address, port))
}

fn ask_system(host: &str, port: u16) -> Answer {
    Ok((host, port).to_socket_addrs()?.collect())
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::Sender;
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    /// Look-ups that last until the test answers them.
    pub(in crate::reactor) struct Names {
        /// The names whose look-up has begun.
        pub(in crate::reactor) asked: Receiver<(String, u16)>,
        /// Answers, in the order of the look-ups.
        pub(in crate::reactor) answers: Sender<Answer>,
    }

    impl Names {
        /// Takes the place of the system.
        pub(in crate::reactor) fn replace_system(resolver: &mut Resolver) -> Self {
            let (ask, asked) = channel();
            let (answers, answer) = channel::<Answer>();
            let ends = Mutex::new((ask, answer));
            resolver.look_up = Arc::new(move |host: &str, port| {
                let (ask, answer) = &*ends.lock().expect("no holder panics");
                // The test may be over.
                let _ = ask.send((host.to_owned(), port));
                answer.recv().map_err(io::Error::other)?
            });
            Self { asked, answers }
        }

        /// Waits for a look-up to begin.
        pub(in crate::reactor) fn asked(&self) -> (String, u16) {
            let patience = Duration::from_secs(20);
            self.asked.recv_timeout(patience).expect("a look-up begins")
        }
    }

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    /// Waits for an answer as the loop does.
    fn wait(poll: &mut Poll, resolver: &mut Resolver) -> Answer {
        let mut events = Events::with_capacity(1);
        loop {
            if let Some(answer) = resolver.take() {
                return answer;
            }
            poll.poll(&mut events, Some(Duration::from_secs(20)))
                .expect("it polls");
            let woken = events.iter().map(|event| event.token()).collect::<Vec<_>>();
            assert_eq!(woken, [Token(5)], "an answer wakes the poll");
        }
    }

    #[test]
    fn addresses_need_no_look_up() {
        assert_eq!(literal("192.0.2.1", 7), Some(address(7)));
        assert_eq!(
            literal("::1", 7),
            Some("[::1]:7".parse().expect("an address"))
        );
        assert_eq!(literal("localhost", 7), None);
        assert_eq!(literal("192.0.2", 7), None);
    }

    #[test]
    fn the_system_is_asked_and_its_answer_wakes_the_poll() {
        let mut poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(5)).expect("a waker");
        let mut resolver = Resolver::new(waker);
        resolver.look_up("localhost", 4_222).expect("a thread");
        let addresses = wait(&mut poll, &mut resolver).expect("every host has that name");
        assert!(!addresses.is_empty());
        for address in addresses {
            assert!(
                address.ip().is_loopback() && address.port() == 4_222,
                "{address}"
            );
        }
        // No name server is asked for such a name.
        resolver.look_up("a..b", 1).expect("a thread");
        wait(&mut poll, &mut resolver).expect_err("it is no name");
        assert!(resolver.take().is_none());
    }

    #[test]
    fn a_name_that_is_asked_for_again_is_not_looked_up_again() {
        let mut poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(5)).expect("a waker");
        let mut resolver = Resolver::new(waker);
        let names = Names::replace_system(&mut resolver);
        for name in ["slow", "other", "slow"] {
            resolver.look_up(name, 1).expect("one thread is enough");
        }
        names.answers.send(Ok(vec![address(1)])).expect("it waits");
        let addresses = wait(&mut poll, &mut resolver).expect("it is known");
        assert_eq!(addresses, [address(1)]);
        assert_eq!(names.asked(), ("slow".to_owned(), 1));
        assert!(names.asked.try_recv().is_err() && resolver.take().is_none());
    }

    #[test]
    fn an_abandoned_look_up_is_waited_for_and_its_answer_dropped() {
        let mut poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(5)).expect("a waker");
        let mut resolver = Resolver::new(waker);
        let names = Names::replace_system(&mut resolver);
        resolver.look_up("first", 1).expect("a thread");
        assert_eq!(names.asked(), ("first".to_owned(), 1));
        // However often it is asked anew, there is one thread, and the last name counts.
        for port in 2..100 {
            resolver
                .look_up("later", port)
                .expect("no thread is needed");
            assert!(resolver.take().is_none());
        }
        names.answers.send(Ok(vec![address(1)])).expect("it waits");
        names.answers.send(Ok(vec![address(2)])).expect("it will");
        let addresses = wait(&mut poll, &mut resolver).expect("it is known");
        assert_eq!(addresses, [address(2)]);
        assert_eq!(names.asked(), ("later".to_owned(), 99));
        assert!(names.asked.try_recv().is_err());
    }
}
