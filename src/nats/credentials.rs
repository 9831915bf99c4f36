//! What a client shows to be let in.

use std::fmt;

use super::nkey::{SeedError, UserKey};

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

/// What a credentials file holds: who the user is, and the key to prove it. `Debug` hides
/// both.
#[derive(Clone, PartialEq, Eq)]
pub struct UserCredentials {
    /// The user's JWT; none where the server knows the public key itself.
    pub jwt: Option<String>,
    /// The key that signs the server's nonce.
    pub key: UserKey,
}

/// Why a file holds no user credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialsError {
    /// It is not text.
    NoText,
    /// There is no seed in it.
    NoSeed,
    /// The seed in it is none.
    Seed(SeedError),
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoText => f.write_str("it is not text"),
            Self::NoSeed => {
                f.write_str("there is no seed in it; give a file as `nsc generate creds` writes it")
            }
            Self::Seed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CredentialsError {}

impl UserCredentials {
    /// Reads the text of a credentials file: a JWT and a seed, each between a line with
    /// `BEGIN` and one with `END`, as NATS tools write them. The JWT may be missing, and
    /// the seed may stand alone without these lines.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`], which shows nothing of the file.
    pub fn parse(file: &[u8]) -> Result<Self, CredentialsError> {
        let text = std::str::from_utf8(file).map_err(|_| CredentialsError::NoText)?;
        let (mut jwt, mut seed, mut section) = (None, None, "");
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line.starts_with("---") {
                section = match line.contains("BEGIN") {
                    true => line,
                    false => "",
                };
            } else if section.contains("JWT") {
                jwt = jwt.or(Some(line.to_owned()));
            } else if section.contains("SEED") || section.is_empty() && line.starts_with("SU") {
                seed = seed.or(Some(line));
            }
        }
        let seed = seed.ok_or(CredentialsError::NoSeed)?;
        let key = UserKey::from_seed(seed).map_err(CredentialsError::Seed)?;
        Ok(Self { jwt, key })
    }
}

impl fmt::Debug for UserCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCredentials(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_files() {
        let seed = nkeys::KeyPair::new_user().seed().unwrap();
        let key = UserKey::from_seed(&seed).unwrap();
        let full = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.e30.c2ln\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\
\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        );
        let alone =
            format!("-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n");
        for (text, jwt) in [
            (full.clone(), Some("eyJ0.e30.c2ln")),
            (full.replace('\n', "\r\n"), Some("eyJ0.e30.c2ln")),
            (full.replace('\n', "\n  \n "), Some("eyJ0.e30.c2ln")),
            (alone, None),
            (seed.clone(), None),
            (format!("# the gateway\n{seed}\n"), None),
        ] {
            let expected = UserCredentials {
                jwt: jwt.map(str::to_owned),
                key: key.clone(),
            };
            assert!(
                UserCredentials::parse(text.as_bytes()) == Ok(expected),
                "{text}"
            );
        }
        let no_seed = full.replace(&seed, "");
        for (file, error) in [
            (&b""[..], CredentialsError::NoSeed),
            (b"\xff\xfe", CredentialsError::NoText),
            (b"eyJ0.e30.c2ln", CredentialsError::NoSeed),
            (no_seed.as_bytes(), CredentialsError::NoSeed),
            (b"SUAB", CredentialsError::Seed(SeedError::Length)),
        ] {
            assert_eq!(UserCredentials::parse(file), Err(error));
        }
    }

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
        let user = UserCredentials::parse(nkeys::KeyPair::new_user().seed().unwrap().as_bytes());
        assert_eq!(format!("{user:?}"), "Ok(UserCredentials(hidden))");
        let shown = format!("{all:?}");
        assert_eq!(shown, "[None, UserPassword(hidden), Token(hidden)]");
    }
}
