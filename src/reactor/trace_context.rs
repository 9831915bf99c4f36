//! The trace that a client's request is part of goes on to services, as the header of NATS
//! messages that OpenTelemetry has for it.

use crate::http::TraceContext;
use crate::nats::writer;

/// The headers of requests that are sent for whoever has come with a head; `None` where that
/// names no trace.
pub(super) fn trace_headers(head: &[u8]) -> Option<Box<[u8]>> {
    let context = TraceContext::of(head)?;
    let fields = [
        ("traceparent", context.parent),
        ("tracestate", &context.state[..]),
    ];
    let count = if context.state.is_empty() { 1 } else { 2 };
    let mut headers = Vec::new();
    writer::headers(&mut headers, &fields[..count]);
    Some(headers.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_valid_of_a_trace_goes_on() {
        const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let headers = |fields: &str| {
            let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
            let headers = trace_headers(head.as_bytes());
            headers.map(|headers| String::from_utf8(headers.into()).expect("text"))
        };
        let field = format!("traceparent: {PARENT}\r\n");
        let whole = format!("NATS/1.0\r\n{field}\r\n");
        assert_eq!(headers(&field), Some(whole.clone()));
        assert_eq!(headers(&format!("{field}tracestate: A\r\n")), Some(whole));
        let both = format!("{field}tracestate: a=1\r\n");
        assert_eq!(headers(&both), Some(format!("NATS/1.0\r\n{both}\r\n")));
        assert_eq!(headers(""), None);
        assert_eq!(headers("traceparent: 00-1-1-01\r\n"), None);
    }
}
