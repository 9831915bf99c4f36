//! The text of `--help`, made of the table of options.

use super::options::{EXTRAS, OPTIONS, Value};

/// Where the meanings begin, in characters.
const MEANING: usize = 31;

const HEAD: &str = "\
Usage: tidegate [flags]

A realtime and REST API gateway for the RES protocol, in front of a NATS server.

";

const TAIL: &str = "
A flag wins over the environment (TIDEGATE_NATS for --nats and so on), and that over
the file. A switch is turned off with =false. `tidegate help` lists the commands that talk
to a gateway: get, watch, call, auth.
";

/// The text of `--help`: one screen, a line for each flag.
pub fn help() -> String {
    let mut text = String::from(HEAD);
    for spec in &OPTIONS {
        let default = match &spec.default {
            Value::Text(text) if !text.is_empty() => format!(" (default {text})"),
            Value::Number(number) => format!(" (default {number})"),
            _ => String::new(),
        };
        let meaning = format!("{}{default}", spec.help);
        push_line(&mut text, spec.short, spec.flag, spec.value, &meaning);
    }
    for extra in EXTRAS {
        push_line(&mut text, extra.short, extra.flag, extra.value, extra.help);
    }
    text.push_str(TAIL);
    text
}

fn push_line(text: &mut String, short: &str, flag: &str, value: &str, meaning: &str) {
    let comma = if short.is_empty() { ' ' } else { ',' };
    let names = format!("  {short:2}{comma} {flag} {value}");
    text.push_str(&format!("{names:MEANING$}{meaning}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_is_named_on_one_screen() {
        let help = help();
        let names: Vec<&str> = help
            .split(|c: char| c.is_whitespace() || c == ',')
            .collect();
        let options = OPTIONS.iter().map(|spec| (spec.flag, spec.short));
        let extras = EXTRAS.iter().map(|extra| (extra.flag, extra.short));
        for (flag, short) in options.chain(extras) {
            assert!(names.contains(&flag), "{flag}");
            assert!(short.is_empty() || names.contains(&short), "{short}");
        }
        assert!(help.lines().count() <= 84);
        for line in help.lines() {
            assert!(line.len() <= 92, "fits: {line}");
        }
    }

    #[test]
    fn lines_are_of_names_meaning_and_default() {
        let help = help();
        for line in [
            "  -n, --nats <url>             NATS server (default nats://127.0.0.1:4222)",
            "      --tls                    serve TLS to clients",
            "      --referencethrottle <n>  get requests of a tree at once; 0 is all (default 0)",
            "  -h, --help                   show the flags",
        ] {
            assert!(help.lines().any(|other| other == line), "{line}\n{help}");
        }
    }
}
