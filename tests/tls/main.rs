//! TLS towards clients: the gateway's binary, real certificates, rustls as client.

#[path = "../common/mod.rs"]
mod common;

mod client;
mod handshake;
mod memory;
mod reload;
mod traffic;

use common::*;

/// A gateway with a certificate for `localhost`, its broker, and what clients trust.
struct Site {
    stack: Stack,
    authority: Authority,
    directory: Directory,
}

impl Site {
    fn start() -> Site {
        Site::start_with(&[])
    }

    fn start_with(args: &[&str]) -> Site {
        let authority = Authority::new("root");
        let directory = Directory::new();
        let issued = authority.issue(&["localhost"]);
        let certificate = directory.write("cert.pem", &issued.chain);
        let key = directory.write("key.pem", &issued.key);
        let mut all = vec!["--tls", "--tlscert", &certificate, "--tlskey", &key];
        all.extend(args);
        Site {
            stack: Stack::start(&all),
            authority,
            directory,
        }
    }
}
