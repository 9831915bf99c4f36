//! How long the gateway's turns took, as its operators' port tells.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::fault::Fault;

/// The families, with the beginning of their groups' labels: by the clock, and by CPU time.
const CLOCK: &str = "tidegate_loop_turn_seconds_bucket{le=\"";
const CPU: &str = "tidegate_loop_turn_cpu_seconds_bucket{le=\"";

/// What the operators' port tells of turns.
#[derive(Clone, Debug)]
pub struct Told {
    /// Turns by the clock.
    pub clock: Turns,
    /// The same by their CPU time, if it tells of that: what a turn takes beyond it, it has
    /// waited for a processor.
    pub cpu: Option<Turns>,
}

impl Told {
    /// Asks the operators' port. `None` if it does not tell of turns.
    pub fn ask(port: SocketAddr) -> Result<Option<Self>, Fault> {
        let mut socket = TcpStream::connect(port)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        socket.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        Ok(Turns::read(&text, CLOCK).map(|clock| Self {
            clock,
            cpu: Turns::read(&text, CPU),
        }))
    }

    /// The turns that `before` does not have.
    pub fn since(&self, before: &Self) -> Self {
        let cpu = self.cpu.as_ref().zip(before.cpu.as_ref());
        Self {
            clock: self.clock.since(&before.clock),
            cpu: cpu.map(|(now, then)| now.since(then)),
        }
    }

    /// The turns by what the gateway's thread did, as far as it is known.
    pub fn work(&self) -> &Turns {
        self.cpu.as_ref().unwrap_or(&self.clock)
    }
}

/// Turns by their times.
#[derive(Clone, Debug, Default)]
pub struct Turns {
    /// Upper bound in seconds, and turns up to it, those of smaller bounds included.
    groups: Vec<(f64, u64)>,
}

impl Turns {
    /// Reads the groups of a family out of a page; `None` if there are none.
    fn read(text: &str, family: &str) -> Option<Self> {
        let groups = text.lines().filter_map(|line| {
            let (bound, count) = line.strip_prefix(family)?.split_once("\"} ")?;
            let bound = bound.replace("+Inf", "inf").parse().ok()?;
            Some((bound, count.parse().ok()?))
        });
        let groups: Vec<_> = groups.collect();
        (!groups.is_empty()).then_some(Self { groups })
    }

    /// The turns that `before` does not have.
    fn since(&self, before: &Self) -> Self {
        let groups = self.groups.iter().zip(&before.groups);
        Self {
            groups: groups
                .map(|(now, then)| (now.0, now.1.saturating_sub(then.1)))
                .collect(),
        }
    }

    /// Bounds of the group with the longest turn, in seconds; `None` without turns.
    pub fn longest(&self) -> Option<(f64, f64)> {
        let mut below = (0.0, 0);
        let mut longest = None;
        for &(bound, count) in &self.groups {
            if count > below.1 {
                longest = Some((below.0, bound));
            }
            below = (bound, count);
        }
        longest
    }

    /// How many turns took longer than `seconds`, which is the bound of a group.
    pub fn above(&self, seconds: f64) -> u64 {
        let all = self.groups.last().map_or(0, |group| group.1);
        let up_to = self.groups.iter().filter(|group| group.0 <= seconds);
        all - up_to.map(|group| group.1).max().unwrap_or(0)
    }

    /// How many turns there were in each group that has some: its bound, and their count.
    pub fn each(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let below = std::iter::once(0).chain(self.groups.iter().map(|group| group.1));
        let each = self.groups.iter().zip(below);
        each.map(|(&(bound, count), below)| (bound, count - below))
            .filter(|(_, count)| *count > 0)
    }
}
