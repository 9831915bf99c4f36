//! Protocol versions of clients (RES-Client protocol, "Version request").

/// The RES protocol version that this gateway speaks.
pub const PROTOCOL: &str = "1.2.3";

/// A protocol version: three whole numbers below 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u16,
    minor: u16,
    patch: u16,
}

impl Version {
    /// What a client without a handshake counts as.
    pub const DEFAULT: Self = Self {
        major: 1,
        minor: 1,
        patch: 1,
    };

    /// Reads `major.minor.patch`; leading zeros pass.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse::<u16>()
                .ok()
                .filter(|number| digits && *number < 1000)
        });
        let version = Self {
            major: parts.next()??,
            minor: parts.next()??,
            patch: parts.next()??,
        };
        parts.next().is_none().then_some(version)
    }

    /// Whether a client of this version can be served.
    pub fn is_supported(self) -> bool {
        self.major == 1
    }

    /// What this version's clients understand.
    pub fn dialect(self) -> Dialect {
        match (self.minor, self.patch) {
            (0 | 1, _) => Dialect::V1_1,
            (2, 0) => Dialect::V1_2_0,
            _ => Dialect::Current,
        }
    }
}

/// The forms of messages that clients of different versions are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Below 1.2.0: bare call results, no resource responses.
    V1_1,
    /// 1.2.0: neither soft references nor data values.
    V1_2_0,
    /// 1.2.1 and later.
    Current,
}

/// How clients are sent values that older protocol versions do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueForm {
    /// Soft references and data values as they are.
    Full,
    /// Below 1.2.1: soft references as texts, and `[Data]` for data values.
    Plain,
}

impl Dialect {
    /// How soft references and data values are sent.
    pub fn value_form(self) -> ValueForm {
        match self {
            Self::V1_1 | Self::V1_2_0 => ValueForm::Plain,
            Self::Current => ValueForm::Full,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_three_numbers() {
        for (text, dialect) in [
            ("1.0.0", Dialect::V1_1),
            ("1.1.9", Dialect::V1_1),
            ("1.2.0", Dialect::V1_2_0),
            ("1.02.3", Dialect::Current),
            ("1.2.1", Dialect::Current),
            ("1.999.0", Dialect::Current),
        ] {
            let version = Version::parse(text).expect(text);
            assert!(version.is_supported());
            assert_eq!(version.dialect(), dialect, "{text}");
        }
        assert!(!Version::parse("2.0.0").unwrap().is_supported());
        assert!(!Version::parse("0.2.0").unwrap().is_supported());
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.1000", "1.-2.3", "1.+2.3", " 1.2.3", "1..3",
        ] {
            assert_eq!(Version::parse(text), None, "{text:?}");
        }
    }
}
