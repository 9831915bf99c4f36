//! TLS by either side's wish, and whom it is made with.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::common::*;
use crate::{broker, expect_refused, expect_service, port};

/// A server that demands TLS, with a certificate for `localhost`.
struct Secured {
    broker: Broker,
    authority: Authority,
    directory: Directory,
    root: String,
}

impl Secured {
    fn start(more: impl FnOnce(&Authority, &Directory) -> String) -> Secured {
        let authority = Authority::new("root");
        let directory = Directory::new();
        let root = directory.write("root.pem", &authority.pem);
        let issued = authority.intermediate("between").issue(&["localhost"]);
        let certificate = directory.write("server.pem", &issued.chain);
        let key = directory.write("server-key.pem", &issued.key);
        let more = more(&authority, &directory);
        let broker = broker(
            &directory,
            &format!(
                "tls {{ cert_file: \"{certificate}\", key_file: \"{key}\", timeout: 5, {more} }}"
            ),
        );
        Secured {
            broker,
            authority,
            directory,
            root,
        }
    }

    /// The URL by the name that is in the certificate.
    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://localhost:{}", port(&self.broker))
    }

    fn service_options(&self) -> nats::Options {
        nats::Options::new()
            .no_echo()
            .add_root_certificate(&self.root)
            .tls_required(true)
    }

    fn service(&self, options: nats::Options) -> nats::Connection {
        options
            .connect(self.url("tls").as_str())
            .expect("a connection")
    }
}

/// Servers since 2.10 may want TLS before they say anything.
#[test]
fn tls_before_info_where_the_server_wants_it() {
    if broker_version() < (2, 10) {
        return eprintln!("skipped: this nats-server does not know handshake_first");
    }
    let secured = Secured::start(|_, _| "handshake_first: true".to_owned());
    let url = secured.url("tls");
    let roots = ["--natsrootca", &secured.root];
    expect_refused(&url, &roots, "needs --natstlsfirst");
    let first = ["--natsrootca", &secured.root, "--natstlsfirst"];
    for scheme in ["nats", "tls"] {
        let mut gateway = Gateway::start(&secured.url(scheme), &first);
        gateway.signal(rustix::process::Signal::TERM);
        assert_eq!(gateway.wait(PATIENCE), Some(0), "{}", gateway.log());
    }
    // Who begins so with others hears what may be wrong.
    let usual = Secured::start(|_, _| String::new());
    let args = ["--natsrootca", &usual.root, "--natstlsfirst"];
    expect_refused(
        &usual.url("tls"),
        &args,
        "a server without handshake_first needs no --natstlsfirst",
    );
}

#[test]
fn tls_by_the_servers_wish_or_by_ours() {
    let secured = Secured::start(|_, _| String::new());
    let other = secured
        .directory
        .write("other.pem", &Authority::new("other").pem);
    let nc = secured.service(secured.service_options());
    for scheme in ["nats", "tls"] {
        let gateway = Gateway::start(
            &secured.url(scheme),
            &["--natsrootca", &other, "--natsrootca", &secured.root],
        );
        expect_service(&gateway, nc.clone());
    }
    // Without roots of our own the system's count.
    let gateway = Gateway::start_in(
        &[("SSL_CERT_FILE", &secured.root)],
        &secured.url("nats"),
        &[],
    );
    expect_service(&gateway, nc);

    expect_refused(
        &secured.url("tls"),
        &["--natsrootca", &other],
        "TLS failed: invalid peer certificate: UnknownIssuer; name the root certificate of its \
         issuer with --natsrootca",
    );
    let (code, log) = Gateway::run_to_end(
        &format!("tls://127.0.0.1:{}", port(&secured.broker)),
        &["--natsrootca", &secured.root],
    );
    assert_eq!(code, Some(1), "{log}");
    assert!(
        log.contains("TLS failed: invalid peer certificate: certificate not valid for name"),
        "{log}"
    );
    assert!(
        log.contains("; name the server in the URL as its certificate does"),
        "{log}"
    );
    let plain = Broker::start();
    let words = "NATS server does not offer TLS, which a tls:// URL";
    expect_refused(
        &format!("tls://{}", plain.addr),
        &["--natsrootca", &secured.root],
        words,
    );
    expect_refused(&plain.url(), &["--natsrootca", &secured.root], words);
}

/// The server's own certificate may be named as root, of whatever kind it is; any other
/// of the same name and issuer is not taken for it.
#[test]
fn a_self_signed_certificate() {
    use rcgen::{BasicConstraints, CertificateParams, IsCa};
    let directory = Directory::new();
    for kind in [
        IsCa::NoCa,
        IsCa::ExplicitNoCa,
        IsCa::Ca(BasicConstraints::Unconstrained),
    ] {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.is_ca = kind;
        let make = |name: &str| {
            let key = rcgen::KeyPair::generate().expect("there is randomness");
            let certificate = params.self_signed(&key).expect("a valid request");
            let key = directory.write(&format!("{name}-key.pem"), &key.serialize_pem());
            (
                directory.write(&format!("{name}.pem"), &certificate.pem()),
                key,
            )
        };
        let (certificate, key) = make("server");
        let (other, _) = make("other");
        let broker = broker(
            &directory,
            &format!("tls {{ cert_file: \"{certificate}\", key_file: \"{key}\", timeout: 5 }}"),
        );
        let url = format!("nats://localhost:{}", port(&broker));
        let gateway = Gateway::start(&url, &["--natsrootca", &certificate]);
        gateway.wait_for_log("Connected to", 1);
        let failed = "TLS failed: invalid peer certificate: ";
        expect_refused(&url, &["--natsrootca", &other], failed);
        let by_address = format!("nats://127.0.0.1:{}", port(&broker));
        expect_refused(
            &by_address,
            &["--natsrootca", &certificate],
            "certificate not valid for name",
        );
    }
}

#[test]
fn large_messages_and_bursts_by_tls() {
    const EVENTS: usize = 20_000;
    let secured = Secured::start(|_, _| String::new());
    let gateway = Gateway::start(&secured.url("nats"), &["--natsrootca", &secured.root]);
    let svc = Service::new(secured.service(secured.service_options()), "big");
    let text: String = (0..150_000).map(|n| format!("{n:06}")).collect();
    let mut http = Http::connect(&gateway);
    http.get("/api/big/a");
    svc.serve("big.a", &format!(r#"{{"model":{{"a":"{text}"}}}}"#));
    http.response().assert(200, &format!(r#"{{"a":"{text}"}}"#));
    http.post("/api/big/a/set", &format!("\"{text}\""));
    svc.grant("big.a");
    let request = svc.expect("call.big.a.set");
    assert!(request.member("params") == text);
    request.result("null");
    assert_eq!(http.response().status, 204);

    let mut client = Client::connect(&gateway);
    client.handshake("1.2.3");
    client.subscribe(&svc, "big.b", r#"{"model":{"n":0}}"#);
    for number in 1..=EVENTS {
        svc.event("big.b.change", &format!(r#"{{"values":{{"n":{number}}}}}"#));
    }
    for number in 1..=EVENTS {
        let event = format!(r#"{{"event":"big.b.change","data":{{"values":{{"n":{number}}}}}}}"#);
        assert_eq!(client.next(), event);
    }
}

/// Whoever stands between could put words into the server's mouth before TLS begins, or
/// make of it something else.
#[test]
fn what_comes_in_place_of_tls_is_refused() {
    const INFO: &str = "INFO {\"tls_required\":true}\r\n";
    let root = Directory::new();
    let root = root.write("root.pem", &Authority::new("root").pem);
    for (greeting, then, words) in [
        (
            "INFO {\"tls_required\":true}\r\nPING\r\n",
            "",
            "came between INFO and TLS",
        ),
        (
            "INFO {\"tls_required\":true}\r\nPI",
            "",
            "came between INFO and TLS",
        ),
        (
            INFO,
            "PING\r\n",
            "TLS failed: received corrupt message of type",
        ),
        (INFO, "", "closed the connection before it was ready"),
        ("INFO {}\r\n", "", "NATS server does not offer TLS"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = listener.local_addr().expect("it is bound");
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the gateway connects");
            stream
                .write_all(greeting.as_bytes())
                .expect("a live socket");
            let mut hello = [0; 4096];
            // Nothing may come before TLS, above all no credentials.
            let len = stream.read(&mut hello).unwrap_or(0);
            let _ = stream.write_all(then.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
            hello[..len].first().copied()
        });
        expect_refused(
            &format!("nats://user:hush@{addr}"),
            &["--natsrootca", &root],
            words,
        );
        let first = server.join().expect("the server ends");
        assert!(matches!(first, None | Some(0x16)), "{first:?}");
    }
}

#[test]
fn client_certificates() {
    let secured = Secured::start(|authority, directory| {
        let root = directory.write("clients.pem", &authority.pem);
        format!("verify: true, ca_file: \"{root}\"")
    });
    let directory = &secured.directory;
    let issued = secured.authority.issue(&["gateway"]);
    let certificate = directory.write("gateway.pem", &issued.chain);
    let key = directory.write("gateway-key.pem", &issued.key);
    let root = secured.root.as_str();
    let gateway = Gateway::start(
        &secured.url("nats"),
        &[
            "--natsrootca",
            root,
            "--natscert",
            &certificate,
            "--natskey",
            &key,
        ],
    );
    let options = secured.service_options().client_cert(&certificate, &key);
    expect_service(&gateway, secured.service(options));

    let hint =
        "; the server wants a client certificate that it knows, see --natscert and --natskey";
    expect_refused(&secured.url("tls"), &["--natsrootca", root], hint);
    let stranger = Authority::new("stranger").issue(&["gateway"]);
    let other = directory.write("stranger.pem", &stranger.chain);
    let other_key = directory.write("stranger-key.pem", &stranger.key);
    expect_refused(
        &secured.url("tls"),
        &[
            "--natsrootca",
            root,
            "--natscert",
            &other,
            "--natskey",
            &other_key,
        ],
        hint,
    );
    expect_refused(
        &secured.url("tls"),
        &[
            "--natsrootca",
            root,
            "--natscert",
            &certificate,
            "--natskey",
            &other_key,
        ],
        &format!(
            "the client key for NATS {other_key} does not belong to the first certificate in \
             {certificate}"
        ),
    );
}
