//! Programs of the host.

use std::path::Path;
use std::process::{Command, Stdio};

/// The gateway: that of this build, or another that `TIDEGATE_BIN` names.
pub fn binary() -> String {
    let built = env!("CARGO_BIN_EXE_tidegate").to_owned();
    std::env::var("TIDEGATE_BIN").unwrap_or(built)
}

/// What is in a file, named from the root of the repository.
pub fn read(relative: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// What became of a program.
pub struct Outcome {
    pub is_success: bool,
    /// Standard output, and behind it standard error.
    pub said: String,
}

/// Runs a program to its end; `None`, with a word, if it is not installed.
pub fn run(program: &str, arguments: &[&str]) -> Option<Outcome> {
    let mut command = Command::new(program);
    // Those of whoever runs the tests.
    let foreign = std::env::vars_os().map(|(name, _)| name);
    for name in foreign.filter(|name| name.as_encoded_bytes().starts_with(b"TIDEGATE_")) {
        command.env_remove(name);
    }
    let result = command
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output();
    let output = match result {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: {program} is not installed");
            return None;
        }
        Err(error) => panic!("cannot start {program}: {error}"),
    };
    let said = [output.stdout, output.stderr].concat();
    Some(Outcome {
        is_success: output.status.success(),
        said: String::from_utf8_lossy(&said).into_owned(),
    })
}
