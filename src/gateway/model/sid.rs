//! Broker subscription IDs: which message is for what.

use super::keys::{ClientKey, ClientRef, NameKey};

/// Broker subscription IDs say what they are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sid {
    /// System events.
    System,
    /// Answers to requests.
    Inbox,
    /// Events of a resource name.
    Name(NameKey),
    /// Events of a connection.
    Client(ClientRef),
}

impl Sid {
    pub fn number(self) -> u64 {
        match self {
            Self::System => 1,
            Self::Inbox => 2,
            Self::Name(key) => u64::from(key.generation()) << 32 | u64::from(key.index()) << 2 | 3,
            Self::Client(client) => {
                u64::from(client.serial) << 32 | (u64::from(client.key.0) + 1) << 2
            }
        }
    }

    pub fn of(number: u64) -> Option<Self> {
        let (high, low) = ((number >> 32) as u32, number as u32);
        match (high, low, low & 3) {
            (0, 1, _) => Some(Self::System),
            (0, 2, _) => Some(Self::Inbox),
            (_, _, 3) => Some(Self::Name(NameKey::from_parts(low >> 2, high))),
            (1.., 4.., 0) => {
                let key = ClientKey((low >> 2) - 1);
                Some(Self::Client(ClientRef { key, serial: high }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::model::keys::ClientKey;

    #[test]
    fn subscription_ids_tell_what_they_are_for() {
        let sids = [
            Sid::System,
            Sid::Inbox,
            Sid::Name(NameKey::from_parts(0, 1)),
            Sid::Name(NameKey::from_parts(123_456, 99)),
            Sid::Client(ClientRef {
                key: ClientKey(0),
                serial: 1,
            }),
            Sid::Client(ClientRef {
                key: ClientKey(70_000),
                serial: u32::MAX,
            }),
        ];
        for sid in sids {
            assert_eq!(Sid::of(sid.number()), Some(sid));
        }
        for number in [0, 4, 5, u64::from(u32::MAX) << 32] {
            assert_eq!(Sid::of(number), None, "{number}");
        }
    }
}
