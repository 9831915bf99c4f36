//! The table of all options: one row is one option.
//!
//! Whatever there is to say of an option stands in its row. The command line, the
//! environment, the file's reader and writer and the text of `--help` work from this table,
//! and the tables of the manual and of the README are tested against it.

use std::borrow::Cow;

/// An option. The order is that of the members in a created file: Resgate's, then what
/// only Tidegate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    NatsUrl,
    NatsCreds,
    NatsCert,
    NatsKey,
    NatsRootCas,
    NatsTlsFirst,
    RequestTimeout,
    BufferSize,
    Debug,
    Trace,
    Addr,
    Port,
    WsPath,
    ApiPath,
    MetricsPort,
    ApiEncoding,
    HeaderAuth,
    WsHeaderAuth,
    AllowOrigin,
    PutMethod,
    DeleteMethod,
    PatchMethod,
    Tls,
    TlsCert,
    TlsKey,
    WsCompression,
    ResetThrottle,
    ReferenceThrottle,
    MaxBuffers,
    ReusePort,
    Cpu,
    Workers,
    MaxEntries,
    MaxResourceSize,
    ApiMaxResources,
    ApiMaxBytes,
    NatsReconnect,
    NatsReconnectTokens,
    NatsPingInterval,
    DriftAudit,
    ConnectionEvents,
    TraceParent,
    LatencyPatterns,
    DrainTime,
    FlushDelay,
    PingInterval,
    MaxConnections,
    MaxConnectionsPerAddress,
    MaxRequestsPerSecond,
    MaxAge,
    MaxSubscriptions,
    TrustedProxies,
    ProxyProtocol,
    MaxCachedResources,
    MaxCachedBytes,
    HttpKeepAlive,
    HeadTimeout,
    WsIdleTimeout,
    Broker,
    BrokerUsers,
    BrokerOpen,
    BrokerMaxPayload,
    BrokerMaxConnections,
    BrokerTlsCert,
    BrokerTlsKey,
    HomePage,
    Demo,
    LogFormat,
    Console,
    ConsoleToken,
}

impl Setting {
    /// The option's row in the table.
    pub(super) fn spec(self) -> &'static Spec {
        let mut rows = OPTIONS.iter();
        rows.find(|spec| spec.key == self)
            .unwrap_or_else(|| unreachable!("{self:?} has a row, as a test checks"))
    }
}

/// A value as written, before the checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// No value; `null` in the file.
    Unset,
    Text(Cow<'static, str>),
    Number(i64),
    Switch(bool),
    List(Vec<String>),
}

/// What an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// An address; its flag may stand alone.
    Address,
    /// JSON: any value in the file, its text elsewhere.
    Json,
    /// Several texts in one, divided by `;`; the flag may be repeated.
    Joined,
    /// A whole number within these bounds.
    Number(i64, i64),
    /// The same, or the word `auto`.
    Auto(i64, i64),
    Switch,
    /// Texts; the flag may be repeated.
    List,
}

/// What an empty text or a zero means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blank {
    /// A value like any other.
    Kept,
    /// The default.
    Default,
    /// The default in the file. On the command line nothing, as in Resgate, where `-p 0`
    /// leaves the file's port in force.
    Passed,
    /// On the command line it takes the file's value away; in the file it is kept,
    /// and the checks refuse it.
    Unsets,
}

/// A row of the table.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) key: Setting,
    /// Long flag with its dashes.
    pub(super) flag: &'static str,
    /// Short flag with its dash, or empty.
    pub(super) short: &'static str,
    /// Variable of the environment: [`PREFIX`] and the long flag in capitals.
    pub(super) variable: &'static str,
    /// Member of the file; its letter case does not matter.
    pub(super) member: &'static str,
    /// Second name in the file.
    pub(super) alias: Option<&'static str>,
    /// What stands for the flag's value in texts, such as `<ms>`; empty for a switch.
    pub(super) value: &'static str,
    pub(super) kind: Kind,
    pub(super) blank: Blank,
    pub(super) default: Value,
    /// The meaning in a few words, for `--help` and the README.
    pub(super) help: &'static str,
    /// The meaning in full, in Markdown, for docs/CONFIGURATION.md. The range of a number
    /// is added there.
    #[allow(
        dead_code,
        reason = "the test that compares or writes the manual reads it"
    )]
    pub(super) manual: &'static str,
}

impl Spec {
    /// The words that a text may be, if these are few.
    #[cfg(test)]
    pub(super) fn choices(&self) -> &'static [&'static str] {
        match self.key {
            Setting::ApiEncoding => &["json", "jsonflat"],
            Setting::NatsReconnectTokens => &["close", "keep"],
            Setting::LogFormat => &["text", "json"],
            Setting::Workers => &[AUTO],
            _ => &[],
        }
    }
}

/// A flag that is no option: nothing of it is kept.
#[derive(Debug)]
pub(super) struct Extra {
    /// Long flag with its dashes.
    pub(super) flag: &'static str,
    /// Short flag with its dash, or empty.
    pub(super) short: &'static str,
    /// Variable of the environment, or empty.
    pub(super) variable: &'static str,
    /// As in [`Spec`].
    pub(super) value: &'static str,
    /// As in [`Spec`].
    pub(super) help: &'static str,
}

/// What a [`Kind::Address`] is whose flag stands alone.
pub(super) const BROKER_ADDRESS: &str = "127.0.0.1:4222";

/// The console's path where the flag stands alone, and in the demonstration.
pub(super) const CONSOLE_PATH: &str = "/console";

/// What is probed by a flag that stands alone.
pub(super) const PROBE_LIVE: &str = "live";

/// The word of a [`Kind::Auto`].
pub(super) const AUTO: &str = "auto";

/// What the names of all variables begin with.
pub(super) const PREFIX: &str = "TIDEGATE_";

pub(super) static CONFIG: Extra = Extra {
    flag: "--config",
    short: "-c",
    variable: "TIDEGATE_CONFIG",
    value: "<file>",
    help: "JSON configuration file; created if missing",
};

pub(super) static HELP: Extra = Extra {
    flag: "--help",
    short: "-h",
    variable: "",
    value: "",
    help: "show the flags",
};

pub(super) static VERSION: Extra = Extra {
    flag: "--version",
    short: "-v",
    variable: "",
    value: "",
    help: "show the version; with -V what this build is",
};

pub(super) static CHECK: Extra = Extra {
    flag: "--check",
    short: "",
    variable: "",
    value: "",
    help: "say what is wrong with all this, and end",
};

pub(super) static PROBE: Extra = Extra {
    flag: "--probe",
    short: "",
    variable: "",
    value: "[live|ready]",
    help: "ask the gateway of this configuration, and end",
};

/// All flags that are no options.
pub(super) static EXTRAS: [&Extra; 5] = [&CONFIG, &CHECK, &PROBE, &HELP, &VERSION];

const fn text(value: &'static str) -> Value {
    Value::Text(Cow::Borrowed(value))
}

const PORT: Kind = Kind::Number(0, 65_535);
/// Zero would leave no resource that can be held.
const LIMIT: Kind = Kind::Number(1, i32::MAX as i64);
const COUNT: Kind = Kind::Number(0, i32::MAX as i64);
/// glibc and the kernel agree on 1,024 bits in the default affinity mask.
const CPU: Kind = Kind::Number(0, 1_023);

/// Every option, in the order in which `--help` and the documents have them. `certFile` and
/// `keyFile` are the names that Resgate reads and writes, `tlsCert` and `tlsKey` the names
/// in its manual.
pub(super) static OPTIONS: [Spec; 70] = [
    Spec {
        key: Setting::NatsUrl,
        flag: "--nats",
        short: "-n",
        variable: "TIDEGATE_NATS",
        member: "natsUrl",
        alias: None,
        value: "<url>",
        kind: Kind::Text,
        blank: Blank::Default,
        default: text("nats://127.0.0.1:4222"),
        help: "NATS server",
        manual: "NATS server, or several divided by commas, tried in turn. May hold user \
            and password, or a token; `tls://` demands TLS.",
    },
    Spec {
        key: Setting::Addr,
        flag: "--addr",
        short: "-i",
        variable: "TIDEGATE_ADDR",
        member: "addr",
        alias: None,
        value: "<ip>",
        kind: Kind::Text,
        blank: Blank::Kept,
        default: text("0.0.0.0"),
        help: "address to listen on, empty for all",
        manual: "IPv4 or IPv6 address to listen on; `0.0.0.0`, `::` and empty mean all of \
            both.",
    },
    Spec {
        key: Setting::Port,
        flag: "--port",
        short: "-p",
        variable: "TIDEGATE_PORT",
        member: "port",
        alias: None,
        value: "<port>",
        kind: PORT,
        blank: Blank::Passed,
        default: Value::Number(8_080),
        help: "port to listen on",
        manual: "Port to listen on. 0 means 8080; the flag with 0 leaves the file's value \
            in force.",
    },
    Spec {
        key: Setting::WsPath,
        flag: "--wspath",
        short: "-w",
        variable: "TIDEGATE_WSPATH",
        member: "wsPath",
        alias: None,
        value: "<path>",
        kind: Kind::Text,
        blank: Blank::Default,
        default: text("/"),
        help: "path of the WebSocket",
        manual: "Path of the WebSocket.",
    },
    Spec {
        key: Setting::ApiPath,
        flag: "--apipath",
        short: "-a",
        variable: "TIDEGATE_APIPATH",
        member: "apiPath",
        alias: None,
        value: "<path>",
        kind: Kind::Text,
        blank: Blank::Default,
        default: text("/api"),
        help: "path prefix of the HTTP API",
        manual: "Path prefix of the HTTP API. A slash is put at the end if there is none.",
    },
    Spec {
        key: Setting::HomePage,
        flag: "--homepage",
        short: "",
        variable: "TIDEGATE_HOMEPAGE",
        member: "homePage",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(true),
        help: "a page at / for browsers; =false leaves it out",
        manual: "Answer a browser that opens `/` with a small page that says what this is and \
            where API and WebSocket are. There is none if `apiPath` is `/`. Not in Resgate.",
    },
    Spec {
        key: Setting::RequestTimeout,
        flag: "--reqtimeout",
        short: "-r",
        variable: "TIDEGATE_REQTIMEOUT",
        member: "requestTimeout",
        alias: None,
        value: "<ms>",
        kind: COUNT,
        blank: Blank::Default,
        default: Value::Number(3_000),
        help: "time for a service to answer, in ms",
        manual: "Time for a service to answer, in milliseconds. 0 means 3000; 1 to 10 are \
            taken as seconds, with a warning; 11 to 99 are milliseconds, with a warning.",
    },
    Spec {
        key: Setting::BufferSize,
        flag: "--buffersize",
        short: "",
        variable: "TIDEGATE_BUFFERSIZE",
        member: "bufferSize",
        alias: None,
        value: "<n>",
        kind: COUNT,
        blank: Blank::Default,
        default: Value::Number(8_192),
        help: "messages taken from NATS in a turn",
        manual: "Messages taken from NATS before clients have their turn; 0 means 8192. \
            There is no queue that could overflow. The flag is not in Resgate.",
    },
    Spec {
        key: Setting::AllowOrigin,
        flag: "--alloworigin",
        short: "",
        variable: "TIDEGATE_ALLOWORIGIN",
        member: "allowOrigin",
        alias: None,
        value: "<origin>",
        kind: Kind::Joined,
        blank: Blank::Kept,
        default: text("*"),
        help: "origin browsers may call from; repeatable",
        manual: "Origins that browsers may call from: `*`, or `scheme://host[:port]`, \
            several divided by `;`. The flag may be repeated.",
    },
    Spec {
        key: Setting::HeaderAuth,
        flag: "--headauth",
        short: "-u",
        variable: "TIDEGATE_HEADAUTH",
        member: "headerAuth",
        alias: None,
        value: "<method>",
        kind: Kind::Text,
        blank: Blank::Unsets,
        default: Value::Unset,
        help: "resource method called before each HTTP request",
        manual: "Resource method called before each request to the HTTP API, so that a \
            service can set a token by the request's headers. Also sends \
            `Access-Control-Allow-Credentials: true`.",
    },
    Spec {
        key: Setting::WsHeaderAuth,
        flag: "--wsheadauth",
        short: "-t",
        variable: "TIDEGATE_WSHEADAUTH",
        member: "wsHeaderAuth",
        alias: None,
        value: "<method>",
        kind: Kind::Text,
        blank: Blank::Unsets,
        default: Value::Unset,
        help: "resource method called before a WebSocket opens",
        manual: "Resource method called before each WebSocket upgrade, likewise.",
    },
    Spec {
        key: Setting::ApiEncoding,
        flag: "--apiencoding",
        short: "",
        variable: "TIDEGATE_APIENCODING",
        member: "apiEncoding",
        alias: None,
        value: "<type>",
        kind: Kind::Text,
        blank: Blank::Default,
        default: text("json"),
        help: "HTTP API as json or jsonflat",
        manual: "Encoding of the HTTP API: `json`, where a reference is an object with \
            `href` and the content, or `jsonflat`, where it is the content alone.",
    },
    Spec {
        key: Setting::PutMethod,
        flag: "--putmethod",
        short: "",
        variable: "TIDEGATE_PUTMETHOD",
        member: "putMethod",
        alias: None,
        value: "<name>",
        kind: Kind::Text,
        blank: Blank::Unsets,
        default: Value::Unset,
        help: "method that HTTP PUT calls",
        manual: "Method that HTTP PUT calls.",
    },
    Spec {
        key: Setting::DeleteMethod,
        flag: "--deletemethod",
        short: "",
        variable: "TIDEGATE_DELETEMETHOD",
        member: "deleteMethod",
        alias: None,
        value: "<name>",
        kind: Kind::Text,
        blank: Blank::Unsets,
        default: Value::Unset,
        help: "method that HTTP DELETE calls",
        manual: "Method that HTTP DELETE calls.",
    },
    Spec {
        key: Setting::PatchMethod,
        flag: "--patchmethod",
        short: "",
        variable: "TIDEGATE_PATCHMETHOD",
        member: "patchMethod",
        alias: None,
        value: "<name>",
        kind: Kind::Text,
        blank: Blank::Unsets,
        default: Value::Unset,
        help: "method that HTTP PATCH calls",
        manual: "Method that HTTP PATCH calls.",
    },
    Spec {
        key: Setting::ResetThrottle,
        flag: "--resetthrottle",
        short: "",
        variable: "TIDEGATE_RESETTHROTTLE",
        member: "resetThrottle",
        alias: None,
        value: "<n>",
        kind: COUNT,
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "requests of a reset at once; 0 is all",
        manual: "Most get and access requests that one system reset has open at once; 0 \
            is no limit.",
    },
    Spec {
        key: Setting::ReferenceThrottle,
        flag: "--referencethrottle",
        short: "",
        variable: "TIDEGATE_REFERENCETHROTTLE",
        member: "referenceThrottle",
        alias: None,
        value: "<n>",
        kind: COUNT,
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "get requests of a tree at once; 0 is all",
        manual: "Most get requests that are open at once for the tree of one subscribe, \
            get or web request, or of one event; 0 is no limit.",
    },
    Spec {
        key: Setting::MaxBuffers,
        flag: "--maxbuffers",
        short: "",
        variable: "TIDEGATE_MAXBUFFERS",
        member: "maxBuffers",
        alias: None,
        value: "<MiB>",
        kind: Kind::Number(16, 1 << 20),
        blank: Blank::Kept,
        default: Value::Number(256),
        help: "memory for all clients' waiting data",
        manual: "Memory in MiB that all clients together may take for messages and requests \
            that have not come whole, and for output that they have not read. Above it those \
            that take most for longest are closed.",
    },
    Spec {
        key: Setting::MaxEntries,
        flag: "--maxentries",
        short: "",
        variable: "TIDEGATE_MAXENTRIES",
        member: "maxEntries",
        alias: None,
        value: "<n>",
        kind: LIMIT,
        blank: Blank::Kept,
        default: Value::Number(1_000_000),
        help: "values of a list, or of a model",
        manual: "Most values of a collection, and most properties of a model. An answer with \
            more is an error to whoever asks. An event, or the answer to a reset, that would \
            leave a resource with more ends it: its subscribers get a `delete` event and an \
            `unsubscribe` event with `system.internalError`, and the next who asks makes the \
            gateway fetch it again.",
    },
    Spec {
        key: Setting::MaxResourceSize,
        flag: "--maxresourcesize",
        short: "",
        variable: "TIDEGATE_MAXRESOURCESIZE",
        member: "maxResourceSize",
        alias: None,
        value: "<n>",
        kind: LIMIT,
        blank: Blank::Kept,
        default: Value::Number(16 << 20),
        help: "bytes of a resource's JSON",
        manual: "Most bytes of the JSON text of a model or collection; what is larger fares \
            as with `maxEntries`.",
    },
    Spec {
        key: Setting::Tls,
        flag: "--tls",
        short: "",
        variable: "TIDEGATE_TLS",
        member: "tls",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(false),
        help: "serve TLS to clients",
        manual: "Serve TLS to clients; see [TLS.md](TLS.md).",
    },
    Spec {
        key: Setting::TlsCert,
        flag: "--tlscert",
        short: "",
        variable: "TIDEGATE_TLSCERT",
        member: "certFile",
        alias: Some("tlsCert"),
        value: "<file>",
        kind: Kind::Text,
        blank: Blank::Kept,
        default: text(""),
        help: "certificate for clients, with its chain",
        manual: "Certificate for clients with its chain, PEM. Both names are read, the \
            first is written.",
    },
    Spec {
        key: Setting::TlsKey,
        flag: "--tlskey",
        short: "",
        variable: "TIDEGATE_TLSKEY",
        member: "keyFile",
        alias: Some("tlsKey"),
        value: "<file>",
        kind: Kind::Text,
        blank: Blank::Kept,
        default: text(""),
        help: "key of that certificate",
        manual: "Key of that certificate, PEM. Both names are read, the first is written.",
    },
    Spec {
        key: Setting::NatsCreds,
        flag: "--creds",
        short: "",
        variable: "TIDEGATE_CREDS",
        member: "natsCreds",
        alias: None,
        value: "<file>",
        kind: Kind::Text,
        blank: Blank::Kept,
        default: text(""),
        help: "NATS user credentials",
        manual: "NATS user credentials: a JWT and a seed, or a seed alone.",
    },
    Spec {
        key: Setting::NatsRootCas,
        flag: "--natsrootca",
        short: "",
        variable: "TIDEGATE_NATSROOTCA",
        member: "natsRootCAs",
        alias: None,
        value: "<file>",
        kind: Kind::List,
        blank: Blank::Kept,
        default: Value::List(Vec::new()),
        help: "root certificates for NATS; repeatable",
        manual: "Root certificates for NATS, PEM; without any the system's. The flag may \
            be repeated.",
    },
    Spec {
        key: Setting::NatsCert,
        flag: "--natscert",
        short: "",
        variable: "TIDEGATE_NATSCERT",
        member: "natsCert",
        alias: None,
        value: "<file>",
        kind: Kind::Text,
        blank: Blank::Kept,
        default: text(""),
        help: "client certificate for NATS",
        manual: "Client certificate for NATS, PEM.",
    },
    Spec {
        key: Setting::NatsKey,
        flag: "--natskey",
        short: "",
        variable: "TIDEGATE_NATSKEY",
        member: "natsKey",
        alias: None,
        value: "<file>",
        kind: Kind::Text,
        blank: Blank::Kept,
        default: text(""),
        help: "key of that certificate",
        manual: "Key of that certificate, PEM.",
    },
    Spec {
        key: Setting::NatsTlsFirst,
        flag: "--natstlsfirst",
        short: "",
        variable: "TIDEGATE_NATSTLSFIRST",
        member: "natsTLSFirst",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(false),
        help: "begin TLS with NATS before its INFO",
        manual: "Begin TLS with NATS before its INFO, for servers with `handshake_first: true`.",
    },
    Spec {
        key: Setting::WsCompression,
        flag: "--wscompression",
        short: "",
        variable: "TIDEGATE_WSCOMPRESSION",
        member: "wsCompression",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(false),
        help: "compress messages for clients that ask for it",
        manual: "Compress WebSocket messages (permessage-deflate, RFC 7692) for clients \
            that ask for it.",
    },
    Spec {
        key: Setting::MetricsPort,
        flag: "--metricsport",
        short: "-m",
        variable: "TIDEGATE_METRICSPORT",
        member: "metricsPort",
        alias: None,
        value: "<port>",
        kind: PORT,
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "port for metrics and health; 0 is none",
        manual: "Port for [metrics](METRICS.md), health and readiness, at the address of \
            `addr`; 0 is none. Must differ from the port for clients, and each process \
            that shares a port with `--reuseport` needs its own.",
    },
    Spec {
        key: Setting::ReusePort,
        flag: "--reuseport",
        short: "",
        variable: "TIDEGATE_REUSEPORT",
        member: "reusePort",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(false),
        help: "let several processes listen on one port",
        manual: "Share the port with other Tidegate processes (`SO_REUSEPORT`). Not in \
            Resgate.",
    },
    Spec {
        key: Setting::Cpu,
        flag: "--cpu",
        short: "",
        variable: "TIDEGATE_CPU",
        member: "cpu",
        alias: None,
        value: "<n>",
        kind: CPU,
        blank: Blank::Kept,
        default: Value::Unset,
        help: "run on CPU n only",
        manual: "Run on this CPU only, counted from 0. Not in Resgate.",
    },
    Spec {
        key: Setting::Workers,
        flag: "--workers",
        short: "",
        variable: "TIDEGATE_WORKERS",
        member: "workers",
        alias: None,
        value: "<n|auto>",
        kind: Kind::Auto(1, 256),
        blank: Blank::Unsets,
        default: Value::Unset,
        help: "processes for all CPUs, or so many",
        manual: "Start so many processes that share the port, each on a CPU of its own, and keep \
            them running; with `auto` one for each CPU that this process may use. Without it the \
            process serves clients itself. `metricsPort` is that of all together then. Not with \
            `cpu`, `demo` or `console`. See [All CPUs of a host](DEPLOYMENT.md#all-cpus-of-a-host). Not in \
            Resgate.",
    },
    Spec {
        key: Setting::ApiMaxResources,
        flag: "--apimaxresources",
        short: "",
        variable: "TIDEGATE_APIMAXRESOURCES",
        member: "apiMaxResources",
        alias: None,
        value: "<n>",
        kind: Kind::Number(1, 10_000_000),
        blank: Blank::Default,
        default: Value::Number(100_000),
        help: "nested resources of a web answer",
        manual: "Most resources that the answer to a web request nests, each counted as \
            often as it is nested; a larger one is an error.",
    },
    Spec {
        key: Setting::ApiMaxBytes,
        flag: "--apimaxbytes",
        short: "",
        variable: "TIDEGATE_APIMAXBYTES",
        member: "apiMaxBytes",
        alias: None,
        value: "<n>",
        kind: Kind::Number(256, 64 << 20),
        blank: Blank::Default,
        default: Value::Number(8 << 20),
        help: "bytes of a web answer",
        manual: "Most bytes of the answer to a web request for a resource, with all that is \
            nested in it; a larger one is an error.",
    },
    Spec {
        key: Setting::NatsReconnect,
        flag: "--natsreconnect",
        short: "",
        variable: "TIDEGATE_NATSRECONNECT",
        member: "natsReconnect",
        alias: None,
        value: "<ms>",
        kind: COUNT,
        blank: Blank::Kept,
        default: Value::Number(30_000),
        help: "keep clients without NATS, in ms",
        manual: "Time in milliseconds that clients are kept while the connection to NATS is \
            lost and made anew; when it is over, clients are closed with 1001 and the process \
            ends with 1. 0 means at once, as Resgate does. Not in Resgate.",
    },
    Spec {
        key: Setting::NatsReconnectTokens,
        flag: "--natsreconnecttokens",
        short: "",
        variable: "TIDEGATE_NATSRECONNECTTOKENS",
        member: "natsReconnectTokens",
        alias: None,
        value: "<what>",
        kind: Kind::Text,
        blank: Blank::Default,
        default: text("close"),
        help: "clients with token on return",
        manual: "What becomes of clients with a token when the connection to NATS returns, as \
            events that changed or revoked it may have been missed: `close` or `keep`. See \
            [When NATS goes away](DEPLOYMENT.md#when-nats-goes-away). Not in Resgate.",
    },
    Spec {
        key: Setting::NatsPingInterval,
        flag: "--natspinginterval",
        short: "",
        variable: "TIDEGATE_NATSPINGINTERVAL",
        member: "natsPingInterval",
        alias: None,
        value: "<ms>",
        kind: Kind::Number(100, 3_600_000),
        blank: Blank::Default,
        default: Value::Number(10_000),
        help: "between two PINGs to NATS, in ms",
        manual: "Time between two PINGs to NATS, in milliseconds. A server that sends nothing \
            at all from one to the next counts as lost. Not in Resgate.",
    },
    Spec {
        key: Setting::DriftAudit,
        flag: "--driftaudit",
        short: "",
        variable: "TIDEGATE_DRIFTAUDIT",
        member: "driftAudit",
        alias: None,
        value: "<n>",
        kind: Kind::Number(0, 100_000),
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "resources compared with services a second",
        manual: "So many cached resources in use are fetched again each second and compared \
            with what events have made of them: NATS can lose events without a word. What \
            differs is logged, counted and put right; see [Drift](DEPLOYMENT.md#drift). 0 is \
            none. Not in Resgate.",
    },
    Spec {
        key: Setting::ConnectionEvents,
        flag: "--connectionevents",
        short: "",
        variable: "TIDEGATE_CONNECTIONEVENTS",
        member: "connectionEvents",
        alias: None,
        value: "<ms>",
        kind: Kind::Number(0, 60_000),
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "tell services who is connected; heartbeat in ms",
        manual: "Services are told of each WebSocket client that comes and goes, by a heartbeat \
            of the gateway's that is so many milliseconds apart, and of all that are there when \
            they ask; see [Who is connected](SERVICES.md#who-is-connected). 0 is not at all. Not \
            in Resgate.",
    },
    Spec {
        key: Setting::TraceParent,
        flag: "--traceparent",
        short: "",
        variable: "TIDEGATE_TRACEPARENT",
        member: "traceParent",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(false),
        help: "pass traceparent of clients on to services",
        manual: "The `traceparent` and `tracestate` with which a client comes (W3C Trace Context) \
            go on to services, as headers of the NATS messages that are sent for it; see \
            [Traces](SERVICES.md#traces). Not in Resgate.",
    },
    Spec {
        key: Setting::LatencyPatterns,
        flag: "--latencypatterns",
        short: "",
        variable: "TIDEGATE_LATENCYPATTERNS",
        member: "latencyPatterns",
        alias: None,
        value: "<pattern>",
        kind: Kind::List,
        blank: Blank::Kept,
        default: Value::List(Vec::new()),
        help: "answer times of these names apart; repeatable",
        manual: "Patterns of resource names, such as `library.books.>`, at most 16. Answer times of \
            requests to a name count for the first that matches, as \
            `tidegate_request_seconds{pattern,type}` of the [metrics](METRICS.md), and not \
            among those without pattern. The flag may be repeated. Not in Resgate.",
    },
    Spec {
        key: Setting::DrainTime,
        flag: "--draintime",
        short: "",
        variable: "TIDEGATE_DRAINTIME",
        member: "drainTime",
        alias: None,
        value: "<ms>",
        kind: Kind::Number(0, 600_000),
        blank: Blank::Kept,
        default: Value::Number(2_000),
        help: "time over which clients are closed at the end",
        manual: "Milliseconds over which clients are closed, evenly, when a signal ends the \
            gateway: they come back at once, and whoever serves them then should not have all \
            of them in one moment. 0 closes all at once. Open web requests have as long, and 2 \
            seconds at least.",
    },
    Spec {
        key: Setting::FlushDelay,
        flag: "--flushdelay",
        short: "",
        variable: "TIDEGATE_FLUSHDELAY",
        member: "flushDelay",
        alias: None,
        value: "<ms>",
        kind: Kind::Number(0, 1_000),
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "how long messages to clients may wait for others",
        manual: "Milliseconds for which what is for a WebSocket client or a stream may wait, so \
            that more messages leave in one write: where clients get a thousand events a second, \
            20 takes a twentieth of the writes. Answers to requests over them wait as well; those \
            of HTTP do not. 0 writes everything at the end of each turn of the loop.",
    },
    Spec {
        key: Setting::PingInterval,
        flag: "--pinginterval",
        short: "",
        variable: "TIDEGATE_PINGINTERVAL",
        member: "pingInterval",
        alias: None,
        value: "<ms>",
        kind: Kind::Number(0, 3_600_000),
        blank: Blank::Kept,
        default: Value::Number(25_000),
        help: "ping WebSockets silent for so long; 0 is off",
        manual: "A WebSocket client of which nothing was heard for so many milliseconds is sent a \
            ping, a little earlier rather than later, and closed with 1008 when nothing was heard \
            for twice as long. So peers that vanished are found, and proxies do not take a silent \
            connection for an idle one. Less than 100 means 100; 0 is no pings, as in Resgate.",
    },
    Spec {
        key: Setting::MaxConnections,
        flag: "--maxconnections",
        short: "",
        variable: "TIDEGATE_MAXCONNECTIONS",
        member: "maxConnections",
        alias: None,
        value: "<n>",
        kind: COUNT,
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "connections of clients; 0 is no limit",
        manual: "Most connections of clients, HTTP and WebSocket. A further one is answered 503 with \
            `Retry-After`, with TLS closed. 0 is no limit but that of open files \
            (`ulimit -n`), beyond which connections wait until one ends. Not in Resgate.",
    },
    Spec {
        key: Setting::MaxConnectionsPerAddress,
        flag: "--maxconnectionsperaddress",
        short: "",
        variable: "TIDEGATE_MAXCONNECTIONSPERADDRESS",
        member: "maxConnectionsPerAddress",
        alias: None,
        value: "<n>",
        kind: COUNT,
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "those of one address; 0 is no limit",
        manual: "Most connections of one address, of IPv6 of one network of 64 bits. A further one is \
            answered 429 with `Retry-After`, with TLS closed. 0 is no limit: many people may \
            have one address. Behind a proxy set `trustedProxies` too. Not in Resgate.",
    },
    Spec {
        key: Setting::MaxRequestsPerSecond,
        flag: "--maxrequestspersecond",
        short: "",
        variable: "TIDEGATE_MAXREQUESTSPERSECOND",
        member: "maxRequestsPerSecond",
        alias: None,
        value: "<n>",
        kind: COUNT,
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "requests of a client; 0 is no limit",
        manual: "Requests that a client may send in a second, as many of them at once: those of a \
            WebSocket that are for a service (not `unsubscribe` and `version`), and the HTTP \
            requests and header authentications of an address. One more is answered with \
            `common.tooActive` and `data.seconds`, over HTTP 429 with `Retry-After`. 0 is no \
            limit. Behind a proxy set `trustedProxies` too. Not in Resgate.",
    },
    Spec {
        key: Setting::MaxAge,
        flag: "--maxage",
        short: "",
        variable: "TIDEGATE_MAXAGE",
        member: "maxAge",
        alias: None,
        value: "<ms>",
        kind: COUNT,
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "close WebSockets of this age; 0 is never",
        manual: "A WebSocket client that has been connected for so many milliseconds, give or take \
            a tenth at random, is closed with 1001 and comes back: to the process or host that a \
            load balancer chooses by then. One that waits for answers has a tenth longer. Less \
            than 1000 means 1000; 0 is never. Not in Resgate.",
    },
    Spec {
        key: Setting::MaxSubscriptions,
        flag: "--maxsubscriptions",
        short: "",
        variable: "TIDEGATE_MAXSUBSCRIPTIONS",
        member: "maxSubscriptions",
        alias: None,
        value: "<n>",
        kind: COUNT,
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "subscriptions of a client; 0 is no limit",
        manual: "Most resources that a WebSocket client may subscribe to directly; what they reference \
            does not count. One more is answered with `system.subscriptionLimitExceeded`. 0 is \
            no limit. Not in Resgate.",
    },
    Spec {
        key: Setting::TrustedProxies,
        flag: "--trustedproxies",
        short: "",
        variable: "TIDEGATE_TRUSTEDPROXIES",
        member: "trustedProxies",
        alias: None,
        value: "<net>",
        kind: Kind::List,
        blank: Blank::Kept,
        default: Value::List(Vec::new()),
        help: "proxies believed about clients' addresses; repeatable",
        manual: "Addresses and networks (`192.0.2.1`, `2001:db8::/32`) of proxies that are believed when \
            they say where a client connects from: in `X-Forwarded-For`, and with \
            `proxyProtocol` before all else. Services are told that address, and limits count \
            by it. The flag may be repeated. See [Behind a proxy](DEPLOYMENT.md#behind-a-proxy). \
            Not in Resgate.",
    },
    Spec {
        key: Setting::ProxyProtocol,
        flag: "--proxyprotocol",
        short: "",
        variable: "TIDEGATE_PROXYPROTOCOL",
        member: "proxyProtocol",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(false),
        help: "trusted proxies speak the PROXY protocol",
        manual: "Connections from `trustedProxies` begin with a header of the PROXY protocol, version 1 or \
            2; one without is closed. Not in Resgate.",
    },
    Spec {
        key: Setting::MaxCachedResources,
        flag: "--maxcachedresources",
        short: "",
        variable: "TIDEGATE_MAXCACHEDRESOURCES",
        member: "maxCachedResources",
        alias: None,
        value: "<n>",
        kind: COUNT,
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "cached resources; 0 is no limit",
        manual: "Most resources in the cache. For a further one those go that nobody uses, oldest first; \
            what is in use stays, and if all is, whoever asks for one more gets \
            `system.serviceUnavailable`. 0 is no limit. Not in Resgate.",
    },
    Spec {
        key: Setting::MaxCachedBytes,
        flag: "--maxcachedbytes",
        short: "",
        variable: "TIDEGATE_MAXCACHEDBYTES",
        member: "maxCachedBytes",
        alias: None,
        value: "<MiB>",
        kind: Kind::Number(0, 1 << 20),
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "their JSON in MiB; 0 is no limit",
        manual: "Most MiB of the JSON of cached resources, with 512 bytes more for each, likewise. Events \
            that make what is in use larger are taken all the same. Not in Resgate.",
    },
    Spec {
        key: Setting::HttpKeepAlive,
        flag: "--httpkeepalive",
        short: "",
        variable: "TIDEGATE_HTTPKEEPALIVE",
        member: "httpKeepAlive",
        alias: None,
        value: "<ms>",
        kind: Kind::Number(100, 3_600_000),
        blank: Blank::Kept,
        default: Value::Number(120_000),
        help: "for the next request of a connection, in ms",
        manual: "Milliseconds that a connection may have no request after an answer. Where a proxy keeps \
            connections, longer than the proxy does. Not in Resgate.",
    },
    Spec {
        key: Setting::HeadTimeout,
        flag: "--headtimeout",
        short: "",
        variable: "TIDEGATE_HEADTIMEOUT",
        member: "headTimeout",
        alias: None,
        value: "<ms>",
        kind: Kind::Number(100, 600_000),
        blank: Blank::Kept,
        default: Value::Number(10_000),
        help: "for a request's head to come, in ms",
        manual: "Milliseconds in which the head of a request must come, counted from its first byte or \
            from the connect; likewise a TLS handshake, and what a proxy says before. Not in \
            Resgate.",
    },
    Spec {
        key: Setting::WsIdleTimeout,
        flag: "--wsidletimeout",
        short: "",
        variable: "TIDEGATE_WSIDLETIMEOUT",
        member: "wsIdleTimeout",
        alias: None,
        value: "<ms>",
        kind: Kind::Number(0, 86_400_000),
        blank: Blank::Kept,
        default: Value::Number(0),
        help: "close WebSockets that ask nothing; 0 is off",
        manual: "A WebSocket client that has sent no message for so many milliseconds is closed with 1000, \
            also if it is there and gets events: pings and their answers are no messages. 0 is \
            never; peers that vanished are found by `pingInterval`. Not in Resgate.",
    },
    Spec {
        key: Setting::Broker,
        flag: "--broker",
        short: "",
        variable: "TIDEGATE_BROKER",
        member: "broker",
        alias: None,
        value: "[ip:port]",
        kind: Kind::Address,
        blank: Blank::Unsets,
        default: Value::Unset,
        help: "be the NATS broker for services too",
        manual: "Tidegate is the NATS broker itself, at this address: services connect to it with any NATS \
            client, and `natsUrl` is not used. The flag alone, an IP address alone or a port alone \
            stand for `127.0.0.1:4222` as far as they say nothing. See \
            [The broker inside](DEPLOYMENT.md#the-broker-inside). Not in Resgate.",
    },
    Spec {
        key: Setting::BrokerUsers,
        flag: "--brokerusers",
        short: "",
        variable: "TIDEGATE_BROKERUSERS",
        member: "brokerUsers",
        alias: None,
        value: "<json>",
        kind: Kind::Json,
        blank: Blank::Default,
        default: text("[]"),
        help: "users of that broker, a JSON list",
        manual: "Who may connect to it: a list of objects with `user` and `password`, or `token`, and \
            with `permissions`; everybody if it is empty. See \
            [Users of the broker](DEPLOYMENT.md#users-of-the-broker). Not in Resgate.",
    },
    Spec {
        key: Setting::BrokerOpen,
        flag: "--brokeropen",
        short: "",
        variable: "TIDEGATE_BROKEROPEN",
        member: "brokerOpen",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(false),
        help: "let it be reached without users",
        manual: "Without users the broker inside listens on loopback addresses only, unless this is set. \
            Not in Resgate.",
    },
    Spec {
        key: Setting::BrokerMaxPayload,
        flag: "--brokermaxpayload",
        short: "",
        variable: "TIDEGATE_BROKERMAXPAYLOAD",
        member: "brokerMaxPayload",
        alias: None,
        value: "<n>",
        kind: Kind::Number(1, 64 << 20),
        blank: Blank::Default,
        default: Value::Number(1 << 20),
        help: "bytes of a message there",
        manual: "Most bytes of a message of services with its headers, at the broker inside. Not in \
            Resgate.",
    },
    Spec {
        key: Setting::BrokerMaxConnections,
        flag: "--brokermaxconnections",
        short: "",
        variable: "TIDEGATE_BROKERMAXCONNECTIONS",
        member: "brokerMaxConnections",
        alias: None,
        value: "<n>",
        kind: Kind::Number(1, 1 << 20),
        blank: Blank::Default,
        default: Value::Number(65_536),
        help: "services that may be connected there",
        manual: "Most connections of services at the broker inside. Not in Resgate.",
    },
    Spec {
        key: Setting::BrokerTlsCert,
        flag: "--brokertlscert",
        short: "",
        variable: "TIDEGATE_BROKERTLSCERT",
        member: "brokerTLSCert",
        alias: None,
        value: "<file>",
        kind: Kind::Text,
        blank: Blank::Kept,
        default: text(""),
        help: "its certificate: services must use TLS",
        manual: "Certificate of the broker inside with its chain, PEM. With it services must use TLS. Not \
            in Resgate.",
    },
    Spec {
        key: Setting::BrokerTlsKey,
        flag: "--brokertlskey",
        short: "",
        variable: "TIDEGATE_BROKERTLSKEY",
        member: "brokerTLSKey",
        alias: None,
        value: "<file>",
        kind: Kind::Text,
        blank: Blank::Kept,
        default: text(""),
        help: "key of that certificate",
        manual: "Key of that certificate, PEM. Not in Resgate.",
    },
    Spec {
        key: Setting::Demo,
        flag: "--demo",
        short: "",
        variable: "TIDEGATE_DEMO",
        member: "demo",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(false),
        help: "broker, gateway and an example to look at",
        manual: "Try it out: the broker inside, the gateway and example services in one process, with \
            pages under `/`. `addr` is `127.0.0.1` then, and `broker` `127.0.0.1:4222`, unless \
            set otherwise; the next free port is taken for one that is in use. Not in Resgate.",
    },
    Spec {
        key: Setting::Console,
        flag: "--console",
        short: "",
        variable: "TIDEGATE_CONSOLE",
        member: "console",
        alias: None,
        value: "[path]",
        kind: Kind::Text,
        blank: Blank::Unsets,
        default: Value::Unset,
        help: "pages to look inside, for this host",
        manual: "Path of the [console](CONSOLE.md), pages that show what the gateway does and holds; the \
            flag alone stands for `/console`. It is served to browsers on the same host, and to \
            others with `consoleToken`. `demo` has it. Not in Resgate.",
    },
    Spec {
        key: Setting::ConsoleToken,
        flag: "--consoletoken",
        short: "",
        variable: "TIDEGATE_CONSOLETOKEN",
        member: "consoleToken",
        alias: None,
        value: "<token>",
        kind: Kind::Text,
        blank: Blank::Unsets,
        default: Value::Unset,
        help: "what opens the console from elsewhere",
        manual: "Whoever knows it may use the console from any host: 16 to 256 visible characters of \
            ASCII. It belongs in the file or the environment, where other users do not see it. Not in \
            Resgate.",
    },
    Spec {
        key: Setting::LogFormat,
        flag: "--logformat",
        short: "",
        variable: "TIDEGATE_LOGFORMAT",
        member: "logFormat",
        alias: None,
        value: "<type>",
        kind: Kind::Text,
        blank: Blank::Default,
        default: text("text"),
        help: "log lines as text or json",
        manual: "Form of the [log](#the-log)'s lines: `text`, as Resgate writes them, or `json`, an \
            object for each. Not in Resgate.",
    },
    Spec {
        key: Setting::Debug,
        flag: "--debug",
        short: "-D",
        variable: "TIDEGATE_DEBUG",
        member: "debug",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(false),
        help: "log what happens inside",
        manual: "Log what happens inside.",
    },
    Spec {
        key: Setting::Trace,
        flag: "--trace",
        short: "-V",
        variable: "TIDEGATE_TRACE",
        member: "trace",
        alias: None,
        value: "",
        kind: Kind::Switch,
        blank: Blank::Kept,
        default: Value::Switch(false),
        help: "log messages of services and clients (-DV: both)",
        manual: "Log every message between gateway and services.",
    },
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_key_has_one_row() {
        let mut keys: Vec<usize> = OPTIONS.iter().map(|spec| spec.key as usize).collect();
        keys.sort_unstable();
        assert_eq!(keys, (0..OPTIONS.len()).collect::<Vec<_>>());
        for spec in &OPTIONS {
            assert_eq!(spec.key.spec().member, spec.member);
        }
    }

    #[test]
    fn names_are_unique() {
        let mut members = HashSet::new();
        let mut flags = HashSet::new();
        for spec in &OPTIONS {
            assert!(members.insert(spec.member.to_ascii_lowercase()));
            if let Some(alias) = spec.alias {
                assert!(members.insert(alias.to_ascii_lowercase()));
            }
            assert!(flags.insert(spec.flag), "{}", spec.flag);
            assert!(spec.short.is_empty() || flags.insert(spec.short));
        }
        for extra in EXTRAS {
            assert!(flags.insert(extra.flag), "{}", extra.flag);
            assert!(extra.short.is_empty() || flags.insert(extra.short));
        }
    }

    /// A flag, a variable and a member each, in one spelling.
    #[test]
    fn names_are_complete() {
        let variable_of = |flag: &str| {
            let name = flag.strip_prefix("--").expect("two dashes");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase()), "{flag}");
            format!("{PREFIX}{}", name.to_ascii_uppercase())
        };
        for spec in &OPTIONS {
            assert_eq!(spec.variable, variable_of(spec.flag));
            assert!(spec.member.starts_with(|c: char| c.is_ascii_lowercase()));
            let is_switch = spec.kind == Kind::Switch;
            assert_eq!(spec.value.is_empty(), is_switch, "{}", spec.flag);
            assert!(!spec.help.is_empty() && spec.manual.ends_with('.'));
        }
        assert_eq!(CONFIG.variable, variable_of(CONFIG.flag));
    }

    #[test]
    fn defaults_are_of_their_kind() {
        for spec in &OPTIONS {
            let fits = match (&spec.default, spec.kind) {
                (Value::Unset, _) => true,
                (Value::Text(_), Kind::Text | Kind::Joined | Kind::Address | Kind::Json) => true,
                (Value::Number(n), Kind::Number(min, max) | Kind::Auto(min, max)) => {
                    (min..=max).contains(n)
                }
                (Value::Switch(_), Kind::Switch) => true,
                (Value::List(_), Kind::List) => true,
                _ => false,
            };
            assert!(fits, "{}", spec.member);
        }
    }
}
