//! How a command ends that does not end well.

use std::fmt;

use crate::res::json;

use super::print::visible;

/// Why a command has failed. Each is one sentence and an exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The command line, or what it names, is wrong.
    Usage(String),
    /// The gateway or the service has answered with an error.
    Refused {
        /// What was asked, such as `get todo.items`.
        request: String,
        /// The error's code.
        code: String,
        /// Its sentence.
        message: String,
        /// Its data, as JSON.
        data: Option<String>,
    },
    /// There is no connection, or it was lost.
    Connection(String),
    /// Nothing came in time.
    TimedOut(String),
    /// What was to be shown cannot be written.
    Output(String),
    /// The user wants it to end, by a signal or by closing what reads the output: no error,
    /// but an end.
    Ended,
}

impl Error {
    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Output(_) => 1,
            Self::Refused { code, .. } if code == "system.timeout" => 4,
            Self::Refused { .. } => 2,
            Self::Ended => 0,
            Self::Connection(_) => 3,
            Self::TimedOut(_) => 4,
        }
    }

    /// The error as a JSON object: the service's own code, or one of ours.
    pub fn to_json(&self) -> String {
        let (code, message, data) = match self {
            Self::Usage(words) => ("client.usage", words, None),
            Self::Refused {
                code,
                message,
                data,
                ..
            } => (&**code, message, data.as_deref()),
            Self::Connection(words) => ("client.connection", words, None),
            Self::TimedOut(words) => ("client.timeout", words, None),
            Self::Output(words) => ("client.output", words, None),
            Self::Ended => ("client.ended", &String::new(), None),
        };
        let mut out = b"{\"error\":{\"code\":".to_vec();
        json::write_string(code, &mut out);
        out.extend_from_slice(b",\"message\":");
        json::write_string(message, &mut out);
        if let Some(data) = data {
            out.extend_from_slice(b",\"data\":");
            out.extend_from_slice(data.as_bytes());
        }
        out.extend_from_slice(b"}}");
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(words)
            | Self::Connection(words)
            | Self::TimedOut(words)
            | Self::Output(words) => f.write_str(&visible(words)),
            Self::Ended => f.write_str("ended"),
            Self::Refused {
                request,
                code,
                message,
                data,
            } => {
                let (request, message, code) = (visible(request), visible(message), visible(code));
                write!(f, "{request}: {message} ({code})")?;
                match data {
                    Some(data) => write!(f, " {}", visible(data)),
                    None => Ok(()),
                }
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str, data: Option<&str>) -> Error {
        Error::Refused {
            request: "get a.b".to_owned(),
            code: code.to_owned(),
            message: "No\u{1b}[31m such".to_owned(),
            data: data.map(str::to_owned),
        }
    }

    #[test]
    fn each_has_its_sentence_and_its_code() {
        let table = [
            (Error::Usage("no".into()), 1, "no"),
            (
                refused("system.notFound", None),
                2,
                "get a.b: No\\u001b[31m such (system.notFound)",
            ),
            (
                refused("system.timeout", Some("{\"a\":1}")),
                4,
                "get a.b: No\\u001b[31m such (system.timeout) {\"a\":1}",
            ),
            (Error::Connection("gone".into()), 3, "gone"),
            (Error::TimedOut("late".into()), 4, "late"),
            (Error::Output("full".into()), 1, "full"),
        ];
        for (error, code, words) in table {
            assert_eq!(error.exit_code(), code);
            assert_eq!(error.to_string(), words);
            json::value(error.to_json().as_bytes()).expect("JSON");
        }
        assert_eq!(
            refused("x.y", Some("[1]")).to_json(),
            "{\"error\":{\"code\":\"x.y\",\"message\":\"No\\u001b[31m such\",\"data\":[1]}}"
        );
    }
}
