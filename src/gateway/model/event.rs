//! Kinds of events, read once from the subject that an event came on.

use std::borrow::Cow;

/// What an event of a resource name is (RES-Service protocol, "Events").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind<'a> {
    /// Properties of a model have changed.
    Change,
    /// A value was added to a collection.
    Add,
    /// A value was removed from a collection.
    Remove,
    /// The resource is gone.
    Delete,
    /// Query resources may have changed.
    Query,
    /// Access is to be asked again.
    Reaccess,
    /// Anything else, passed on as it is.
    Custom(Cow<'a, str>),
}

impl<'a> EventKind<'a> {
    /// The kind that a name means. Letter case counts.
    pub fn of(name: &'a str) -> Self {
        match name {
            "change" => Self::Change,
            "add" => Self::Add,
            "remove" => Self::Remove,
            "delete" => Self::Delete,
            "query" => Self::Query,
            "reaccess" => Self::Reaccess,
            _ => Self::Custom(Cow::Borrowed(name)),
        }
    }

    /// The name, as in subjects and in what clients are sent.
    pub fn name(&self) -> &str {
        match self {
            Self::Change => "change",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::Delete => "delete",
            Self::Query => "query",
            Self::Reaccess => "reaccess",
            Self::Custom(name) => name,
        }
    }

    /// Whether the resource is another one after it.
    pub fn changes_state(&self) -> bool {
        matches!(self, Self::Change | Self::Add | Self::Remove | Self::Delete)
    }

    /// The same, to be kept.
    pub fn into_owned(self) -> EventKind<'static> {
        match self {
            Self::Change => EventKind::Change,
            Self::Add => EventKind::Add,
            Self::Remove => EventKind::Remove,
            Self::Delete => EventKind::Delete,
            Self::Query => EventKind::Query,
            Self::Reaccess => EventKind::Reaccess,
            Self::Custom(name) => EventKind::Custom(Cow::Owned(name.into_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_kinds_and_back() {
        for name in [
            "change", "add", "remove", "delete", "query", "reaccess", "custom", "Change", "",
        ] {
            let kind = EventKind::of(name);
            assert_eq!(kind.name(), name);
            assert_eq!(kind.clone().into_owned(), kind);
            let is_custom = matches!(kind, EventKind::Custom(_));
            assert_eq!(
                is_custom,
                ["custom", "Change", ""].contains(&name),
                "{name}"
            );
        }
    }
}
