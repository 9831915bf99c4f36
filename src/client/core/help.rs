//! What `tidegate help` and `tidegate get --help` show.

use super::args::{FLAGS, Verb};

/// Where the meanings begin, in characters.
const MEANING: usize = 31;

const OVERVIEW: &str = "\
Usage: tidegate <command>, or tidegate [flags] to run the gateway

  tidegate get <rid>             show a resource
  tidegate watch <rid>           show a resource, and each event of it
  tidegate call <rid> <method>   call a method of a resource
  tidegate auth <rid> <method>   call an authentication method
  tidegate help <command>        show the flags of a command
  tidegate --help                show the flags of the gateway
  tidegate --check [flags]       say what is wrong with the gateway's configuration

";

const TARGETS: &str = "
<rid> is a resource ID such as todo.items?done=false, at the gateway of TIDEGATE_URL
(default ws://127.0.0.1:8080/), or an address that has it:
  ws://host:8080/?todo.items     wss://host/path?todo.items
  http://host:8080/api/todo/items?done=false

Exit codes: 0 done, 1 wrong usage, 2 the service or the gateway answers with an error,
3 no connection, 4 no answer in time.
";

/// The list of commands.
pub fn overview() -> String {
    format!("{OVERVIEW}{}", &TARGETS[1..])
}

/// The flags of a command.
pub fn of(verb: Verb) -> String {
    let (arguments, what) = match verb {
        Verb::Get => ("<rid>", "Shows a resource as JSON, with what it refers to."),
        Verb::Watch => (
            "<rid>",
            "Shows a resource, and then each event of it and of what it refers to, one a line,\n\
             until Ctrl-C. It connects again when the connection is lost.",
        ),
        Verb::Call => ("<rid> <method>", "Calls a method, and shows its result."),
        Verb::Auth => (
            "<rid> <method>",
            "Calls an authentication method, and shows its result. The token is gone with the\n\
             connection: give --auth to the other commands to use it.",
        ),
    };
    let mut text = format!(
        "Usage: tidegate {} {arguments} [flags]\n\n{what}\n\n",
        verb.name()
    );
    for flag in FLAGS.iter().filter(|flag| flag.is_of(verb)) {
        let comma = if flag.short.is_empty() { ' ' } else { ',' };
        let names = format!("  {:2}{comma} {} {}", flag.short, flag.name, flag.value);
        text.push_str(&format!("{names:MEANING$}{}\n", flag.help));
    }
    text.push_str(TARGETS);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_command_has_its_flags_on_one_screen() {
        for verb in [Verb::Get, Verb::Watch, Verb::Call, Verb::Auth] {
            let text = of(verb);
            assert!(text.starts_with(&format!("Usage: tidegate {} <rid>", verb.name())));
            assert_eq!(text.contains("--params"), verb.has_method());
            assert!(text.contains("--auth-params <json>"));
            assert!(text.lines().count() <= 36, "{text}");
            assert!(text.lines().all(|line| line.len() <= 92), "{text}");
            assert!(overview().contains(&format!("tidegate {} <rid>", verb.name())));
        }
    }
}
