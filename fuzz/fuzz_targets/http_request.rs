//! The requests that are found in a connection's input do not depend on how it is cut,
//! and no request has framing that others could read differently.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::http::{Limits, Phase, Request, RequestError, RequestReader, Step, TraceContext, write_head};

const LIMITS: Limits = Limits {
    head: 512,
    fields: 10,
    body: 256,
};

/// A request's head and body, and what was seen of the connection.
type Outcome = (Vec<(Vec<u8>, Vec<u8>)>, Result<Phase, RequestError>);

fuzz_target!(|data: &[u8]| {
    let Some((&cut, input)) = data.split_first() else {
        return;
    };
    let whole = feed(std::iter::once(input));
    assert_eq!(feed(input.chunks(1)), whole);
    assert_eq!(feed(input.chunks(2 + usize::from(cut))), whole);
});

fn feed<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = RequestReader::default();
    let mut buffer = Vec::new();
    let mut requests = Vec::new();
    let mut last = Phase::Idle;
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            let length = buffer.len();
            match reader.read(&mut buffer, &LIMITS) {
                Err(error) => return (requests, Err(error)),
                Ok(Step::NeedMore { phase, keep, .. }) => {
                    assert!(keep <= length);
                    // Only empty lines come before a head of limited length.
                    assert!(keep <= LIMITS.head + LIMITS.body + 8);
                    buffer.truncate(keep);
                    last = phase;
                    break;
                }
                Ok(Step::Request { request, consumed }) => {
                    assert!(0 < consumed && consumed <= length);
                    check(&request);
                    requests.push((request.head.bytes().to_vec(), request.body.to_vec()));
                    buffer.drain(..consumed);
                }
            }
        }
    }
    (requests, Ok(last))
}

/// Looks at the head in the plainest way there is.
fn check(request: &Request<'_>) {
    let bytes = request.head.bytes();
    assert!(bytes.len() <= LIMITS.head);
    assert!(request.body.len() <= LIMITS.body);
    assert!(bytes.ends_with(b"\r\n\r\n"));
    assert!(!bytes.contains(&0));
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    assert_eq!(text.matches('\r').count(), text.matches('\n').count());
    assert_eq!(text.matches("\r\n\r\n").count(), 1);

    let values = |name: &str| -> Vec<&str> {
        text.split("\r\n")
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .filter(|(key, _)| key.trim() == name)
            .map(|(_, value)| value.trim_matches([' ', '\t']))
            .collect()
    };
    match (
        &values("content-length")[..],
        &values("transfer-encoding")[..],
    ) {
        ([], []) => assert!(request.body.is_empty()),
        ([length], []) => assert_eq!(length.parse(), Ok(request.body.len())),
        ([], ["chunked"]) => {}
        other => panic!("ambiguous framing was accepted: {other:?}"),
    }

    let mut json = b"{".to_vec();
    write_head(bytes, "127.0.0.1:1", &mut json);
    json.push(b'}');
    let json: serde_json::Value = serde_json::from_slice(&json).expect("the head becomes JSON");
    assert_eq!(json["uri"], request.head.target());
    if let Some(context) = TraceContext::of(bytes) {
        // It is passed on between line ends.
        let is_plain = |text: &[u8]| text.iter().all(|byte| (b' '..=b'~').contains(byte));
        assert_eq!(context.parent.len(), 55);
        assert!(is_plain(context.parent) && is_plain(&context.state));
        assert!(context.state.len() <= 512);
    }
    assert!(request.head.path().starts_with('/') || request.head.path() == "*");
}
