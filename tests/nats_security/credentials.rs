//! Users with passwords, tokens and keys.

use std::time::{SystemTime, UNIX_EPOCH};

use nkeys::KeyPair;

use crate::common::*;
use crate::{broker, expect_refused, expect_service, plain_options};

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
