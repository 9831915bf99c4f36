//! What a client shows to be let in.

use std::fmt;

/// Credentials sent in `CONNECT`. `Debug` hides the secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// None are sent; the server decides whether that is enough.
    #[default]
    None,
    /// User name and password.
    UserPassword {
        /// User name.
        user: String,
        /// Password, which may be empty.
        password: String,
    },
    /// One token that stands for both.
    Token(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::UserPassword { .. } => "UserPassword(hidden)",
            Self::Token(_) => "Token(hidden)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let all = [
            Credentials::None,
            Credentials::UserPassword {
                user: "SECRET".into(),
                password: "SECRET".into(),
            },
            Credentials::Token("SECRET".into()),
        ];
        let shown = format!("{all:?}");
        assert_eq!(shown, "[None, UserPassword(hidden), Token(hidden)]");
    }
}
