//! What can be wrong with the command line or the configuration file.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A flag of the command line, with its dashes.
    Flag(&'static str),
    /// A variable of the environment.
    Variable(&'static str),
    /// A member of the configuration file.
    Member {
        /// The file.
        path: PathBuf,
        /// The member's name.
        member: &'static str,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Flag(flag) => f.write_str(flag),
            Place::Variable(name) => f.write_str(name),
            Place::Member { path, member } => write!(f, "\"{member}\" in {}", path.display()),
        }
    }
}

/// Why there is no configuration to run with. The message is one line that says what
/// is wrong, where, and what to do.
#[derive(Debug)]
pub enum Error {
    /// A flag that does not exist.
    UnknownFlag {
        /// The argument as given.
        argument: String,
    },
    /// An argument of dashes without a name, such as `---x` or `--=x`.
    MalformedFlag {
        /// The argument as given.
        argument: String,
    },
    /// The command line ends where a flag's value should stand.
    MissingValue {
        /// The flag.
        flag: &'static str,
    },
    /// An argument that is no flag; there is nothing that takes one.
    UnexpectedArgument {
        /// The argument as given.
        argument: String,
        /// The switch before it, if the argument looks like that switch's value.
        switch: Option<&'static str>,
    },
    /// The file exists and cannot be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is larger than a configuration can be.
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The file is not JSON, or not a JSON object.
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong, with line and column (in bytes, from 1).
        source: serde_json::Error,
    },
    /// A value that its option does not take.
    Invalid {
        /// Where it was written.
        place: Place,
        /// What is wrong and what would be right.
        reason: String,
    },
}

impl Error {
    /// The exit code of a process that ends with this error: 2 if the command line
    /// itself is wrong, otherwise 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::UnknownFlag { .. }
            | Error::MalformedFlag { .. }
            | Error::MissingValue { .. }
            | Error::UnexpectedArgument { .. } => 2,
            _ => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HELP: &str = "see tidegate --help";
        match self {
            Error::UnknownFlag { argument } => write!(f, "unknown flag {argument}; {HELP}"),
            Error::MalformedFlag { argument } => {
                write!(
                    f,
                    "{argument} is not a flag, no name follows the dashes; {HELP}"
                )
            }
            Error::MissingValue { flag } => {
                write!(f, "{flag} needs a value: {flag} <value>; {HELP}")
            }
            Error::UnexpectedArgument {
                argument,
                switch: Some(switch),
            } => write!(
                f,
                "unexpected argument {argument}; write {switch}={argument} to give {switch} a value"
            ),
            Error::UnexpectedArgument {
                argument,
                switch: None,
            } => write!(f, "unexpected argument {argument}; {HELP}"),
            Error::Unreadable { path, source } => write!(
                f,
                "cannot read the configuration file {}: {source}; give another path, or one \
                 where no file is yet to have it created",
                path.display()
            ),
            Error::TooLarge { path, limit } => write!(
                f,
                "the configuration file {} is larger than {limit} bytes; is it the right file?",
                path.display()
            ),
            Error::Syntax { path, source } => write!(
                f,
                "the configuration file {} is not valid: {source}; correct it there",
                path.display()
            ),
            Error::Invalid { place, reason } => write!(f, "{place}: {reason}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Unreadable { source, .. } => Some(source),
            Error::Syntax { source, .. } => Some(source),
            _ => None,
        }
    }
}
