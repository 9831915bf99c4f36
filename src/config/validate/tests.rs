use crate::config::options::Value;
use std::path::Path;

use super::*;
use crate::config::options::OPTIONS;

fn check(key: Setting, value: Value) -> (Result<Config, Error>, Vec<String>) {
    let mut settings = Settings::new(Path::new("x.json"));
    settings.set_from_file(key, key.spec().member, value);
    let mut warnings = Vec::new();
    let checked = validate(&settings, &mut warnings);
    (checked, warnings)
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned().into())
}

/// The message of the refusal; empty if there is none.
fn refusal(key: Setting, value: Value) -> String {
    match check(key, value).0 {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn defaults_pass_without_a_warning() {
    let mut warnings = Vec::new();
    let config = validate(&Settings::new(Path::new("")), &mut warnings).expect("defaults");
    assert_eq!(warnings, [""; 0]);
    assert_eq!(config.nats_url, "nats://127.0.0.1:4222");
    assert_eq!(config.addr, Some("0.0.0.0".parse().expect("an address")));
    assert_eq!(config.port, 8_080);
    assert_eq!(config.ws_path, "/");
    assert_eq!(config.api_path, "/api/");
    assert_eq!(config.request_timeout, Duration::from_millis(3_000));
    assert_eq!(config.allow_origin, AllowOrigin::Any);
    assert_eq!(config.cpu, None);
}

#[test]
fn request_timeouts() {
    for (given, milliseconds, warning) in [
        (0, 3_000, ""),
        (
            1,
            1_000,
            "\"requestTimeout\" in x.json: 1 is taken as seconds; this is deprecated, write 1000 milliseconds",
        ),
        (
            10,
            10_000,
            "\"requestTimeout\" in x.json: 10 is taken as seconds; this is deprecated, write 10000 milliseconds",
        ),
        (
            11,
            11,
            "\"requestTimeout\" in x.json: 11 is taken as milliseconds, a short time for services; if seconds were meant, write 11000",
        ),
        (
            99,
            99,
            "\"requestTimeout\" in x.json: 99 is taken as milliseconds, a short time for services; if seconds were meant, write 99000",
        ),
        (100, 100, ""),
        (5_000, 5_000, ""),
    ] {
        let (config, warnings) = check(Setting::RequestTimeout, Value::Number(given));
        let config = config.expect("any timeout");
        assert_eq!(config.request_timeout, Duration::from_millis(milliseconds));
        assert_eq!(warnings.concat(), warning);
    }
}

#[test]
fn addresses() {
    for (given, expected) in [
        ("", None),
        ("127.0.0.1", Some("127.0.0.1")),
        ("::", Some("::")),
        ("::1", Some("::1")),
    ] {
        let config = check(Setting::Addr, text(given)).0.expect(given);
        let expected = expected.map(|addr| addr.parse().expect("an address"));
        assert_eq!(config.addr, expected, "{given:?}");
    }
    for given in ["localhost", "[::1]", "127.0.0.1:80", "1.2.3", " "] {
        assert_eq!(
            refusal(Setting::Addr, text(given)),
            format!(
                "\"addr\" in x.json: {given:?} is not an IP address; give an IPv4 or IPv6 \
                 address, or an empty text for all"
            )
        );
    }
}

#[test]
fn paths() {
    for (given, api, warned) in [
        ("/api", "/api/", false),
        ("/api/", "/api/", false),
        ("/", "/", false),
        ("", "/api/", false),
        ("api", "api/", true),
    ] {
        let (config, warnings) = check(Setting::ApiPath, text(given));
        assert_eq!(config.expect(given).api_path, api);
        assert_eq!(warnings.len(), usize::from(warned), "{given:?}");
    }
    let (config, warnings) = check(Setting::WsPath, text("ws"));
    assert_eq!(config.expect("ws").ws_path, "ws");
    assert_eq!(
        warnings,
        ["\"wsPath\" in x.json: \"ws\" matches no request; begin it with a slash"]
    );
}

#[test]
fn encodings() {
    for given in ["json", "JSON", ""] {
        let config = check(Setting::ApiEncoding, text(given)).0.expect(given);
        assert_eq!(config.api_encoding, ApiEncoding::Json);
    }
    let config = check(Setting::ApiEncoding, text("JsonFlat"))
        .0
        .expect("valid");
    assert_eq!(config.api_encoding, ApiEncoding::JsonFlat);
    assert_eq!(
        refusal(Setting::ApiEncoding, text("xml")),
        "\"apiEncoding\" in x.json: \"xml\" is not an encoding; give json or jsonflat"
    );
}

#[test]
fn clients_with_a_token_when_nats_returns() {
    for (given, meant) in [
        ("", ReconnectTokens::Close),
        ("close", ReconnectTokens::Close),
        ("Keep", ReconnectTokens::Keep),
    ] {
        let config = check(Setting::NatsReconnectTokens, text(given)).0;
        assert_eq!(config.expect(given).nats_reconnect_tokens, meant);
    }
    assert_eq!(
        refusal(Setting::NatsReconnectTokens, text("drop")),
        "\"natsReconnectTokens\" in x.json: \"drop\" is neither; give close or keep"
    );
}

#[test]
fn no_time_without_nats_is_a_choice() {
    let config = |number| check(Setting::NatsReconnect, Value::Number(number)).0;
    for ms in [0, 1, 30_000] {
        let time = config(ms).expect("valid").nats_reconnect;
        assert_eq!(time.as_millis(), u128::try_from(ms).expect("positive"));
    }
    let interval = check(Setting::NatsPingInterval, Value::Number(0)).0;
    let interval = interval.expect("the default").nats_ping_interval;
    assert_eq!(interval, Duration::from_secs(10));
}

#[test]
fn auth_and_mapped_methods() {
    for (key, given, valid) in [
        (Setting::HeaderAuth, "auth.login", true),
        (Setting::WsHeaderAuth, "a.b.c", true),
        (Setting::HeaderAuth, "login", false),
        (Setting::HeaderAuth, "", false),
        (Setting::HeaderAuth, "a..b", false),
        (Setting::HeaderAuth, "a.", false),
        (Setting::HeaderAuth, ".a", false),
        (Setting::HeaderAuth, "a.b?c", false),
        (Setting::WsHeaderAuth, "a.*", false),
        (Setting::WsHeaderAuth, "a.>", false),
        (Setting::WsHeaderAuth, "a b.c", false),
        (Setting::WsHeaderAuth, "a.\u{e9}", false),
        (Setting::PutMethod, "set", true),
        (Setting::DeleteMethod, "delete", true),
        (Setting::PatchMethod, "$x/y", true),
        (Setting::PutMethod, "", false),
        (Setting::PutMethod, "a.b", false),
        (Setting::DeleteMethod, "a?", false),
        (Setting::PatchMethod, "a b", false),
    ] {
        match check(key, text(given)).0 {
            Ok(config) => {
                let auth = config.header_auth.or(config.ws_header_auth);
                let auth = auth.map(|auth| format!("{}.{}", auth.resource, auth.method));
                let mapped = config.put_method.or(config.delete_method);
                let got = auth.or(mapped).or(config.patch_method);
                assert_eq!(got.as_deref(), Some(given), "{key:?}");
                assert!(valid, "{key:?} {given:?}");
            }
            Err(Error::Invalid { .. }) => assert!(!valid, "{key:?} {given:?}"),
            other => panic!("{key:?} {given:?}: {other:?}"),
        }
    }
}

#[test]
fn origins() {
    for (given, valid) in [
        ("http://localhost", true),
        ("https://example.com:8443", true),
        ("https://a.example;http://b.example", true),
        ("HTTP://Example.COM", true),
        ("http://[::1]:80", true),
        ("capacitor://localhost", true),
        ("", false),
        ("null", false),
        ("*;http://a", false),
        ("http://a;", false),
        ("http://a/", false),
        ("http://a/b", false),
        ("http://a?b", false),
        ("http://u@a", false),
        ("http://", false),
        ("http://:80", false),
        ("http://a:", false),
        ("http://a:65536", false),
        ("http://a:+1", false),
        ("http://[::1", false),
        ("http://[x]", false),
        ("http://[::1]x", false),
        ("://a", false),
        ("1http://a", false),
        ("a.example", false),
        ("http://a, http://b", false),
    ] {
        match check(Setting::AllowOrigin, text(given)).0.err() {
            None => assert!(valid, "{given:?}"),
            Some(Error::Invalid { .. }) => assert!(!valid, "{given:?}"),
            other => panic!("{given:?}: {other:?}"),
        }
    }

    let mut settings = Settings::new(Path::new(""));
    settings.set_from_flag(
        Setting::AllowOrigin,
        text("https://B.example;http://a.example"),
    );
    let checked = Checker {
        settings: &settings,
        warnings: &mut Vec::new(),
    }
    .allow_origin();
    let sorted = ["http://a.example", "https://b.example"].map(str::to_owned);
    assert_eq!(checked.expect("valid"), AllowOrigin::List(sorted.into()));
}

#[test]
fn metrics_port_is_another_port() {
    assert_eq!(
        refusal(Setting::MetricsPort, Value::Number(8_080)),
        "\"metricsPort\" in x.json: 8080 is the port for clients; give another one"
    );
}

#[test]
fn every_default_passes_when_written_out() {
    for spec in &OPTIONS {
        assert_eq!(
            refusal(spec.key, spec.default.clone()),
            "",
            "{}",
            spec.member
        );
    }
}

#[test]
fn flags_are_named_as_flags() {
    let mut settings = Settings::new(Path::new("x.json"));
    settings.set_from_flag(Setting::Tls, Value::Switch(true));
    let error = validate(&settings, &mut Vec::new()).expect_err("no certificate");
    assert_eq!(
        error.to_string(),
        "--tls: needs a certificate and its key; set --tlscert or \"certFile\" and --tlskey or \
         \"keyFile\""
    );
}

#[test]
fn certificates_come_with_keys() {
    for (key, other) in [
        (Setting::TlsCert, "--tlskey or \"keyFile\""),
        (Setting::TlsKey, "--tlscert or \"certFile\""),
        (Setting::NatsCert, "--natskey or \"natsKey\""),
        (Setting::NatsKey, "--natscert or \"natsCert\""),
    ] {
        assert_eq!(
            refusal(key, text("f")),
            format!("\"{}\" in x.json: set {other} too", key.spec().member)
        );
    }
    let mut settings = Settings::new(Path::new("x.json"));
    for (key, file) in [
        (Setting::TlsCert, "c"),
        (Setting::TlsKey, "k"),
        (Setting::NatsCert, "nc"),
        (Setting::NatsKey, "nk"),
        (Setting::NatsCreds, "creds"),
    ] {
        settings.set_from_flag(key, text(file));
    }
    settings.set_from_flag(
        Setting::NatsRootCas,
        Value::List(vec!["a".into(), "b".into()]),
    );
    let mut warnings = Vec::new();
    let config = validate(&settings, &mut warnings).expect("valid");
    assert!(!config.tls);
    assert_eq!(
        warnings,
        ["--tlscert: has no effect without --tls or \"tls\""]
    );
    let path = |path: &str| Some(PathBuf::from(path));
    assert_eq!((config.tls_cert, config.tls_key), (path("c"), path("k")));
    assert_eq!(
        (config.nats_cert, config.nats_key),
        (path("nc"), path("nk"))
    );
    assert_eq!(config.nats_creds, path("creds"));
    assert_eq!(config.nats_root_cas, ["a", "b"].map(PathBuf::from));
    settings.set_from_flag(Setting::Tls, Value::Switch(true));
    warnings.clear();
    assert!(validate(&settings, &mut warnings).expect("valid").tls);
    assert_eq!(warnings, [""; 0]);
}

/// The demonstration brings its broker, and nobody else reaches it unless that is asked for.
#[test]
fn the_demonstration_is_local_unless_asked() {
    let demo = |more: &[(Setting, Value, bool)]| {
        let mut settings = Settings::new(Path::new("x.json"));
        settings.set_from_flag(Setting::Demo, Value::Switch(true));
        for (key, value, is_flag) in more {
            match is_flag {
                true => settings.set_from_flag(*key, value.clone()),
                false => settings.set_from_file(*key, key.spec().member, value.clone()),
            }
        }
        let mut warnings = Vec::new();
        let config = validate(&settings, &mut warnings).expect("valid");
        let broker = config.broker.addr.map(|addr| addr.to_string());
        let addr = config.addr.map(|addr| addr.to_string());
        (
            addr.unwrap_or_default(),
            broker.unwrap_or_default(),
            warnings,
        )
    };
    let local = || {
        (
            "127.0.0.1".to_owned(),
            "127.0.0.1:4222".to_owned(),
            Vec::new(),
        )
    };
    assert_eq!(demo(&[]), local());
    // A created file has the default in it, which nobody has asked for.
    assert_eq!(demo(&[(Setting::Addr, text("0.0.0.0"), false)]), local());
    for (address, is_flag) in [("0.0.0.0", true), ("10.0.0.1", false), ("::", false)] {
        let (addr, broker, _) = demo(&[(Setting::Addr, text(address), is_flag)]);
        assert_eq!((&*addr, &*broker), (address, "127.0.0.1:4222"));
    }
    let (_, broker, _) = demo(&[(Setting::Broker, text("5000"), true)]);
    assert_eq!(broker, "127.0.0.1:5000");
    let (.., warnings) = demo(&[(Setting::NatsUrl, text("nats://h"), true)]);
    assert_eq!(warnings, ["--nats: has no effect with --demo or \"demo\""]);
}

/// The console is off, on at its path, or what the demonstration brings; a token is long enough
/// and never shown.
#[test]
fn the_console_has_a_path_and_perhaps_a_token() {
    let check = |values: &[(Setting, &'static str)]| {
        let mut settings = Settings::new(Path::new("x.json"));
        for (key, value) in values {
            match key {
                Setting::Demo => settings.set_from_flag(*key, Value::Switch(true)),
                _ => settings.set_from_flag(*key, text(value)),
            }
        }
        let mut warnings = Vec::new();
        let config = validate(&settings, &mut warnings).map_err(|error| error.to_string())?;
        Ok::<_, String>((config.console, config.console_token, warnings.join("")))
    };
    let path = |path: &str| Some(path.to_owned());
    const TOKEN: &str = "0123456789abcdef";
    let ok = |console, token: Option<&str>| Ok((console, token.map(str::to_owned), String::new()));
    assert_eq!(check(&[]), ok(None, None));
    assert_eq!(check(&[(Setting::Demo, "")]), ok(path("/console"), None));
    let both = [(Setting::Console, "/a/b.c"), (Setting::ConsoleToken, TOKEN)];
    assert_eq!(check(&both), ok(path("/a/b.c"), Some(TOKEN)));
    assert_eq!(check(&[(Setting::Console, "")]), ok(None, None));
    let (.., warning) = check(&[(Setting::ConsoleToken, TOKEN)]).expect("valid");
    assert!(
        warning.contains("has no effect without --console"),
        "{warning}"
    );
    for wrong in ["/", "console", "/a/", "/a//b", "/a b", "/a?b", "/é", "/a#b"] {
        let error = check(&[(Setting::Console, wrong)]).expect_err(wrong);
        assert!(error.contains("is no path for the console"), "{error}");
    }
    let ws = [(Setting::Console, "/ws"), (Setting::WsPath, "/ws")];
    assert!(check(&ws).expect_err("taken").contains("of the WebSocket"));
    for wrong in ["0123456789abcde", "0123456789 abcdef", "0123456789abcdé"] {
        let error = check(&[(Setting::Console, "/c"), (Setting::ConsoleToken, wrong)]);
        let error = error.expect_err(wrong);
        assert!(
            error.contains("16 to 256 visible") && !error.contains(wrong),
            "{error}"
        );
    }
}

#[test]
fn patterns_are_such_of_resource_names() {
    let list = |texts: &[&str]| Value::List(texts.iter().map(|text| (*text).into()).collect());
    let refusal = |texts: &[&str]| refusal(Setting::LatencyPatterns, list(texts));
    assert_eq!(
        refusal(&["library.books.>", "library.*", ">", "a", "*.b.>"]),
        ""
    );
    for bad in [
        "", ".", "a.", "a..b", "a.>.b", "a*", "a b", "a?b", "a.\"", "a\\", "\u{fc}",
    ] {
        let words = refusal(&["a", bad]);
        assert!(
            words.contains("is no pattern of resource names"),
            "{bad}: {words}"
        );
    }
    assert!(refusal(&["a", "b", "a"]).contains("\"a\" is there twice"));
    let many: Vec<String> = (0..17).map(|number| format!("n{number}")).collect();
    let many: Vec<&str> = many.iter().map(|text| &**text).collect();
    assert_eq!(refusal(&many[..16]), "");
    assert!(refusal(&many).contains("has 17 patterns; give 16 at most"));
}
