//! The same by TLS.

use crate::*;

#[test]
fn certificates_are_checked() {
    let (directory, authority) = (Directory::new(), Authority::new("root"));
    let issued = authority.issue(&["localhost"]);
    let certificate = directory.write("cert.pem", &issued.chain);
    let key = directory.write("key.pem", &issued.key);
    let root = directory.write("root.pem", &authority.pem);
    let other = directory.write("other.pem", &Authority::new("other").pem);
    let tls = ["--tls", "--tlscert", &certificate, "--tlskey", &key];
    for_each_broker(&tls, |stack| {
        let service = stack.service("safe");
        let port = stack.gateway.addr.rsplit(':').next().expect("a port");
        let named =
            |scheme: &str, host: &str, path: &str| format!("{scheme}://{host}:{port}{path}");
        // By the root, by the certificate itself, and not at all; by all forms of addresses.
        for (n, (url, flags)) in [
            (named("wss", "localhost", "/?safe.0"), ["--cafile", &*root]),
            (
                named("https", "localhost", "/api/safe/1"),
                ["--cafile", &certificate],
            ),
            (
                named("wss", "127.0.0.1", "/?safe.2"),
                ["--insecure", "--json"],
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let run = Program::start_in(&[], &[&["get", &*url], &flags[..]].concat());
            let name = format!("safe.{n}");
            let content = "x".repeat(100_000);
            service.serve(&name, &format!(r#"{{"collection":["{content}"]}}"#));
            assert!(run.output().contains(&content), "{url}");
        }
        let by_variable = [
            ("SSL_CERT_FILE", &*root),
            ("TIDEGATE_URL", &named("wss", "localhost", "/")),
        ];
        let run = Program::start_in(&by_variable, &["get", "safe.3", "--json"]);
        service.serve("safe.3", r#"{"model":{}}"#);
        assert_eq!(run.output(), "{}\n");

        for (url, flags, words) in [
            (
                named("wss", "localhost", "/?a"),
                &other,
                "unknown authority; give that by --cafile",
            ),
            (
                named("wss", "127.0.0.1", "/?a"),
                &root,
                "its certificate is for another name",
            ),
        ] {
            let ended = Program::start_in(&[], &["get", &url, "--cafile", flags]).end();
            assert_eq!(ended.code, Some(3), "{ended:?}");
            assert!(ended.err.contains(words), "{ended:?}");
        }
        let plain = named("ws", "localhost", "/?a");
        let ended = Program::start_in(&[], &["get", &plain]).end();
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(
            ended.err.contains("400 Bad Request; is it wss://"),
            "{ended:?}"
        );
    });
}
