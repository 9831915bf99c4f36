//! What the gateway shows to NATS servers and what it demands of them: TLS, certificates,
//! credentials, against a real server configured for each.

#![allow(
    deprecated,
    reason = "the nats crate is deprecated as a whole; blocking suits test services"
)]

#[path = "../common/mod.rs"]
mod common;

mod credentials;
mod tls;

use common::*;

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
    assert!(log.contains(" [ERR] "), "{log}");
    assert!(log.contains(words), "{log}\n{words}");
}

fn plain_options(options: nats::Options) -> nats::Options {
    // Naming a file without certificates spares the loading of the system's.
    options.no_echo().add_root_certificate("/dev/null")
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
