//! What the gateway shows to NATS servers and what it demands of them: TLS, certificates,
//! credentials, against a real server configured for each.

#![allow(
    deprecated,
    reason = "the nats crate is deprecated as a whole; blocking suits test services"
)]

#[path = "common/mod.rs"]
mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use common::*;
use nkeys::KeyPair;

/// A server with this configuration, and the directory of its files.
fn broker(directory: &Directory, configuration: &str) -> Broker {
    let file = directory.write("nats.conf", configuration);
    Broker::start_with(&["-c", &file])
}

/// The port of a server.
fn port(broker: &Broker) -> &str {
    broker.addr.rsplit(':').next().expect("a port")
}

/// Fails unless a request of a web client reaches a service through the server and its
/// answer comes back.
#[track_caller]
fn expect_service(gateway: &Gateway, nc: nats::Connection) {
    let svc = Service::new(nc, "secure");
    let mut http = Http::connect(gateway);
    http.get("/api/secure/a");
    svc.serve("secure.a", r#"{"model":{"a":1}}"#);
    http.response().assert(200, r#"{"a":1}"#);
}

/// Fails unless the gateway ends with 1 and a line that has these words in it.
#[track_caller]
fn expect_refused(url: &str, args: &[&str], words: &str) {
    let (code, log) = Gateway::run_to_end(url, args);
    assert_eq!(code, Some(1), "{log}");
    assert_eq!(log.lines().count(), 1, "{log}");
    assert!(log.starts_with("tidegate: "), "{log}");
    assert!(log.contains(words), "{log}\n{words}");
}

fn plain_options(options: nats::Options) -> nats::Options {
    // Naming a file without certificates spares the loading of the system's.
    options.no_echo().add_root_certificate("/dev/null")
}

#[test]
fn user_and_password() {
    let directory = Directory::new();
    let broker = broker(
        &directory,
        "authorization { user: gateway, password: \"p@ss:w\" }",
    );
    let addr = &broker.addr;
    let gateway = Gateway::start(&format!("nats://gateway:p%40ss%3Aw@{addr}"), &[]);
    let nc = plain_options(nats::Options::with_user_pass("gateway", "p@ss:w"));
    expect_service(&gateway, nc.connect(addr.as_str()).expect("a connection"));
    assert!(!gateway.log().contains("p@ss"), "{}", gateway.log());
    expect_refused(
        &format!("nats://gateway:hush@{addr}"),
        &[],
        "NATS server refused the credentials (\"Authorization Violation\"); check user name",
    );
    expect_refused(
        &broker.url(),
        &[],
        "NATS server requires credentials (\"Authorization Violation\"); put them in the NATS URL",
    );
}

#[test]
fn token() {
    let directory = Directory::new();
    let broker = broker(&directory, "authorization { token: s3cret }");
    let addr = &broker.addr;
    let gateway = Gateway::start(&format!("nats://s3cret@{addr}"), &[]);
    let nc = plain_options(nats::Options::with_token("s3cret"));
    expect_service(&gateway, nc.connect(addr.as_str()).expect("a connection"));
    expect_refused(
        &format!("nats://other@{addr}"),
        &[],
        "refused the credentials",
    );
}

#[test]
fn the_first_server_that_agrees_is_taken() {
    let directory = Directory::new();
    let strict = broker(&directory, "authorization { token: s3cret }");
    let open = Broker::start();
    // A port that nobody listens on: bound here, but never listened to.
    let held =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    held.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .expect("a free port");
    let closed = held
        .local_addr()
        .ok()
        .and_then(|addr| addr.as_socket())
        .expect("an address");
    let urls = format!(
        "nats://{closed},nats://wrong@{},nats://{}",
        strict.addr, open.addr
    );
    let gateway = Gateway::start(&urls, &[]);
    let nc = plain_options(nats::Options::new());
    expect_service(
        &gateway,
        nc.connect(open.addr.as_str()).expect("a connection"),
    );
    let (code, log) = Gateway::run_to_end(
        &format!("nats://{closed},nats://wrong@{}", strict.addr),
        &[],
    );
    assert_eq!(code, Some(1));
    assert!(log.contains(&format!("at nats://{closed}: ")), "{log}");
    assert!(
        log.contains(&format!(", nor at nats://{}: ", strict.addr)),
        "{log}"
    );
}

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

#[test]
fn a_seed_alone() {
    let directory = Directory::new();
    let user = KeyPair::new_user();
    let seed = user.seed().expect("a new key has one");
    let broker = broker(
        &directory,
        &format!(
            "authorization {{ users: [ {{ nkey: {} }} ] }}",
            user.public_key()
        ),
    );
    let file = directory.write("user.nk", &format!("{seed}\n"));
    let gateway = Gateway::start(&broker.url(), &["--creds", &file]);
    let signer = KeyPair::from_seed(&seed).expect("our own seed");
    let nc = plain_options(nats::Options::with_nkey(&user.public_key(), move |nonce| {
        signer.sign(nonce).expect("a whole key")
    }));
    expect_service(
        &gateway,
        nc.connect(broker.addr.as_str()).expect("a connection"),
    );
    let other = KeyPair::new_user().seed().expect("a new key has one");
    let other = directory.write("other.nk", &other);
    expect_refused(
        &broker.url(),
        &["--creds", &other],
        "refused the credentials",
    );
}

/// A JWT as NATS has them, signed by this key.
fn jwt(issuer: &KeyPair, subject: &str, nats: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("it is later than 1970")
        .as_secs();
    let issuer_key = issuer.public_key();
    let claims = format!(
        r#"{{"jti":"{subject}","iat":{now},"iss":"{issuer_key}","name":"test","sub":"{subject}","nats":{nats}}}"#
    );
    let head = base64(br#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let signed = format!("{head}.{}", base64(claims.as_bytes()));
    let signature = issuer.sign(signed.as_bytes()).expect("a whole key");
    format!("{signed}.{}", base64(&signature))
}

/// Base64 for URLs, without padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    bytes
        .chunks(3)
        .flat_map(|chunk| {
            let word = (0..3).fold(0, |word, at| {
                word << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
            });
            (0..chunk.len() + 1)
                .map(move |at| char::from(LETTERS[(word >> (18 - 6 * at)) as usize & 63]))
        })
        .collect()
}

/// A credentials file as tools write it.
fn credentials(jwt: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
         ************************* IMPORTANT *************************\n\
         NKEY Seed printed below can be used to sign and prove identity.\n\
         NKEYs are sensitive and should be treated as secrets.\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n\n\
         *************************************************************\n"
    )
}

#[test]
fn user_credentials_of_an_operator() {
    let directory = Directory::new();
    let (operator, account) = (KeyPair::new_operator(), KeyPair::new_account());
    let limits = r#""subs":-1,"conn":-1,"leaf":-1,"imports":-1,"exports":-1,"data":-1,"payload":-1,"wildcards":true"#;
    let operator_jwt = jwt(
        &operator,
        &operator.public_key(),
        r#"{"type":"operator","version":2}"#,
    );
    let account_jwt = jwt(
        &operator,
        &account.public_key(),
        &format!(r#"{{"limits":{{{limits}}},"type":"account","version":2}}"#),
    );
    let operator_file = directory.write("operator.jwt", &operator_jwt);
    let broker = broker(
        &directory,
        &format!(
            "operator: \"{operator_file}\"\nresolver: MEMORY\n\
             resolver_preload: {{ {}: \"{account_jwt}\" }}",
            account.public_key()
        ),
    );
    let new_user = |issuer: &KeyPair, name: &str| {
        let user = KeyPair::new_user();
        let user_jwt = jwt(
            issuer,
            &user.public_key(),
            r#"{"subs":-1,"data":-1,"payload":-1,"type":"user","version":2}"#,
        );
        let seed = user.seed().expect("a new key has one");
        directory.write(name, &credentials(&user_jwt, &seed))
    };
    let gateway_file = new_user(&account, "gateway.creds");
    let service_file = new_user(&account, "service.creds");
    let gateway = Gateway::start(&broker.url(), &["--creds", &gateway_file]);
    let nc = plain_options(nats::Options::with_credentials(service_file));
    expect_service(
        &gateway,
        nc.connect(broker.addr.as_str()).expect("a connection"),
    );

    let stranger = new_user(&KeyPair::new_account(), "stranger.creds");
    let refused = "NATS server refused the credentials (\"Authorization Violation\"); check user \
                   name and password, or token, in the NATS URL, or the credentials file";
    expect_refused(&broker.url(), &["--creds", &stranger], refused);
    expect_refused(&broker.url(), &[], "NATS server requires credentials");
    // The seed of somebody else does not sign for the user.
    let text = std::fs::read_to_string(&gateway_file).expect("it was written");
    let other = KeyPair::new_user().seed().expect("a new key has one");
    let own = text
        .lines()
        .find(|line| line.starts_with("SU"))
        .expect("a seed");
    let mixed = directory.write("mixed.creds", &text.replace(own, &other));
    expect_refused(&broker.url(), &["--creds", &mixed], refused);
}

#[test]
fn files_of_no_use_are_told_at_the_start() {
    let directory = Directory::new();
    let missing = directory.path("missing");
    let text = directory.write("text.txt", "nothing of use\n");
    let short = directory.write("short.nk", "SUABC\n");
    let broken = directory.write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let issued = Authority::new("root").issue(&["gateway"]);
    let certificate = directory.write("cert.pem", &issued.chain);
    let broker = Broker::start();
    let table: [(&[&str], String); 8] = [
        (
            &["--creds", &missing],
            format!("cannot read the NATS credentials file {missing}: No such file"),
        ),
        (
            &["--creds", &text],
            format!("the NATS credentials file {text}: there is no seed in it"),
        ),
        (
            &["--creds", &short],
            format!("the NATS credentials file {short}: the seed does not have 58 characters"),
        ),
        (
            &["--natsrootca", &certificate, "--natsrootca", &missing],
            format!("cannot read the root certificate for NATS {missing}: No such file"),
        ),
        (
            &["--natsrootca", &text],
            format!("there is no root certificate for NATS in {text}; give a file in PEM form"),
        ),
        (
            &["--natsrootca", &broken],
            format!(
                "the root certificate for NATS {broken} cannot be used: none of the 1 \
                 certificates in it is valid"
            ),
        ),
        (
            &["--natscert", &certificate, "--natskey", &text],
            format!("there is no client key for NATS in {text}"),
        ),
        (
            &["--natscert", &certificate],
            "--natscert: set --natskey or \"natsKey\" too".to_owned(),
        ),
    ];
    for (args, words) in table {
        expect_refused(&broker.url(), args, &words);
    }
}
