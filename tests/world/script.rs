//! What happens in a run: a list of actions with the time between them, drawn from a seed
//! beforehand, or from the fuzzer's bytes as it goes. Any part of the list is a valid script
//! too.

use super::changes::Focus;
use super::choices::{Bytes, Choices, Rng};
use super::service::{RIDS, TOKENS};

/// Connections that scripts use at the same time.
pub const SLOTS: usize = 5;

/// The connection of one who comes at rest and compares.
pub const NEWCOMER: usize = SLOTS;

/// All of these.
pub const CLIENTS: usize = SLOTS + 1;

/// Web requests that may be open at the same time.
pub const WEB_SLOTS: usize = 3;

/// Kinds of steps.
const KINDS: usize = 22;

/// Methods that are called.
const METHODS: [&str; 7] = ["set", "set", "ok", "res", "res", "new", "err"];

/// What a client asks for. Resources are numbers in [`RIDS`].
#[derive(Clone, Debug)]
pub enum Ask {
    Subscribe(usize),
    /// Subscribes again one, chosen by number, of those that failed or were deleted.
    Again(usize),
    /// Ends so many direct subscriptions of one of the client's, chosen by number.
    Unsubscribe {
        choice: usize,
        count: u32,
    },
    /// Ends a subscription that the client need not have.
    UnsubscribeAny(usize),
    Get(usize),
    Call(usize, &'static str),
    New(usize),
    /// Asks for another token.
    Login(usize),
    /// Something that is no valid request.
    Junk(usize),
    /// More requests at once than the gateway takes.
    Burst(usize),
    /// Bytes that may be a request.
    Anything(u64),
    /// A resource whose subjects are too long, in one of some ways.
    Long(usize),
}

/// How a change of access is made known.
#[derive(Clone, Copy, Debug)]
pub enum Tell {
    Reaccess,
    Reset,
    Nothing,
}

/// What a system reset is about: one name chosen by number, or one of some patterns.
#[derive(Clone, Copy, Debug)]
pub enum Pattern {
    Name(usize),
    Wild(usize),
}

/// One step of a script.
#[derive(Clone, Debug)]
pub enum Action {
    Connect(usize, usize),
    Disconnect(usize),
    /// A client asks for a stream of a resource.
    Stream(usize, usize),
    Ask(usize, Ask),
    Web(usize, usize),
    WebCall(usize, usize, &'static str),
    WebClose(usize),
    /// The services change one of their resources, chosen by number.
    Mutate {
        name: usize,
        silent: bool,
        roll: u64,
    },
    Custom(usize),
    Delete {
        name: usize,
        silent: bool,
    },
    Create(usize, u64),
    Regulate {
        name: usize,
        token: usize,
        tell: Tell,
        roll: u64,
    },
    /// A system reset with a pattern, of resources, access, or both.
    Reset {
        pattern: Pattern,
        resources: bool,
        access: bool,
        /// It overtakes what was sent before.
        early: bool,
    },
    Token(usize, usize),
    TokenReset(usize),
    /// A service message that means nothing.
    Noise(usize, usize),
    /// An event of a resource that says anything.
    LyingEvent(usize, u64),
    /// The same of the system.
    LyingSystem(u64),
    /// The same of a connection's token.
    LyingToken(usize, u64),
    /// More events come than the gateway can take: those on the way to it of one name,
    /// chosen by number, are dropped.
    Behind(usize),
    /// The broker is away for so many milliseconds.
    Outage(u64),
    /// So many resources are compared with what services have.
    Check(usize),
    /// Lets everything come to rest, and compares.
    Settle,
}

/// What a run may meet.
#[derive(Clone, Copy, Debug)]
pub struct Profile {
    /// Of what services have at first, and of everything else that labels are rolled for.
    pub seed: u64,
    /// Errors, time-outs, garbage and late answers.
    pub faults: bool,
    /// Resources come and go.
    pub deletes: bool,
    /// Changes without events, followed by resets.
    pub silent: bool,
    /// Another sender than the resource's answers access requests.
    pub access_apart: bool,
    /// Clients of older generations take part.
    pub legacy: bool,
    /// Everybody may do everything, always.
    pub open: bool,
    /// Connections that take part.
    pub slots: usize,
    /// Resources that take part most.
    pub focus: Focus,
    /// Most milliseconds between the gateway and the broker.
    pub latency: u64,
    /// The throttles of the gateway, 0 for none.
    pub reset_throttle: usize,
    pub reference_throttle: usize,
    /// Most resources that a web answer nests.
    pub web_resources: u64,
    /// Most units of work of a turn, 0 for no limit.
    pub units: u32,
    /// Runs are taken as the reactor takes them.
    pub follows_runs: bool,
    /// Services say and clients send anything. What services have is known then only of
    /// that of which they said nothing wrong.
    pub lies: bool,
    /// The broker goes away and comes back; and whether clients keep their tokens then.
    pub outages: bool,
    pub keep_tokens: bool,
    /// Requests that a service may have open at first, 0 for no limit.
    pub window: u32,
    /// Requests that a client may send in a second.
    pub rate: u32,
    /// Resources that a client may subscribe to, 0 for no limit.
    pub subscriptions: u32,
    /// Resources that may be cached, 0 for no limit.
    pub cached: usize,
    /// Updates that may wait at a subscription, 0 for as many as do.
    pub queue: usize,
    /// A service keeps the list of who is connected.
    pub presence: bool,
    /// The broker refuses to send the events of names, now and then.
    pub refusals: bool,
    /// The broker takes very small payloads only.
    pub small_payloads: bool,
    /// Most milliseconds between most steps.
    pub pace: u64,
    /// Kinds of steps that are left out, a bit for each: a run of few kinds meets what many
    /// kinds would hide from each other.
    pub without: u64,
}

/// A run: what it meets, and the steps with the milliseconds before each.
#[derive(Clone, Debug)]
pub struct Script {
    pub profile: Profile,
    pub steps: Vec<(u64, Action)>,
}

impl Script {
    /// The script of a seed.
    pub fn from_seed(seed: u64) -> Self {
        let mut rng = Rng::labelled(seed, "script", 0);
        let mut apart = Rng::labelled(seed, "profile", 0);
        let profile = Profile::draw(seed, &mut rng, &mut apart);
        let mut steps = Vec::new();
        for slot in 0..2 {
            steps.push((0, Action::Connect(slot, rng.below(4))));
        }
        for _ in 0..rng.between(40, 180) {
            profile.add_steps(&mut steps, &mut rng);
        }
        Self { profile, steps }
    }
}

impl Action {
    /// What follows some actions in many cases: a change without event is made good by
    /// a reset, what was deleted is asked for, and access that changed changes again.
    fn sequel(&self, rng: &mut impl Choices) -> Option<Self> {
        match *self {
            Self::Mutate {
                name, silent: true, ..
            }
            | Self::Delete { name, silent: true }
                if rng.chance(75) =>
            {
                Some(Self::Reset {
                    pattern: Pattern::Name(name),
                    resources: true,
                    access: false,
                    early: rng.chance(30),
                })
            }
            // Who held it holds its last state, and may be sent what it is now.
            Self::Delete { name, .. } if rng.chance(50) => Some(Self::Create(name, rng.seed())),
            Self::Delete { name, .. } | Self::Create(name, _)
                if name < RIDS.len() && rng.chance(80) =>
            {
                let ask = if rng.chance(60) {
                    Ask::Subscribe(name)
                } else {
                    Ask::Get(name)
                };
                // The first clients are connected most of the time.
                Some(Self::Ask(rng.below(2), ask))
            }
            Self::Regulate { name, .. } if name < RIDS.len() && rng.chance(25) => {
                Some(Self::Ask(rng.below(3), Ask::UnsubscribeAny(name)))
            }
            Self::Regulate {
                name, token, tell, ..
            } if rng.chance(50) => Some(Self::Regulate {
                name,
                token,
                tell,
                roll: rng.seed(),
            }),
            Self::Token(slot, _) if rng.chance(40) => Some(Self::Token(slot, rng.below(TOKENS))),
            _ => None,
        }
    }
}

impl Profile {
    /// What a run meets that is led by hand.
    pub fn by_hand(units: u32) -> Self {
        let seed = 1;
        let mut profile = Self::draw(seed, &mut Rng::new(seed), &mut Rng::new(seed));
        (profile.faults, profile.lies, profile.outages) = (false, false, false);
        (profile.access_apart, profile.open) = (false, false);
        (profile.latency, profile.units, profile.window) = (0, units, 0);
        (profile.reset_throttle, profile.reference_throttle) = (0, 0);
        (profile.web_resources, profile.small_payloads) = (100_000, false);
        (profile.follows_runs, profile.keep_tokens, profile.without) = (false, false, 0);
        (profile.rate, profile.subscriptions) = (0, 0);
        (profile.cached, profile.queue, profile.refusals) = (0, 0, false);
        profile.presence = false;
        profile
    }

    /// What a run meets by the bytes of a fuzzer.
    pub fn from_bytes(bytes: &mut Bytes) -> Self {
        let seed = bytes.draw(256);
        Self::draw(seed, &mut bytes.clone(), bytes)
    }

    /// What a run meets, by the script's choices, and by choices apart from these.
    fn draw(seed: u64, rng: &mut impl Choices, apart: &mut impl Choices) -> Self {
        let faults = rng.chance(50);
        let lies = faults && apart.chance(30);
        Self {
            seed,
            faults,
            deletes: rng.chance(50),
            silent: rng.chance(50),
            access_apart: rng.chance(30),
            legacy: rng.chance(30),
            open: rng.chance(30),
            slots: *apart.pick(&[SLOTS, 3, 2]),
            // Runs that use few resources meet more often on the same ones.
            focus: Focus {
                first: rng.below(RIDS.len()),
                count: [RIDS.len(), 3, 6, 9][rng.weighted(&[3, 1, 2, 2])],
                dense: apart.chance(40),
            },
            latency: *rng.pick(&[0, 3, 60]),
            reset_throttle: *apart.pick(&[0, 0, 1, 2, 3]),
            reference_throttle: *apart.pick(&[0, 0, 1, 2, 3]),
            units: *apart.pick(&[0, 1, 3, 10, 50]),
            follows_runs: apart.chance(50),
            lies,
            outages: faults && apart.chance(40),
            keep_tokens: apart.chance(50),
            window: *apart.pick(&[0, 0, 1, 2, 5]),
            small_payloads: lies && apart.chance(12),
            pace: *rng.pick(&[5, 30, 120]),
            web_resources: *apart.pick(&[100_000, 100_000, 2, 5, 20]),
            rate: *apart.pick(&[0, 0, 0, 5, 30]),
            subscriptions: *apart.pick(&[0, 0, 0, 2, 5]),
            cached: match *apart.pick(&[0, 0, 0, 3, 8]) {
                most if faults => most,
                _ => 0,
            },
            refusals: faults && apart.chance(25),
            without: match apart.chance(40) {
                // Each kind is left out of one run in two, but for what clients ask.
                true => apart.draw(1 << KINDS) & !1,
                false => 0,
            },
            queue: *apart.pick(&[0, 0, 0, 1, 2, 4]),
            presence: apart.chance(50),
        }
    }

    /// Whether the gateway may refuse what a service has, for a reason that the world does not
    /// keep books of.
    pub fn may_refuse(&self) -> bool {
        self.cached > 0 || self.refusals
    }

    /// One more step, and what follows from it in many cases.
    pub fn add_steps(&self, steps: &mut Vec<(u64, Action)>, rng: &mut impl Choices) {
        let gap = match rng.weighted(&[45, 50, 4, 1]) {
            0 => 0,
            1 => rng.between(0, self.pace),
            2 => rng.between(500, 4000),
            _ => rng.between(4900, 5200),
        };
        let mut step = (gap, self.action(rng));
        while let Some(sequel) = step.1.sequel(rng) {
            steps.push(std::mem::replace(
                &mut step,
                (rng.between(0, self.pace), sequel),
            ));
        }
        steps.push(step);
    }

    /// How often each kind of step is taken.
    fn weights(&self) -> [u64; KINDS] {
        let on = |on: bool, weight: u64| if on { weight } else { 0 };
        let mut weights = [
            60,
            34,
            6,
            6,
            10,
            1,
            8,
            on(self.deletes, 8),
            on(self.deletes, 8),
            on(!self.open, 8),
            on(self.silent, 5),
            4,
            1,
            2,
            1,
            on(self.lies, 14),
            on(self.lies, 3),
            on(self.lies, 2),
            on(self.latency > 0, 3),
            on(self.outages, 3),
            6,
            12,
        ];
        for (kind, weight) in weights.iter_mut().enumerate() {
            *weight = on(self.without >> kind & 1 == 0, *weight);
        }
        weights
    }

    fn action(&self, rng: &mut impl Choices) -> Action {
        let rid = |rng: &mut _| self.focus.number(rng);
        let slot = rng.below(self.slots);
        // Numbers beyond the resource IDs stand for any name.
        let name = if rng.chance(70) {
            rid(rng)
        } else {
            RIDS.len() + rng.below(64)
        };
        match rng.weighted(&self.weights()) {
            0 => Action::Ask(slot, self.ask(rng)),
            1 => {
                let silent = self.silent && rng.chance(12);
                Action::Mutate {
                    name,
                    silent,
                    roll: rng.seed(),
                }
            }
            2 => Action::Connect(slot, rng.below(4)),
            3 => Action::Disconnect(slot),
            4 if rng.chance(30) => {
                let method = METHODS[rng.below(METHODS.len())];
                Action::WebCall(rng.below(WEB_SLOTS), rid(rng), method)
            }
            4 => Action::Web(rng.below(WEB_SLOTS), rid(rng)),
            5 => Action::WebClose(rng.below(WEB_SLOTS)),
            6 => Action::Custom(name),
            7 => Action::Delete {
                name,
                silent: self.silent && rng.chance(30),
            },
            8 => Action::Create(name, rng.seed()),
            9 => {
                let tell = [Tell::Reaccess, Tell::Reset, Tell::Nothing][rng.weighted(&[4, 3, 1])];
                // Most clients have no token.
                let token = if rng.chance(50) { 0 } else { rng.below(TOKENS) };
                Action::Regulate {
                    name,
                    token,
                    tell,
                    roll: rng.seed(),
                }
            }
            10 => {
                let (pattern, what) = (Pattern::Wild(rng.below(64)), rng.below(3));
                Action::Reset {
                    pattern,
                    resources: what != 0,
                    access: what != 1,
                    early: rng.chance(30),
                }
            }
            11 => Action::Token(slot, rng.below(TOKENS)),
            12 => Action::TokenReset(rng.below(TOKENS)),
            13 => Action::Noise(name, rng.below(64)),
            14 => Action::Settle,
            15 => Action::LyingEvent(name, rng.seed()),
            16 => Action::LyingSystem(rng.seed()),
            17 => Action::LyingToken(slot, rng.seed()),
            18 => Action::Behind(rng.below(64)),
            19 => Action::Outage(*rng.pick(&[0, 1, 50, 900, 2_900, 4_000])),
            20 => Action::Check(1 + rng.below(6)),
            _ => Action::Stream(slot, rid(rng)),
        }
    }

    fn ask(&self, rng: &mut impl Choices) -> Ask {
        let rid = |rng: &mut _| self.focus.number(rng);
        let method = *rng.pick(&METHODS);
        let anything = if self.lies { 60 } else { 0 };
        let long = if self.lies { 10 } else { 0 };
        match rng.weighted(&[360, 260, 30, 80, 140, 30, 50, 20, 1, 80, anything, long]) {
            0 => Ask::Subscribe(rid(rng)),
            1 => Ask::Unsubscribe {
                choice: rng.below(64),
                count: *rng.pick(&[1, 1, 2, 2, 3, 4]),
            },
            2 => Ask::UnsubscribeAny(rid(rng)),
            3 => Ask::Get(rid(rng)),
            4 => Ask::Call(rid(rng), method),
            5 => Ask::New(rid(rng)),
            6 => Ask::Login(rng.below(TOKENS)),
            7 => Ask::Junk(rng.below(64)),
            8 => Ask::Burst(rid(rng)),
            9 => Ask::Again(rng.below(64)),
            10 => Ask::Anything(rng.seed()),
            _ => Ask::Long(rng.below(8)),
        }
    }
}

#[test]
fn a_seed_always_gives_the_same_script() {
    let text = |seed| format!("{:?}", Script::from_seed(seed));
    assert_eq!(text(11), text(11));
    assert_ne!(text(11), text(12));
}

#[test]
fn a_swarm_leaves_kinds_of_steps_out() {
    let without: Vec<u64> = (0..100)
        .map(|seed| Script::from_seed(seed).profile.without)
        .collect();
    let swarm = without.iter().filter(|without| **without != 0);
    assert!((20..60).contains(&swarm.count()));
    for kind in 1..KINDS {
        let is_left_out = |without: &&u64| *without >> kind & 1 == 1;
        assert!(
            without.iter().any(|without| is_left_out(&without)),
            "{kind}"
        );
    }
    let mut profile = Profile::by_hand(0);
    profile.without = !1;
    let weights = profile.weights();
    assert!(weights[0] > 0 && weights[1..].iter().all(|weight| *weight == 0));
}
