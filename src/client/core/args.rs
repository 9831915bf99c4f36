//! The command line of the commands: `tidegate get`, `watch`, `call`, `auth` and `help`.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use crate::res::rid::{Rid, is_token};

use super::address::{DEFAULT_URL, Paths, Server, server, target};

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Show a resource once.
    Get,
    /// Show a resource and each event of it.
    Watch,
    /// Call a method.
    Call,
    /// Call an authentication method.
    Auth,
}

impl Verb {
    /// Its name on the command line, which is also that of its request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Watch => "watch",
            Self::Call => "call",
            Self::Auth => "auth",
        }
    }

    /// The verb of a name.
    pub fn of(name: &str) -> Option<Self> {
        let all = [Self::Get, Self::Watch, Self::Call, Self::Auth];
        all.into_iter().find(|verb| verb.name() == name)
    }

    /// Whether a method follows the resource.
    pub fn has_method(self) -> bool {
        matches!(self, Self::Call | Self::Auth)
    }
}

/// Whether the first argument of the process begins a command.
pub fn is_command(first: &OsStr) -> bool {
    first
        .to_str()
        .is_some_and(|name| name == "help" || Verb::of(name).is_some())
}

/// Where a JSON value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is on the command line.
    Text(String),
    /// In a file: `@path`.
    File(PathBuf),
    /// On standard input: `-`.
    Input,
}

/// A method of a resource, with what it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The resource ID.
    pub rid: String,
    /// The method.
    pub method: String,
    /// Its parameters.
    pub params: Option<Source>,
}

/// A command, read and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// What it does.
    pub verb: Verb,
    /// With which gateway.
    pub server: Server,
    /// With which resource.
    pub rid: String,
    /// With which method of it, if the verb has one.
    pub method: String,
    /// What the method is given.
    pub params: Option<Source>,
    /// What is called first.
    pub login: Option<Login>,
    /// Fields of the upgrade request.
    pub headers: Vec<(String, String)>,
    /// JSON documents for scripts.
    pub is_json: bool,
    /// How deep references are followed.
    pub depth: usize,
    /// How long an answer is waited for; `None` is for ever.
    pub timeout: Option<Duration>,
    /// Root certificates in place of the system's.
    pub roots: Option<PathBuf>,
    /// Do not check the gateway's certificate.
    pub is_insecure: bool,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The help of a command, or the list of them.
    Help(Option<Verb>),
    /// A command.
    Run(Box<Command>),
}

/// A flag of the commands.
#[derive(Debug)]
pub struct Flag {
    id: Id,
    /// With its dashes.
    pub name: &'static str,
    /// With its dash, or empty.
    pub short: &'static str,
    /// What stands for its value in texts; empty for a switch.
    pub value: &'static str,
    /// What it is for.
    pub help: &'static str,
    /// For which verbs: those with a method alone, or all.
    needs_method: bool,
}

impl Flag {
    /// Whether a verb has it.
    pub fn is_of(&self, verb: Verb) -> bool {
        verb.has_method() || !self.needs_method
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Id {
    Url,
    Params,
    Header,
    Login,
    LoginParams,
    Json,
    Depth,
    Timeout,
    Roots,
    Insecure,
    ApiPath,
    WsPath,
    Help,
}

const fn flag(
    id: Id,
    name: &'static str,
    short: &'static str,
    value: &'static str,
    help: &'static str,
) -> Flag {
    Flag {
        id,
        name,
        short,
        value,
        help,
        needs_method: matches!(id, Id::Params),
    }
}

/// All of them, in the order of the help.
pub static FLAGS: [Flag; 13] = [
    flag(
        Id::Params,
        "--params",
        "-p",
        "<json>",
        "parameters; - reads standard input, @file a file",
    ),
    flag(
        Id::Url,
        "--url",
        "-u",
        "<url>",
        "the gateway's WebSocket, in place of TIDEGATE_URL",
    ),
    flag(
        Id::Header,
        "--header",
        "-H",
        "<name:value>",
        "a header field for the gateway; repeatable",
    ),
    flag(
        Id::Login,
        "--auth",
        "",
        "<rid.method>",
        "log in by this method first",
    ),
    flag(
        Id::LoginParams,
        "--auth-params",
        "",
        "<json>",
        "its parameters; -, @file as above",
    ),
    flag(
        Id::Json,
        "--json",
        "",
        "",
        "a JSON document on each line, for scripts",
    ),
    flag(
        Id::Depth,
        "--depth",
        "",
        "<n>",
        "follow references so deep, 0 to 64 (default 1)",
    ),
    flag(
        Id::Timeout,
        "--timeout",
        "",
        "<seconds>",
        "wait so long for an answer, 0 for ever (default 30)",
    ),
    flag(
        Id::Roots,
        "--cafile",
        "",
        "<file>",
        "root certificates in place of the system's",
    ),
    flag(
        Id::Insecure,
        "--insecure",
        "",
        "",
        "do not check the gateway's certificate",
    ),
    flag(
        Id::ApiPath,
        "--apipath",
        "",
        "<path>",
        "API path of http:// addresses (default /api)",
    ),
    flag(
        Id::WsPath,
        "--wspath",
        "",
        "<path>",
        "WebSocket path of http:// addresses (default /)",
    ),
    flag(Id::Help, "--help", "-h", "", "show this"),
];

/// Deepest that references are followed.
const DEPTH_MAX: usize = 64;

/// What the flags have said.
#[derive(Default)]
struct Given {
    free: Vec<String>,
    values: Vec<(Id, String)>,
}

impl Given {
    fn last(&self, id: Id) -> Option<&str> {
        let mut values = self.values.iter().rev();
        let found = values.find(|(other, _)| *other == id);
        found.map(|(_, value)| &**value)
    }

    fn has(&self, id: Id) -> bool {
        self.last(id).is_some()
    }
}

/// Reads the arguments that follow the program's name; `url` is what the environment says
/// of the gateway.
///
/// # Errors
///
/// What is wrong with them, in a sentence.
pub fn parse(arguments: Vec<OsString>, url: Option<&str>) -> Result<Asked, String> {
    let mut texts = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let text = argument.into_string();
        texts.push(text.map_err(|it| format!("{it:?} is not valid UTF-8"))?);
    }
    let mut texts = texts.into_iter();
    let first = texts.next().unwrap_or_default();
    let Some(verb) = Verb::of(&first) else {
        return help(texts.next().as_deref());
    };
    let see = |words: String| format!("{words}; see tidegate {} --help", verb.name());
    let given = split(texts, verb).map_err(see)?;
    if given.has(Id::Help) {
        return Ok(Asked::Help(Some(verb)));
    }
    let command = command(verb, &given, url).map_err(see)?;
    Ok(Asked::Run(Box::new(command)))
}

fn help(topic: Option<&str>) -> Result<Asked, String> {
    match topic.map(Verb::of) {
        None => Ok(Asked::Help(None)),
        Some(Some(verb)) => Ok(Asked::Help(Some(verb))),
        Some(None) => Err(format!(
            "there is no command {:?}; see tidegate help",
            topic.unwrap_or_default()
        )),
    }
}

/// Tells flags from what stands alone.
fn split(mut texts: impl Iterator<Item = String>, verb: Verb) -> Result<Given, String> {
    let mut given = Given::default();
    while let Some(text) = texts.next() {
        if text == "--" {
            given.free.extend(texts);
            break;
        }
        if text == "-" || !text.starts_with('-') {
            given.free.push(text);
            continue;
        }
        let (name, inline) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (&*text, None),
        };
        let mut flags = FLAGS.iter();
        let found = flags.find(|flag| name == flag.name || name == flag.short);
        let Some(flag) = found.filter(|flag| flag.is_of(verb)) else {
            return Err(format!("unknown flag {name}"));
        };
        let value = match (flag.value, inline) {
            ("", None) => String::new(),
            ("", Some(_)) => return Err(format!("{} takes no value", flag.name)),
            (_, Some(value)) => value,
            (_, None) => match texts.next() {
                Some(value) => value,
                None => return Err(format!("{} needs a value: {} {}", name, name, flag.value)),
            },
        };
        given.values.push((flag.id, value));
    }
    Ok(given)
}

fn command(verb: Verb, given: &Given, url: Option<&str>) -> Result<Command, String> {
    let (rid, method) = match (verb.has_method(), &given.free[..]) {
        (false, [rid]) => (rid, ""),
        (true, [rid, method]) => (rid, &**method),
        (false, []) => return Err("a resource ID is missing".to_owned()),
        (true, []) => return Err("resource ID and method are missing".to_owned()),
        (true, [_]) => return Err("a method is missing behind the resource ID".to_owned()),
        (false, [_, other, ..]) | (true, [_, _, other, ..]) => {
            return Err(format!("unexpected argument {other:?}"));
        }
    };
    if verb.has_method() && !is_token(method) {
        return Err(format!(
            "{method:?} is no method; give one like set, without dots"
        ));
    }
    let paths = Paths {
        api: given
            .last(Id::ApiPath)
            .map_or(Paths::default().api, absolute),
        ws: given.last(Id::WsPath).map_or(Paths::default().ws, absolute),
    };
    if !paths.ws.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("--wspath has characters that must be encoded".to_owned());
    }
    let default = given.last(Id::Url).or(url).unwrap_or(DEFAULT_URL);
    // A wrong one is told also if the resource has its own address.
    server(default).map_err(|words| match given.has(Id::Url) {
        true => format!("--url: {words}"),
        false => format!("TIDEGATE_URL: {words}"),
    })?;
    let (server, rid) = target(rid, default, &paths)?;
    let headers = given.values.iter().filter(|(id, _)| *id == Id::Header);
    let params = given.last(Id::Params).map(source);
    let login = login(given)?;
    if params == Some(Source::Input)
        && login.as_ref().and_then(|login| login.params.as_ref()) == Some(&Source::Input)
    {
        return Err("--params and --auth-params cannot both be read from -".to_owned());
    }
    Ok(Command {
        verb,
        server,
        rid,
        method: method.to_owned(),
        params,
        login,
        headers: headers
            .map(|(_, text)| header(text))
            .collect::<Result<_, _>>()?,
        is_json: given.has(Id::Json),
        depth: match given.last(Id::Depth) {
            None => 1,
            Some(text) => number(text)
                .filter(|depth| *depth <= DEPTH_MAX)
                .ok_or_else(|| {
                    format!("--depth: {text:?} is not a whole number from 0 to {DEPTH_MAX}")
                })?,
        },
        timeout: timeout(given.last(Id::Timeout))?,
        roots: given.last(Id::Roots).map(PathBuf::from),
        is_insecure: given.has(Id::Insecure),
    })
}

fn absolute(path: &str) -> String {
    match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("/{path}"),
    }
}

fn number(text: &str) -> Option<usize> {
    text.parse().ok()
}

/// Seconds, with a fraction of up to three digits if need be.
fn timeout(text: Option<&str>) -> Result<Option<Duration>, String> {
    const USUAL: &str = "30";
    const DIGITS_MAX: usize = 9;
    let text = text.unwrap_or(USUAL);
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = [whole, part].concat();
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = match is_number && whole.len() <= DIGITS_MAX && part.len() <= 3 {
        true => format!("{digits}{:0<1$}", "", 3 - part.len()).parse().ok(),
        false => None,
    };
    match number {
        None => Err(format!("--timeout: {text:?} is not a number of seconds")),
        Some(0) => Ok(None),
        Some(millis) => Ok(Some(Duration::from_millis(millis))),
    }
}

fn source(text: &str) -> Source {
    match text.strip_prefix('@') {
        Some(path) => Source::File(path.into()),
        None if text == "-" => Source::Input,
        None => Source::Text(text.to_owned()),
    }
}

fn login(given: &Given) -> Result<Option<Login>, String> {
    let params = given.last(Id::LoginParams).map(source);
    let Some(text) = given.last(Id::Login) else {
        return match params {
            None => Ok(None),
            Some(_) => Err("--auth-params needs --auth <rid.method>".to_owned()),
        };
    };
    match text.rsplit_once('.') {
        Some((rid, method)) if Rid::parse(rid).is_some() && is_token(method) => Ok(Some(Login {
            rid: rid.to_owned(),
            method: method.to_owned(),
            params,
        })),
        _ => Err(format!(
            "--auth: {text:?} is no method of a resource; give one like auth.login"
        )),
    }
}

/// A header field. Those that make the WebSocket are not for sale.
fn header(text: &str) -> Result<(String, String), String> {
    const OURS: [&str; 4] = ["host", "upgrade", "connection", "content-length"];
    let wrong = |what| Err(format!("--header: {text:?} {what}"));
    let Some((name, value)) = text.split_once(':') else {
        return wrong("is no header field; give one like name:value");
    };
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return wrong("has a name that HTTP does not allow");
    }
    let lower = name.to_ascii_lowercase();
    if OURS.contains(&&*lower) || lower.starts_with("sec-websocket-") {
        return wrong("is a field that the connection itself needs");
    }
    let value = value.trim();
    if value.chars().any(char::is_control) {
        return wrong("has a control character in its value");
    }
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(arguments: &[&str]) -> Result<Asked, String> {
        parse(arguments.iter().map(OsString::from).collect(), None)
    }

    fn command(arguments: &[&str]) -> Command {
        match line(arguments) {
            Ok(Asked::Run(command)) => *command,
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    #[test]
    fn the_first_argument_tells_commands_from_the_gateway() {
        for name in ["get", "watch", "call", "auth", "help"] {
            assert!(is_command(OsStr::new(name)), "{name}");
        }
        for name in ["", "-h", "--help", "Get", "get.a", "serve", "--get"] {
            assert!(!is_command(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn every_flag_has_its_place() {
        let plain = command(&["get", "a.b"]);
        assert_eq!((plain.verb, &*plain.rid), (Verb::Get, "a.b"));
        assert_eq!(
            (plain.depth, plain.is_json, plain.is_insecure),
            (1, false, false)
        );
        assert_eq!(plain.timeout, Some(Duration::from_secs(30)));
        assert_eq!(plain.server.url(), DEFAULT_URL);
        let full = command(&[
            "call",
            "-p",
            "{\"a\":1}",
            "a.b?x=1",
            "--url=wss://h/ws",
            "-H",
            "X-A: b:c ",
            "--header=Y:",
            "do",
            "--auth",
            "auth.user.login",
            "--auth-params=-",
            "--json",
            "--depth",
            "3",
            "--timeout",
            "0.5",
            "--cafile",
            "ca.pem",
            "--insecure",
        ]);
        assert_eq!((&*full.rid, &*full.method), ("a.b?x=1", "do"));
        assert_eq!(full.params, Some(Source::Text("{\"a\":1}".into())));
        assert_eq!(full.server.url(), "wss://h/ws");
        let fields = [("X-A".into(), "b:c".into()), ("Y".into(), String::new())];
        assert_eq!(full.headers, fields);
        let login = Login {
            rid: "auth.user".into(),
            method: "login".into(),
            params: Some(Source::Input),
        };
        assert_eq!(full.login, Some(login));
        assert_eq!(
            (full.depth, full.is_json, full.is_insecure),
            (3, true, true)
        );
        assert_eq!(full.timeout, Some(Duration::from_millis(500)));
        assert_eq!(full.roots, Some("ca.pem".into()));
        let other = command(&[
            "watch",
            "http://h/v1/a/b",
            "--apipath",
            "v1",
            "--wspath",
            "ws",
        ]);
        assert_eq!(
            (other.server.url(), &*other.rid),
            ("ws://h/ws".into(), "a.b")
        );
        assert_eq!(command(&["get", "--timeout", "0", "a"]).timeout, None);
        let file = command(&["auth", "a", "do", "--params", "@p.json"]);
        assert_eq!(file.params, Some(Source::File("p.json".into())));
        // Behind two dashes nothing is a flag; of several the last counts.
        assert_eq!(command(&["get", "--", "-a"]).rid, "-a");
        assert_eq!(command(&["get", "a", "--depth=2", "--depth=4"]).depth, 4);
    }

    #[test]
    fn the_environment_names_the_gateway() {
        let arguments = || ["get", "a"].map(OsString::from).to_vec();
        match parse(arguments(), Some("wss://e:1/")) {
            Ok(Asked::Run(command)) => assert_eq!(command.server.url(), "wss://e:1/"),
            other => panic!("{other:?}"),
        }
        let error = parse(arguments(), Some("e:1")).expect_err("no URL");
        assert!(error.starts_with("TIDEGATE_URL: "), "{error}");
    }

    #[test]
    fn help_is_asked_for_in_several_ways() {
        for (arguments, verb) in [
            (&["help"][..], None),
            (&["help", "get"], Some(Verb::Get)),
            (&["watch", "--help"], Some(Verb::Watch)),
            (&["call", "-h", "x"], Some(Verb::Call)),
        ] {
            assert_eq!(line(arguments), Ok(Asked::Help(verb)), "{arguments:?}");
        }
        assert!(line(&["help", "serve"]).is_err());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (arguments, words) in [
            (
                &["get"][..],
                "a resource ID is missing; see tidegate get --help",
            ),
            (&["get", "a", "b"], "unexpected argument \"b\""),
            (&["get", "a", "--params", "1"], "unknown flag --params"),
            (&["get", "a", "--nope"], "unknown flag --nope"),
            (&["get", "a", "--url"], "--url needs a value: --url <url>"),
            (&["get", "a", "--json=1"], "--json takes no value"),
            (&["get", "a", "--url", "h"], "--url: \"h\" is no URL"),
            (&["get", "a b"], "is no resource ID"),
            (&["call", "a"], "a method is missing"),
            (&["call"], "resource ID and method are missing"),
            (&["call", "a", "b.c"], "\"b.c\" is no method"),
            (&["call", "a", "b", "c"], "unexpected argument \"c\""),
            (&["get", "a", "--depth", "65"], "--depth: \"65\""),
            (&["get", "a", "--timeout", "-1"], "--timeout: \"-1\""),
            (&["get", "a", "--timeout", "NaN"], "--timeout: \"NaN\""),
            (&["get", "a", "--timeout", "."], "--timeout: \".\""),
            (
                &["get", "a", "--timeout", "0.0001"],
                "--timeout: \"0.0001\"",
            ),
            (&["get", "a", "--auth", "login"], "--auth: \"login\""),
            (&["get", "a", "--auth-params", "1"], "needs --auth"),
            (&["get", "a", "-H", "x"], "is no header field"),
            (&["get", "a", "-H", "x y:z"], "a name that HTTP"),
            (&["get", "a", "-H", "x:y\r\nz: a"], "a control character"),
            (&["get", "a", "-H", "Host:y"], "the connection itself"),
            (
                &["get", "a", "-H", "Sec-WebSocket-Key:y"],
                "the connection itself",
            ),
            (&["get", "a", "--wspath", "/\u{e4}"], "must be encoded"),
            (&["call", "a", "b", "-p-", "x"], "unknown flag -p-"),
            (
                &[
                    "call",
                    "a",
                    "b",
                    "-p",
                    "-",
                    "--auth",
                    "a.b",
                    "--auth-params",
                    "-",
                ],
                "cannot both",
            ),
        ] {
            let error = line(arguments).expect_err(words);
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }
}
