//! The binary's command line and configuration file, as a user meets them.
//!
//! Where the gateway gets as far as running, it is sent to a port where no broker is, so
//! that it ends by itself; what it says of that is not looked at here.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Nothing listens on port 1 of a sane machine.
const NO_BROKER: &str = "nats://127.0.0.1:1";

fn tidegate(arguments: &[&str]) -> Output {
    tidegate_with(&[], arguments)
}

/// Runs with these variables, and without those of whoever runs the tests.
fn tidegate_with(variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let foreign = std::env::vars_os().map(|(name, _)| name);
    let foreign = foreign.filter(|name| name.as_encoded_bytes().starts_with(b"TIDEGATE_"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    for name in foreign {
        command.env_remove(name);
    }
    command
        .envs(variables.iter().copied())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the binary starts")
}

/// A new directory for one test.
fn directory(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{test}"));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

fn file(test: &str, text: &str) -> String {
    let path = directory(test).join("tidegate.json");
    fs::write(&path, text).expect("a file");
    path.to_str().expect("text").to_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// The level and the text of a line of the log, whose time has its form.
fn split_line(line: &str) -> &str {
    let (time, text) = line.split_at(line.find(" [").unwrap_or_default());
    let shape: String = time
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000/00/00 00:00:00.000000", "{line}");
    &text[1..]
}

/// Runs, and expects one line on standard error and an exit code.
fn expect_failure(arguments: &[&str], code: i32, line: &str) {
    let output = tidegate(arguments);
    let said = stderr(&output);
    assert_eq!(
        split_line(&said),
        format!("[ERR] {line}\n"),
        "{arguments:?}"
    );
    assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
}

#[test]
fn help() {
    for flag in ["-h", "--help", "-help"] {
        let output = tidegate(&[flag]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stderr(&output), "");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.starts_with("Usage: tidegate [flags]\n"), "{text}");
        assert!(text.contains("--reqtimeout <ms>"), "{text}");
    }
}

#[test]
fn version() {
    for flag in ["-v", "--version"] {
        let output = tidegate(&[flag]);
        assert_eq!(output.status.code(), Some(0));
        assert_eq!(stderr(&output), "");
        let expected = format!(
            "tidegate {} (RES protocol 1.2.3)\n",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(output.stdout, expected.as_bytes());
        let details = tidegate(&[flag, "-V"]);
        assert_eq!(details.status.code(), Some(0));
        let text = String::from_utf8(details.stdout).expect("text");
        assert!(text.starts_with(&expected), "{text}");
        assert!(text.contains("\n  target:     "), "{text}");
    }
}

#[test]
fn usage_errors_end_with_2() {
    expect_failure(&["--nope"], 2, "unknown flag --nope; see tidegate --help");
    expect_failure(
        &["-p"],
        2,
        "--port needs a value: --port <value>; see tidegate --help",
    );
    expect_failure(
        &["serve"],
        2,
        "unexpected argument serve; see tidegate --help",
    );
    // Whatever is quoted stays on one line.
    expect_failure(
        &["a\nb\u{1b}"],
        2,
        "unexpected argument a\\nb\\u{1b}; see tidegate --help",
    );
}

#[test]
fn bad_values_end_with_1() {
    expect_failure(
        &["-p", "http"],
        1,
        "--port: \"http\" is not a whole number from 0 to 65535; give one",
    );
    expect_failure(
        &["-i", "localhost"],
        1,
        "--addr: \"localhost\" is not an IP address; give an IPv4 or IPv6 address, or an empty \
         text for all",
    );
    expect_failure(
        &["--tls"],
        1,
        "--tls: needs a certificate and its key; set --tlscert or \"certFile\" and --tlskey or \
         \"keyFile\"",
    );
}

#[test]
fn unreadable_file() {
    let path = directory("unreadable");
    let path = path.to_str().expect("text");
    expect_failure(
        &["-c", path],
        1,
        &format!(
            "cannot read the configuration file {path}: Is a directory (os error 21); give \
             another path, or one where no file is yet to have it created"
        ),
    );
}

#[test]
fn oversized_file() {
    let path = file("oversized", &" ".repeat((1 << 20) + 1));
    expect_failure(
        &["-c", &path],
        1,
        &format!(
            "the configuration file {path} is larger than 1048576 bytes; is it the right file?"
        ),
    );
}

#[test]
fn broken_file_is_told_by_line_and_column() {
    let path = file(
        "broken",
        "{\n\t// the port\n\t\"port\": 8080\n\t\"addr\": \"\"\n}\n",
    );
    expect_failure(
        &["-c", &path],
        1,
        &format!(
            "the configuration file {path} is not valid: expected `,` or `}}` at line 4 column \
             2; correct it there"
        ),
    );
}

/// As some editors write it.
#[test]
fn a_byte_order_mark_is_passed_over() {
    let path = file("mark", "\u{feff}{\"port\": \"x\"}");
    expect_failure(
        &["-c", &path],
        1,
        &format!("\"port\" in {path}: must be a number, not a text"),
    );
}

#[test]
fn wrong_type_is_told_by_member() {
    let path = file("type", "{\"PORT\": \"8080\"}");
    expect_failure(
        &["-c", &path],
        1,
        &format!("\"port\" in {path}: must be a number, not a text"),
    );
}

/// The manual's example of a file, comments and all, is a valid file.
#[test]
fn comments_are_accepted() {
    let path = file(
        "comments",
        "{\n    // URL to the NATS server.\n    \"natsUrl\": \"nats://127.0.0.1:1\", // \"x\"\n    \
         // \"tls\": true,\n    \"wsPath\": \"/ws//\"\n}\n",
    );
    let output = tidegate(&["-c", &path]);
    assert!(!stderr(&output).contains(&path), "{}", stderr(&output));
    assert_ne!(output.status.code(), Some(2));
}

/// What `a_missing_file_is_created` creates.
const CREATED: &str = "{
\t\"natsUrl\": \"nats://127.0.0.1:1\",
\t\"natsCreds\": \"\",
\t\"natsCert\": \"\",
\t\"natsKey\": \"\",
\t\"natsRootCAs\": [],
\t\"natsTLSFirst\": false,
\t\"requestTimeout\": 3000,
\t\"bufferSize\": 8192,
\t\"debug\": true,
\t\"trace\": true,
\t\"addr\": \"0.0.0.0\",
\t\"port\": 9000,
\t\"wsPath\": \"/\",
\t\"apiPath\": \"/api\",
\t\"metricsPort\": 0,
\t\"apiEncoding\": \"json\",
\t\"headerAuth\": null,
\t\"wsHeaderAuth\": null,
\t\"allowOrigin\": \"*\",
\t\"putMethod\": null,
\t\"deleteMethod\": null,
\t\"patchMethod\": null,
\t\"tls\": false,
\t\"certFile\": \"\",
\t\"keyFile\": \"\",
\t\"wsCompression\": false,
\t\"resetThrottle\": 0,
\t\"referenceThrottle\": 0,
\t\"maxBuffers\": 256,
\t\"reusePort\": false,
\t\"cpu\": 0,
\t\"workers\": null,
\t\"maxEntries\": 1000000,
\t\"maxResourceSize\": 16777216,
\t\"apiMaxResources\": 100000,
\t\"apiMaxBytes\": 8388608,
\t\"natsReconnect\": 30000,
\t\"natsReconnectTokens\": \"close\",
\t\"natsPingInterval\": 10000,
\t\"driftAudit\": 0,
\t\"connectionEvents\": 0,
\t\"traceParent\": false,
\t\"latencyPatterns\": [],
\t\"drainTime\": 2000,
\t\"flushDelay\": 0,
\t\"pingInterval\": 25000,
\t\"maxConnections\": 0,
\t\"maxConnectionsPerAddress\": 0,
\t\"maxRequestsPerSecond\": 0,
\t\"maxAge\": 0,
\t\"maxSubscriptions\": 0,
\t\"trustedProxies\": [],
\t\"proxyProtocol\": false,
\t\"maxCachedResources\": 0,
\t\"maxCachedBytes\": 0,
\t\"httpKeepAlive\": 120000,
\t\"headTimeout\": 10000,
\t\"wsIdleTimeout\": 0,
\t\"broker\": null,
\t\"brokerUsers\": [],
\t\"brokerOpen\": false,
\t\"brokerMaxPayload\": 1048576,
\t\"brokerMaxConnections\": 65536,
\t\"brokerTLSCert\": \"\",
\t\"brokerTLSKey\": \"\",
\t\"homePage\": true,
\t\"demo\": false,
\t\"logFormat\": \"text\",
\t\"console\": null,
\t\"consoleToken\": null
}
";

#[test]
fn a_missing_file_is_created() {
    let path = directory("created").join("new.json");
    let text = path.to_str().expect("text");
    tidegate(&[
        "-c",
        text,
        "-n",
        NO_BROKER,
        "-port=9000",
        "-DV",
        "--cpu",
        "0",
        "-c",
        text,
    ]);
    assert_eq!(fs::read_to_string(&path).expect("the file"), CREATED);
    // The umask may take write permissions away; nothing may be added.
    let mode = fs::metadata(&path).expect("the file").permissions().mode() & 0o777;
    assert_eq!(mode & !0o664, 0, "{mode:o}");
    assert_eq!(mode & 0o600, 0o600, "{mode:o}");
}

#[test]
fn a_created_file_keeps_a_password_to_its_owner() {
    let path = directory("secret").join("new.json");
    let text = path.to_str().expect("text");
    tidegate(&["-c", text, "-n", &NO_BROKER.replace("://", "://u:hush@")]);
    let mode = fs::metadata(&path).expect("the file").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o}");
    assert!(
        fs::read_to_string(&path)
            .expect("the file")
            .contains("hush")
    );
}

#[test]
fn an_existing_file_is_left_alone() {
    let text = format!("{{\"natsUrl\":\"{NO_BROKER}\"}}");
    let path = file("existing", &text);
    tidegate(&["-c", &path, "-p", "9000"]);
    assert_eq!(fs::read_to_string(&path).expect("the file"), text);
}

#[test]
fn no_file_is_created_from_bad_values() {
    let path = directory("refused").join("new.json");
    let text = path.to_str().expect("text");
    let output = tidegate(&["-c", text, "-i", "localhost"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!path.exists());
}

#[test]
fn a_file_that_cannot_be_created_is_a_warning() {
    let path = directory("nowhere").join("no/such/directory.json");
    let path = path.to_str().expect("text");
    let log = stderr(&tidegate(&["-c", path, "-n", NO_BROKER]));
    let first = log.lines().next().unwrap_or_default();
    let text = format!(
        "[WRN] cannot create the configuration file {path}: No such file or directory (os error \
         2); running without it"
    );
    assert!(first.ends_with(&text), "{log}");
}

#[test]
fn flags_win_over_the_file() {
    let path = file(
        "precedence",
        &format!("{{\"natsUrl\":\"{NO_BROKER}\",\"addr\":\"x\"}}"),
    );
    expect_failure(
        &["-c", &path],
        1,
        &format!(
            "\"addr\" in {path}: \"x\" is not an IP address; give an IPv4 or IPv6 address, or an \
             empty text for all"
        ),
    );
    let log = stderr(&tidegate(&["-c", &path, "-i", "127.0.0.1"]));
    assert!(!log.contains("is not an IP address"), "{log}");
    expect_failure(
        &["-c", &path, "-i", "127.0.0.1", "-i", "y"],
        1,
        "--addr: \"y\" is not an IP address; give an IPv4 or IPv6 address, or an empty text for \
         all",
    );
}

#[test]
fn flags_win_over_the_environment_which_wins_over_the_file() {
    let path = file(
        "environment",
        r#"{"natsUrl":"nats://127.0.0.1:x","port":"y"}"#,
    );
    let said = |variables: &[(&str, &str)], arguments: &[&str]| {
        let output = tidegate_with(variables, arguments);
        assert_eq!(output.status.code(), Some(1), "{variables:?} {arguments:?}");
        stderr(&output)
    };
    // The file's values are not looked at where others replace them, but for their kind.
    let wrong_kind = said(&[("TIDEGATE_CONFIG", &path), ("TIDEGATE_PORT", "1")], &[]);
    assert!(wrong_kind.contains("\"port\" in "), "{wrong_kind}");

    let path = file("environment", r#"{"apiEncoding":"xml"}"#);
    let named = [("TIDEGATE_CONFIG", &*path)];
    assert!(said(&named, &["-n", NO_BROKER]).contains("\"xml\" is not"));
    let both = [named[0], ("TIDEGATE_APIENCODING", "csv")];
    let line = said(&both, &["-n", NO_BROKER]);
    assert!(
        line.contains("[ERR] TIDEGATE_APIENCODING: \"csv\" is not"),
        "{line}"
    );
    let line = said(&both, &["--apiencoding=toml", "-n", NO_BROKER]);
    assert!(
        line.contains("[ERR] --apiencoding: \"toml\" is not"),
        "{line}"
    );
    // An empty variable says nothing, and neither does the file's rival on the line.
    let other = file("environment-2", r#"{"apiEncoding":"yaml"}"#);
    let empty = [named[0], ("TIDEGATE_APIENCODING", "")];
    assert!(said(&empty, &["-c", &other]).contains("\"yaml\" is not"));
}

#[test]
fn a_created_file_holds_nothing_of_the_environment() {
    let path = directory("environment-create").join("new.json");
    let path = path.to_str().expect("text");
    let variables = [
        ("TIDEGATE_NATS", "nats://me:hush@127.0.0.1:1"),
        ("TIDEGATE_TYPO", "1"),
    ];
    let output = tidegate_with(&variables, &["-c", path, "-w", "/ws"]);
    let log = stderr(&output);
    assert!(
        log.contains("127.0.0.1:1"),
        "the variable is in force: {log}"
    );
    assert!(
        log.contains("[WRN] TIDEGATE_TYPO stands for no option"),
        "{log}"
    );
    let text = fs::read_to_string(path).expect("it is created");
    assert!(text.contains("\"wsPath\": \"/ws\""), "{text}");
    assert!(
        text.contains("\"natsUrl\": \"nats://127.0.0.1:4222\""),
        "{text}"
    );
}

#[test]
fn warnings_are_logged_in_resgates_format() {
    let log = stderr(&tidegate(&["-n", NO_BROKER, "-r", "5"]));
    let line = log.lines().next().unwrap_or_default();
    assert_eq!(
        split_line(line),
        "[WRN] --reqtimeout: 5 is taken as seconds; this is deprecated, write 5000 milliseconds"
    );
}

/// The last words are lost then, but not the end.
#[test]
fn lines_of_json_on_request() {
    let output = tidegate(&["--logformat", "json", "--nats", NO_BROKER]);
    let said = stderr(&output);
    assert!(said.lines().count() > 0);
    for line in said.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let members: Vec<_> = line.as_object().expect("an object").keys().collect();
        assert_eq!(members, ["level", "text", "time"]);
        assert_eq!(line["level"], "error");
    }
}

#[test]
fn a_full_pipe_that_nobody_reads_does_not_keep_the_process_from_ending() {
    let refused = ["-p", "http"];
    for arguments in [&refused[..], &["-n", NO_BROKER, "-i", "127.0.0.1"]] {
        let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
        let filler = fill(&mut writer);
        let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(arguments)
            .stdin(Stdio::null())
            .stderr(writer)
            .spawn()
            .expect("the binary starts");
        assert_eq!(wait(&mut child).code(), Some(1), "{arguments:?}");
        let mut all = Vec::new();
        reader.read_to_end(&mut all).expect("what is in the pipe");
        assert!(all.len() <= filler + 4_096, "{}", all.len());
    }
}

/// Fills a pipe up to the last byte; how many it has taken.
fn fill(pipe: &mut std::io::PipeWriter) -> usize {
    let flags = rustix::fs::fcntl_getfl(&*pipe).expect("flags");
    let nonblocking = flags | rustix::fs::OFlags::NONBLOCK;
    rustix::fs::fcntl_setfl(&*pipe, nonblocking).expect("it is ours");
    let mut taken = 0;
    for size in [4_096, 1] {
        while let Ok(len) = pipe.write(&vec![b'.'; size]) {
            taken += len;
        }
    }
    rustix::fs::fcntl_setfl(&*pipe, flags).expect("it is ours");
    taken
}

/// Waits for the end of a process, not for ever.
fn wait(child: &mut std::process::Child) -> std::process::ExitStatus {
    let pid = rustix::process::Pid::from_child(child);
    let (done, is_over) = std::sync::mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        if is_over.recv_timeout(Duration::from_secs(20)).is_err() {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    });
    let status = child.wait().expect("our child");
    done.send(()).ok();
    watch.join().expect("it does not panic");
    status
}

#[test]
fn closed_streams_do_no_harm() {
    let shell = |line: &str| {
        Command::new("sh")
            .args(["-c", line, "sh", env!("CARGO_BIN_EXE_tidegate")])
            .output()
            .expect("a shell")
    };
    let output = shell("\"$1\" --nope 2>&-; echo $?");
    assert_eq!(output.stdout, b"2\n");
    let output = shell("\"$1\" --help >&-; echo $?");
    assert_eq!(output.stdout, b"0\n");
    assert_eq!(stderr(&output), "");
}
