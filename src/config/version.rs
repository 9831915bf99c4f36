//! The text of `--version`.
//!
//! There is no build script: what only the builder knows (the commit, the compiler) it says in
//! variables, as `make dist` does. Other builds leave these lines out, and the same source
//! gives the same bytes.

/// How much of the version is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// One line.
    Line,
    /// What this build is made of, too.
    Details,
}

const LINE: &str = concat!(
    "tidegate ",
    env!("CARGO_PKG_VERSION"),
    " (RES protocol 1.2.3)\n"
);

/// What the builder has said.
const BUILT: [(&str, Option<&str>); 2] = [
    ("commit", option_env!("TIDEGATE_COMMIT")),
    ("compiler", option_env!("TIDEGATE_COMPILER")),
];

/// What every build has.
const FEATURES: &str = "TLS (ring), compression (zlib-rs), broker inside, demo, commands";

/// The text of `--version`: a line, or one for each detail too.
pub fn version(shown: Shown) -> String {
    let mut text = LINE.to_owned();
    if shown == Shown::Line {
        return text;
    }
    for (name, value) in BUILT {
        if let Some(value) = value {
            push_line(&mut text, name, value);
        }
    }
    push_line(&mut text, "target", &target());
    let profile = match cfg!(debug_assertions) {
        true => "with debug assertions",
        false => "without debug assertions",
    };
    push_line(&mut text, "profile", profile);
    push_line(&mut text, "features", FEATURES);
    push_line(&mut text, "compatible", "Resgate 1.8.0");
    text
}

fn push_line(text: &mut String, name: &str, value: &str) {
    let name = format!("{name}:");
    text.push_str(&format!("  {name:12}{value}\n"));
}

/// The machine and the system that this was built for, and how it was linked.
fn target() -> String {
    use std::env::consts::{ARCH, OS};
    let libc = match (cfg!(target_env = "musl"), cfg!(target_env = "gnu")) {
        (true, _) => " musl",
        (_, true) => " glibc",
        _ => "",
    };
    let linked = match cfg!(target_feature = "crt-static") {
        true => "static",
        false => "dynamic",
    };
    format!("{ARCH} {OS}{libc}, {linked}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::res::version::PROTOCOL;

    #[test]
    fn a_line_with_both_versions_and_details_on_request() {
        let line = version(Shown::Line);
        let (own, protocol) = (env!("CARGO_PKG_VERSION"), PROTOCOL);
        assert_eq!(line, format!("tidegate {own} (RES protocol {protocol})\n"));
        let details = version(Shown::Details);
        assert!(details.starts_with(&line));
        for name in ["target:", "profile:", "features:", "compatible:"] {
            let is_there = |line: &str| line.starts_with("  ") && line.contains(name);
            assert!(details.lines().any(is_there), "{name}\n{details}");
        }
        assert!(details.contains(std::env::consts::ARCH), "{details}");
        assert!(details.lines().all(|line| line.len() <= 92), "{details}");
    }
}
