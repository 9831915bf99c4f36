//! The virtual broker: subscriptions, matching, and the delivery order of NATS. What
//! one sender sent arrives in that order; what different senders sent may interleave.

use std::collections::BTreeMap;

/// The broker's table of the gateway's subscriptions.
#[derive(Clone, Debug, Default)]
pub struct Broker {
    subscriptions: BTreeMap<u64, String>,
    /// Every subscription ID ever used: none may come twice.
    used: BTreeMap<u64, String>,
}

impl Broker {
    /// Enters a subscription.
    ///
    /// # Errors
    /// Says so if the ID was used before or the subject is subscribed already.
    pub fn subscribe(&mut self, sid: u64, subject: &str) -> Result<(), String> {
        if let Some(earlier) = self.used.insert(sid, subject.to_owned()) {
            return Err(format!(
                "subscription ID {sid} for {subject} was used for {earlier}"
            ));
        }
        if self.subscriptions.values().any(|other| other == subject) {
            return Err(format!("{subject} is subscribed already"));
        }
        self.subscriptions.insert(sid, subject.to_owned());
        Ok(())
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// Says so if there is none of this ID.
    pub fn unsubscribe(&mut self, sid: u64) -> Result<(), String> {
        match self.subscriptions.remove(&sid) {
            Some(_) => Ok(()),
            None => Err(format!("subscription ID {sid} to end is unknown")),
        }
    }

    /// A subscription was refused, and its ID may come again: its name is in use still.
    pub fn forget(&mut self, sid: u64) {
        self.subscriptions.remove(&sid);
        self.used.remove(&sid);
    }

    /// The subscriptions that a message on a subject goes to.
    pub fn route(&self, subject: &str) -> Vec<u64> {
        let matching = self
            .subscriptions
            .iter()
            .filter(|(_, pattern)| matches(pattern, subject));
        matching.map(|(&sid, _)| sid).collect()
    }

    /// The subjects subscribed to.
    pub fn subjects(&self) -> impl Iterator<Item = &str> {
        self.subscriptions.values().map(String::as_str)
    }
}

/// Delivery times of senders, each in order.
#[derive(Clone, Debug, Default)]
pub struct Lanes {
    last: BTreeMap<String, u64>,
}

impl Lanes {
    /// When a message that wants to arrive at a time does arrive, given what its
    /// sender sent before.
    pub fn arrival(&mut self, sender: &str, wanted: u64) -> u64 {
        let last = self.last.entry(sender.to_owned()).or_default();
        *last = wanted.max(*last);
        *last
    }

    /// The same for a message that all of several senders would have sent in order.
    pub fn joint_arrival(&mut self, senders: &[String], wanted: u64) -> u64 {
        let last = senders
            .iter()
            .filter_map(|sender| self.last.get(sender))
            .max();
        let arrival = wanted.max(last.copied().unwrap_or(0));
        for sender in senders {
            self.arrival(sender, arrival);
        }
        arrival
    }
}

/// Whether a subject falls under a pattern with the wildcards `*` and `>`.
pub fn matches(pattern: &str, subject: &str) -> bool {
    let mut subject = subject.split('.');
    for part in pattern.split('.') {
        match (part, subject.next()) {
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (part, Some(token)) if part == token => {}
            _ => return false,
        }
    }
    subject.next().is_none()
}

#[test]
fn patterns_match_by_tokens() {
    let table = [
        ("a.b", "a.b", true),
        ("a.b", "a.c", false),
        ("a.*", "a.b", true),
        ("a.*", "a.b.c", false),
        ("a.*", "a", false),
        ("*.b", "a.b", true),
        ("a.>", "a.b.c", true),
        ("a.>", "a", false),
        (">", "a", true),
    ];
    for (pattern, subject, expected) in table {
        assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
    }
}

#[test]
fn subscription_ids_and_subjects_are_unique() {
    let mut broker = Broker::default();
    assert_eq!(broker.subscribe(1, "a.*"), Ok(()));
    assert!(broker.subscribe(1, "b").is_err());
    assert!(broker.subscribe(2, "a.*").is_err());
    assert_eq!(broker.route("a.x"), [1]);
    assert_eq!(broker.unsubscribe(1), Ok(()));
    assert!(broker.unsubscribe(1).is_err());
    assert!(broker.route("a.x").is_empty());
    assert!(
        broker.subscribe(1, "a.*").is_err(),
        "an ID of the past comes back"
    );
}

#[test]
fn a_sender_keeps_its_order() {
    let mut lanes = Lanes::default();
    assert_eq!(lanes.arrival("a", 50), 50);
    assert_eq!(lanes.arrival("a", 20), 50);
    assert_eq!(lanes.arrival("b", 20), 20);
    assert_eq!(lanes.joint_arrival(&["a".into(), "b".into()], 30), 50);
    assert_eq!(lanes.arrival("b", 20), 50);
}
