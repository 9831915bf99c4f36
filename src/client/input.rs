//! What a command is given beside its flags: parameters of files and of standard input.

use std::io::{self, Read};

use crate::config::read_whole;
use crate::res::json;

use super::core::args::{Command, Source};
use super::core::error::Error;

/// Longest parameters that are read: a gateway takes no longer message.
const PARAMS_MAX: u64 = 1 << 20;

/// Parameters as JSON.
#[derive(Debug, Default)]
pub struct Params {
    /// Those of the method.
    pub method: Option<String>,
    /// Those of the login.
    pub login: Option<String>,
}

impl Params {
    /// Reads what the command names.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no JSON.
    pub fn read(command: &Command) -> Result<Self, Error> {
        let method = command.params.as_ref();
        let login = command.login.as_ref().and_then(|it| it.params.as_ref());
        Ok(Self {
            method: method.map(|it| read(it, "--params")).transpose()?,
            login: login.map(|it| read(it, "--auth-params")).transpose()?,
        })
    }
}

fn read(source: &Source, flag: &str) -> Result<String, Error> {
    let unreadable =
        |what: &str, error: io::Error| Error::Usage(format!("{flag}: cannot read {what}: {error}"));
    let (bytes, place) = match source {
        Source::Text(text) => (text.as_bytes().to_vec(), "the value".to_owned()),
        Source::File(path) => {
            let place = path.display().to_string();
            let bytes = read_whole(path, PARAMS_MAX);
            (bytes.map_err(|error| unreadable(&place, error))?, place)
        }
        Source::Input => {
            let place = "standard input".to_owned();
            let mut bytes = Vec::new();
            let read = io::stdin().take(PARAMS_MAX + 1).read_to_end(&mut bytes);
            read.map_err(|error| unreadable(&place, error))?;
            (bytes, place)
        }
    };
    if bytes.len() as u64 > PARAMS_MAX {
        let words = format!("{flag}: {place} has more than {PARAMS_MAX} bytes");
        return Err(Error::Usage(words));
    }
    match json::value(&bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(Error::Usage(format!(
            "{flag}: {place} is not JSON: {error}; texts stand in quotes, such as '{{\"a\":\"b\"}}'"
        ))),
    }
}
