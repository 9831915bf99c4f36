//! What shells offer behind `tidegate`: docs/completions, made of the tables of flags.

use crate::client::core::args::{FLAGS, Verb};
use crate::config::documents::flags;

use super::expect_file;

const COMMANDS: [(&str, &str); 5] = [
    ("get", "show a resource"),
    ("watch", "show a resource, and each event of it"),
    ("call", "call a method of a resource"),
    ("auth", "call an authentication method"),
    ("help", "show the flags of a command"),
];

/// What a shell knows of a flag.
struct Offer {
    name: &'static str,
    short: &'static str,
    /// What stands for the value, without its brackets; empty for a switch.
    value: &'static str,
    is_optional: bool,
    help: &'static str,
    choices: &'static [&'static str],
    is_repeatable: bool,
    /// Commands that have a method alone.
    needs_method: bool,
}

impl Offer {
    fn is_file(&self) -> bool {
        self.value == "file"
    }

    fn has_short(&self) -> bool {
        !self.short.is_empty()
    }

    /// Its names, the short one first.
    fn names(&self) -> Vec<&'static str> {
        let names = [self.short, self.name].into_iter();
        names.filter(|name| !name.is_empty()).collect()
    }
}

fn of_gateway() -> Vec<Offer> {
    let offer = |flag: crate::config::documents::Flag| Offer {
        name: flag.name,
        short: flag.short,
        value: flag.value.trim_matches(['<', '>', '[', ']']),
        is_optional: flag.value.starts_with('['),
        help: flag.help,
        choices: flag.choices,
        is_repeatable: flag.is_repeatable,
        needs_method: false,
    };
    flags().into_iter().map(offer).collect()
}

fn of_commands() -> Vec<Offer> {
    let offer = |flag: &crate::client::core::args::Flag| Offer {
        name: flag.name,
        short: flag.short,
        value: flag.value.trim_matches(['<', '>']),
        is_optional: false,
        help: flag.help,
        choices: &[],
        is_repeatable: flag.name == "--header",
        needs_method: !flag.is_of(Verb::Get),
    };
    FLAGS.iter().map(offer).collect()
}

fn names_of(offers: &[Offer]) -> String {
    let names: Vec<_> = offers.iter().flat_map(Offer::names).collect();
    names.join(" ")
}

/// The names of those offers that a condition holds for, as a pattern of the shell.
fn pattern(offers: &[Offer], holds: impl Fn(&Offer) -> bool) -> String {
    let offers = offers.iter().filter(|offer| holds(offer));
    let names: Vec<_> = offers.flat_map(Offer::names).collect();
    names.join("|")
}

const BASH: &str = r#"# What bash offers behind tidegate. Made of the tables of flags by make tables.

_tidegate() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local commands="get watch call auth help" flags
    # The sign of --flag=value is a word of its own.
    if [[ $cur == = ]]; then
        cur=""
    elif [[ $prev == = && $COMP_CWORD -ge 2 ]]; then
        prev=${COMP_WORDS[COMP_CWORD-2]}
    fi
    COMPREPLY=()
    case ${COMP_WORDS[1]} in
    help)
        [[ $COMP_CWORD -eq 2 ]] && COMPREPLY=($(compgen -W "get watch call auth" -- "$cur"))
        return
        ;;
    get|watch)
        flags="@GET@"
        ;;
    call|auth)
        flags="@CALL@"
        ;;
    *)
        flags="@GATEWAY@"
        [[ $COMP_CWORD -eq 1 ]] && flags="$commands $flags"
        ;;
    esac
    case $prev in
@CASES@    esac
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
}

complete -F _tidegate tidegate
"#;

fn bash() -> String {
    let (gateway, commands) = (of_gateway(), of_commands());
    let mut cases = String::new();
    for offer in gateway.iter().filter(|offer| !offer.choices.is_empty()) {
        let words = offer.choices.join(" ");
        cases.push_str(&format!(
            "    {})\n        if [[ $cur != -* ]]; then\n            \
             COMPREPLY=($(compgen -W \"{words}\" -- \"$cur\"))\n            return\n        \
             fi\n        ;;\n",
            offer.names().join("|")
        ));
    }
    let all = [&gateway[..], &commands[..]];
    let files: Vec<_> = all.iter().map(|all| pattern(all, Offer::is_file)).collect();
    cases.push_str(&format!(
        "    {})\n        compopt -o filenames 2>/dev/null\n        \
         mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n        return\n        ;;\n",
        files.join("|")
    ));
    let has_other = |offer: &Offer| {
        !offer.value.is_empty()
            && !offer.is_file()
            && !offer.is_optional
            && offer.choices.is_empty()
    };
    // Short names mean different things to the gateway and to commands.
    let command = pattern(&commands, has_other);
    cases.push_str(&format!(
        "    {command})\n        [[ $flags == *--cafile* ]] && return\n        ;;\n    esac\n    case $prev in\n"
    ));
    cases.push_str(&format!(
        "    {})\n        [[ $flags != *--cafile* ]] && return\n        ;;\n",
        pattern(&gateway, has_other)
    ));
    let get = |offer: &&Offer| !offer.needs_method;
    let get: Vec<_> = commands.iter().filter(get).flat_map(Offer::names).collect();
    BASH.replace("@GET@", &get.join(" "))
        .replace("@CALL@", &names_of(&commands))
        .replace("@GATEWAY@", &names_of(&gateway))
        .replace("@CASES@", &cases)
}

const ZSH: &str = r#"#compdef tidegate
# What zsh offers behind tidegate. Made of the tables of flags by make tables.

_tidegate() {
    local -a commands gateway get method
    commands=(
@COMMANDS@    )
    gateway=(
@GATEWAY@    )
    get=(
@GET@    )
    method=(
@METHOD@    )
    case $words[2] in
    help)
        (( CURRENT == 3 )) && _values command get watch call auth
        ;;
    get|watch)
        _arguments '1: :(get watch)' '2:resource ID:' $get
        ;;
    call|auth)
        _arguments '1: :(call auth)' '2:resource ID:' '3:method:' $get $method
        ;;
    *)
        (( CURRENT == 2 )) && _describe -t commands command commands
        _arguments $gateway
        ;;
    esac
}

_tidegate "$@"
"#;

/// A line for each name of a flag, in the form that `_arguments` reads.
fn zsh_lines(offers: &[&Offer]) -> String {
    let mut text = String::new();
    for offer in offers {
        let help = offer.help.replace('\\', "\\\\").replace('\'', "'\\''");
        let help = help
            .replace('[', "\\[")
            .replace(']', "\\]")
            .replace(':', "\\:");
        let value = match (offer.value, offer.is_optional) {
            ("", _) => String::new(),
            (value, is_optional) => {
                let colon = if is_optional { "::" } else { ":" };
                let action = match (offer.is_file(), offer.choices) {
                    (true, _) => "_files".to_owned(),
                    (_, []) => String::new(),
                    (_, choices) => format!("({})", choices.join(" ")),
                };
                format!("{colon}{}:{action}", value.replace(':', "\\:"))
            }
        };
        let equals = if offer.value.is_empty() { "" } else { "=" };
        let others = match (offer.is_repeatable, offer.has_short()) {
            (true, _) => "*".to_owned(),
            (_, true) => format!("({})", offer.names().join(" ")),
            _ => String::new(),
        };
        for name in offer.names() {
            let sign = if name == offer.name { equals } else { "" };
            text.push_str(&format!("        '{others}{name}{sign}[{help}]{value}'\n"));
        }
    }
    text
}

fn zsh() -> String {
    let (gateway, commands) = (of_gateway(), of_commands());
    let lines: String = (COMMANDS.iter())
        .map(|(name, help)| format!("        '{name}:{help}'\n"))
        .collect();
    let of = |needs_method: bool| {
        let offers = commands.iter();
        let found: Vec<_> = offers
            .filter(|it| it.needs_method == needs_method)
            .collect();
        zsh_lines(&found)
    };
    let gateway: Vec<_> = gateway.iter().collect();
    ZSH.replace("@COMMANDS@", &lines)
        .replace("@GATEWAY@", &zsh_lines(&gateway))
        .replace("@GET@", &of(false))
        .replace("@METHOD@", &of(true))
}

const FISH: &str = r#"# What fish offers behind tidegate. Made of the tables of flags by make tables.

complete -c tidegate -f
"#;

/// A line for a flag, where a condition of the shell holds.
fn fish_line(offer: &Offer, condition: &str) -> String {
    let long = offer.name.trim_start_matches('-');
    let mut line = format!("complete -c tidegate -n '{condition}' -l {long}");
    if offer.has_short() {
        line.push_str(&format!(" -s {}", offer.short.trim_start_matches('-')));
    }
    let choices = offer.choices.join(" ");
    match (offer.value, offer.is_optional) {
        ("", _) => {}
        (_, true) if choices.is_empty() => {}
        (_, true) => line.push_str(&format!(" -a '{choices}'")),
        _ if offer.is_file() => line.push_str(" -r -F"),
        _ if choices.is_empty() => line.push_str(" -x"),
        _ => line.push_str(&format!(" -x -a '{choices}'")),
    }
    let help = offer.help.replace('\\', "\\\\").replace('\'', "\\'");
    line.push_str(&format!(" -d '{help}'\n"));
    line
}

fn fish() -> String {
    const NONE: &str = "not __fish_seen_subcommand_from get watch call auth help";
    let mut text = FISH.to_owned();
    for (name, help) in COMMANDS {
        text.push_str(&format!(
            "complete -c tidegate -n __fish_is_first_token -a {name} -d '{help}'\n"
        ));
    }
    text.push_str(
        "complete -c tidegate -n '__fish_seen_subcommand_from help' -a 'get watch call auth'\n",
    );
    for offer in of_gateway() {
        text.push_str(&fish_line(&offer, NONE));
    }
    for offer in of_commands() {
        let condition = match offer.needs_method {
            true => "__fish_seen_subcommand_from call auth",
            false => "__fish_seen_subcommand_from get watch call auth",
        };
        text.push_str(&fish_line(&offer, condition));
    }
    text
}

#[test]
fn the_shells_know_every_flag() {
    let all = [
        ("tidegate.bash", bash()),
        ("_tidegate", zsh()),
        ("tidegate.fish", fish()),
    ];
    for (file, text) in all {
        for offer in of_gateway().iter().chain(&of_commands()) {
            let name = offer.name.trim_start_matches('-');
            assert!(text.contains(name), "{name} in {file}");
        }
        expect_file(&format!("docs/completions/{file}"), &text);
    }
}

#[test]
fn the_commands_are_those_that_there_are() {
    let verbs = COMMANDS.map(|(name, _)| Verb::of(name).is_some() || name == "help");
    assert_eq!(verbs, [true; 5]);
}
