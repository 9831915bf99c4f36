//! The completions in their shells, and the manual page in its formatters.

use crate::tools::run;

/// What bash offers for the last of these words.
fn bash(words: &[&str]) -> Option<Vec<String>> {
    const ASK: &str = r#"
        source docs/completions/tidegate.bash
        complete -p tidegate | grep -q _tidegate || exit 1
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _tidegate
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let arguments = [&["--norc", "-c", ASK, "bash"], words].concat();
    run("bash", &arguments).map(lines)
}

/// What fish offers at the end of a line.
fn fish(line: &str) -> Option<Vec<String>> {
    const ASK: &str = "source docs/completions/tidegate.fish; complete -C $argv[1]";
    let offers = run("fish", &["--no-config", "-c", ASK, line]).map(lines)?;
    let name = |offer: String| offer.split('\t').next().unwrap_or_default().to_owned();
    Some(offers.into_iter().map(name).collect())
}

/// What zsh makes of a line when the tabulator is pressed behind it.
fn zsh(line: &str) -> Option<Vec<String>> {
    const ASK: &str = r#"
        zmodload zsh/zpty || exit 77
        zpty shell zsh -f -i
        zpty -w shell 'PS1=; unsetopt zle_bracketed_paste; fpath=($PWD/docs/completions $fpath)
            autoload -Uz compinit; compinit -u -D
            bindkey "^I" complete-word; zstyle ":completion:*" list-max 999; LISTMAX=999
            function show { print -r -- "<$BUFFER>"; exit }; zle -N show; bindkey "^X" show
            print rea""dy'
        zpty -r shell output '*ready*'
        zpty -n -w shell "$1"$'\t\C-X'
        zpty -r shell output '*<*>*'
        print -r -- "$output"
    "#;
    run("zsh", &["-f", "-c", ASK, "zsh", line]).map(lines)
}

fn lines(outcome: crate::tools::Outcome) -> Vec<String> {
    assert!(outcome.is_success, "{}", outcome.said);
    let lines = outcome.said.lines().filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

#[test]
fn bash_offers_commands_flags_words_and_files() {
    let cases: [(&[&str], &[&str]); 11] = [
        (&["g"], &["get"]),
        (&["--metr"], &["--metricsport"]),
        (&["--tls", "--wscom"], &["--wscompression"]),
        (&["--apiencoding", ""], &["json", "jsonflat"]),
        (&["--natsreconnecttokens", "=", "k"], &["keep"]),
        (&["--probe", "=", ""], &["live", "ready"]),
        (&["--probe", "--metr"], &["--metricsport"]),
        (&["--config", "Cargo.t"], &["Cargo.toml"]),
        (&["get", "a.b", "--par"], &[]),
        (&["call", "a.b", "m", "--par"], &["--params"]),
        (&["help", "w"], &["watch"]),
    ];
    for (words, expected) in cases {
        let words = [&["tidegate"], words].concat();
        if let Some(offers) = bash(&words) {
            assert_eq!(offers, expected, "{words:?}");
        }
    }
}

#[test]
fn fish_offers_commands_flags_words_and_files() {
    let cases: [(&str, &[&str]); 7] = [
        ("tidegate wa", &["watch"]),
        ("tidegate --metr", &["--metricsport"]),
        ("tidegate --natsreconnecttokens ", &["close", "keep"]),
        ("tidegate --config Cargo.t", &["Cargo.toml"]),
        ("tidegate get a.b --par", &[]),
        ("tidegate call a.b m --par", &["--params"]),
        ("tidegate get a.b --natsr", &[]),
    ];
    for (line, expected) in cases {
        let Some(offers) = fish(line) else { return };
        assert_eq!(offers, expected, "{line}");
    }
}

#[test]
fn zsh_completes_commands_flags_words_and_files() {
    let cases = [
        ("tidegate wa", "<tidegate watch >"),
        ("tidegate --metr", "<tidegate --metricsport="),
        (
            "tidegate --natsreconnecttokens k",
            "<tidegate --natsreconnecttokens keep >",
        ),
        (
            "tidegate --config Cargo.t",
            "<tidegate --config Cargo.toml >",
        ),
        ("tidegate call a.b m --par", "<tidegate call a.b m --params"),
        ("tidegate get a.b --par", "<tidegate get a.b --par>"),
    ];
    for (line, expected) in cases {
        let Some(said) = zsh(line) else { return };
        let is_there = said.iter().any(|line| line.contains(expected));
        assert!(is_there, "{line:?} gives {said:?}");
    }
}

#[test]
fn the_manual_page_has_nothing_that_formatters_warn_of() {
    let page = "docs/man/tidegate.1";
    if let Some(found) = run(
        "man",
        &["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page],
    ) {
        assert!(found.is_success, "{}", found.said);
        assert!(!found.said.contains("warning:"), "{}", found.said);
    }
    if let Some(found) = run("mandoc", &["-T", "lint", "-W", "warning", page]) {
        // There is none, so that the same source gives the same page.
        let other = |line: &&str| !line.contains("missing date");
        let others: Vec<_> = found.said.lines().filter(other).collect();
        assert!(others.is_empty(), "{others:?}");
    }
}
