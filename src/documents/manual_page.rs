//! The manual page, docs/man/tidegate.1: what the table of options says, and a frame.

use crate::client::core::args::{FLAGS, Verb};
use crate::config::documents::{Flag, flags};

use super::expect_file;

const HEAD: &str = r#".SH NAME
tidegate \- realtime and REST API gateway for the RES protocol
.SH SYNOPSIS
.B tidegate
.RI [ flags ]
.br
.B tidegate get
.I rid
.RI [ flags ]
.br
.B tidegate watch
.I rid
.RI [ flags ]
.br
.B tidegate call
.I rid method
.RI [ flags ]
.br
.B tidegate auth
.I rid method
.RI [ flags ]
.br
.B tidegate help
.RI [ command ]
.SH DESCRIPTION
With flags alone
.B tidegate
runs the gateway: web clients talk WebSocket or HTTP to it, services talk JSON over NATS.
With a command in front it talks to a gateway that runs.
.PP
Later values win: the defaults, the file that
.B \-\-config
names, the variables, the flags. One or two dashes make no difference, and a value stands in
the next argument or behind an equals sign. A switch takes a value only behind the sign:
.BR \-\-tls=false .
.SH FLAGS OF THE GATEWAY
"#;

const TAIL: &str = r#".SH ENVIRONMENT
Each option has a variable, named above with the flag.
.TP
.B TIDEGATE_URL
The gateway that the commands talk to.
.TP
.B NOTIFY_SOCKET\fR, \fBWATCHDOG_USEC\fR, \fBLISTEN_FDS
As
.BR systemd (1)
sets them: the gateway says when it is ready and when it stops, gives signs of life, and takes
the sockets that it is handed.
.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT ", " SIGQUIT
Close clients evenly over the drain time, and end. A second one ends at once.
.TP
.B SIGHUP
Read certificate and key again; without TLS as SIGTERM.
.TP
.B SIGUSR1
Write a summary of what the gateway holds to the log.
.SH EXIT STATUS
.TP
.B 0
A signal has ended the gateway; the command is done.
.TP
.B 1
The gateway cannot start or go on; the command was used wrongly; what was probed is not well.
.TP
.B 2
Wrong flags; a service or the gateway answered the command with an error.
.TP
.B 3
The command found no gateway.
.TP
.B 4
No answer came in time.
.SH EXAMPLES
.EX
tidegate \-\-demo
tidegate \-\-nats nats://10.0.0.5:4222 \-\-metricsport 8090
tidegate \-\-check \-\-config /etc/tidegate/tidegate.json
tidegate get todo.items
.EE
.SH SEE ALSO
.BR systemd.service (5),
.BR systemd.socket (5)
"#;

/// Text with nothing that the formatter takes for a request.
fn plain(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-")
}

/// A paragraph of Markdown: code is bold, of a link its text remains.
fn paragraph(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split('`').enumerate() {
        match index % 2 {
            0 => out.push_str(&plain(&without_links(part))),
            _ => out.push_str(&format!("\\fB{}\\fR", plain(part))),
        }
    }
    // A full stop or a quote that begins a line would be a request.
    match out.starts_with(['.', '\'']) {
        true => format!("\\&{out}\n"),
        false => format!("{out}\n"),
    }
}

fn without_links(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('[') {
        out.push_str(before);
        let Some((words, behind)) = behind.split_once("](") else {
            out.push('[');
            rest = behind;
            continue;
        };
        out.push_str(words);
        rest = behind.split_once(')').map_or("", |(_, behind)| behind);
    }
    out + rest
}

/// The head of an entry: the names of a flag, and what stands for its value.
fn names(short: &str, name: &str, value: &str) -> String {
    let comma = if short.is_empty() { "" } else { ", " };
    let (short, name) = (plain(short), plain(name));
    let value = match value {
        "" => String::new(),
        value => format!(" \\fI{}\\fR", plain(value.trim_matches(['<', '>']))),
    };
    format!(".TP\n\\fB{short}\\fR{comma}\\fB{name}\\fR{value}\n")
}

fn entry(flag: &Flag) -> String {
    let mut text = names(flag.short, flag.name, flag.value);
    // The documents that it refers to are not at hand.
    text.push_str(&paragraph(&flag.manual));
    let mut places = Vec::new();
    if !flag.variable.is_empty() {
        places.push(format!("Variable `{}`", flag.variable));
    }
    if !flag.member.is_empty() {
        places.push(format!("in the file `{}`", flag.member));
        places.push(format!("default {}", flag.default));
    }
    if !places.is_empty() {
        text.push_str(".br\n");
        text.push_str(&paragraph(&format!("{}.", places.join(", "))));
    }
    text
}

fn page() -> String {
    let version = env!("CARGO_PKG_VERSION");
    // No date: the same source gives the same page.
    let mut text = format!(
        ".\\\" Made of the table of options by make tables.\n\
         .TH TIDEGATE 1 \"\" \"Tidegate {version}\" \"User Commands\"\n{HEAD}"
    );
    flags().iter().for_each(|flag| text.push_str(&entry(flag)));
    text.push_str(".SH FLAGS OF THE COMMANDS\n");
    for flag in &FLAGS {
        text.push_str(&names(flag.short, flag.name, flag.value));
        let mut words = format!("{}.", flag.help);
        if !flag.is_of(Verb::Get) {
            words = format!("For call and auth: {words}");
        }
        text.push_str(&paragraph(&words));
    }
    text.push_str(TAIL);
    text
}

#[test]
fn the_manual_page_has_every_flag() {
    let page = page();
    for flag in flags() {
        assert!(page.contains(&format!("\\fB{}\\fR", plain(flag.name))));
    }
    expect_file("docs/man/tidegate.1", &page);
}

#[test]
fn markdown_becomes_text_that_requests_nothing() {
    let cases = [
        (
            "See [Users of it](X.md#y), `--a-b`.",
            "See Users of it, \\fB\\-\\-a\\-b\\fR.\n",
        ),
        (".x [y] \\", "\\&.x [y] \\e\n"),
    ];
    for (markdown, expected) in cases {
        assert_eq!(paragraph(markdown), expected);
    }
}
