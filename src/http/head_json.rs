//! A request head as the JSON members that services get to see.

use super::fields::canonical;
use super::head::Head;

/// Appends `"header":{"X-Foo":["a","b"]},"host":"..","remoteAddr":"..","uri":".."` for a
/// stored head, as accepted by [`RequestReader`](super::RequestReader), and the address
/// that it came from.
///
/// Names are in canonical form (`X-Foo`) and sorted, the values of a name in their
/// order; `Host` is left out. The URI is the target as sent. Bytes that are not UTF-8
/// become U+FFFD. An empty member is left out, but for the address.
pub fn write_head(head: &[u8], remote: &str, out: &mut Vec<u8>) {
    let head = Head::parse(head);
    if let Some(head) = &head {
        write_fields(head, out);
    }
    let host = head.as_ref().map_or(&b""[..], |head| head.host());
    let uri = head
        .as_ref()
        .map_or(&b""[..], |head| head.target().as_bytes());
    if !host.is_empty() {
        out.extend_from_slice(b"\"host\":");
        write_string(host, out);
        out.push(b',');
    }
    out.extend_from_slice(b"\"remoteAddr\":");
    write_string(remote.as_bytes(), out);
    if !uri.is_empty() {
        out.extend_from_slice(b",\"uri\":");
        write_string(uri, out);
    }
}

fn write_fields(head: &Head<'_>, out: &mut Vec<u8>) {
    let mut fields: Vec<(Vec<u8>, &[u8])> = head
        .fields()
        .filter(|(name, _)| !name.eq_ignore_ascii_case(b"host"))
        .map(|(name, value)| (canonical(name), value))
        .collect();
    if fields.is_empty() {
        return;
    }
    // Stable, so that the values of a name stay in order.
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    out.extend_from_slice(b"\"header\":{");
    for (index, lines) in fields.chunk_by(|a, b| a.0 == b.0).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_string(&lines[0].0, out);
        out.extend_from_slice(b":[");
        for (index, (_, value)) in lines.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_string(value, out);
        }
        out.push(b']');
    }
    out.extend_from_slice(b"},");
}

/// Appends a JSON string; each byte that is not part of UTF-8 becomes U+FFFD.
fn write_string(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                b'\t' => out.extend_from_slice(b"\\t"),
                // Heads hold no others; this keeps the text valid if one did.
                0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => out.push(byte),
            }
        }
        for _ in chunk.invalid() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(head: &[u8]) -> String {
        let mut out = b"x".to_vec();
        write_head(head, "[::1]:7", &mut out);
        let text = String::from_utf8(out).unwrap();
        let members = text.strip_prefix('x').unwrap();
        serde_json::from_str::<serde_json::Value>(&format!("{{{members}}}")).unwrap();
        members.to_owned()
    }

    #[test]
    fn writes_members() {
        let table: [(&[u8], &str); 7] = [
            (
                b"GET /?a=\"1\" HTTP/1.1\r\nx-foo: a\r\nHOST: h:1\r\nSec-WebSocket-Key: k\r\n\
                  X-Foo:b \r\naccept: */*\r\n\r\n",
                r#""header":{"Accept":["*/*"],"Sec-Websocket-Key":["k"],"X-Foo":["a","b"]},"host":"h:1","remoteAddr":"[::1]:7","uri":"/?a=\"1\"""#,
            ),
            (
                b"GET / HTTP/1.0\r\n\r\n",
                r#""remoteAddr":"[::1]:7","uri":"/""#,
            ),
            (
                b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
                r#""remoteAddr":"[::1]:7","uri":"/""#,
            ),
            (
                b"GET http://o:1/p HTTP/1.1\r\nHost: h\r\n\r\n",
                r#""host":"o:1","remoteAddr":"[::1]:7","uri":"http://o:1/p""#,
            ),
            (
                b"GET / HTTP/1.1\r\na: \\ \"\t.\xf0\x9f\x98\x80 \xf0\x9f|\xff\r\n\r\n",
                "\"header\":{\"A\":[\"\\\\ \\\"\\t.\u{1f600} \u{fffd}\u{fffd}|\u{fffd}\"]},\"remoteAddr\":\"[::1]:7\",\"uri\":\"/\"",
            ),
            (
                b"GET / HTTP/1.1\r\n-x--y!z-: \r\n9a: 1\r\n\r\n",
                r#""header":{"-X--Y!z-":[""],"9a":["1"]},"remoteAddr":"[::1]:7","uri":"/""#,
            ),
            (b"no head", r#""remoteAddr":"[::1]:7""#),
        ];
        for (head, expected) in table {
            assert_eq!(json(head), expected);
        }
    }

    #[test]
    fn strings_say_every_byte() {
        for byte in 0..0x80 {
            let mut out = Vec::new();
            write_string(&[b'a', byte, b'b'], &mut out);
            let read: String = serde_json::from_slice(&out).unwrap();
            assert_eq!(read.as_bytes(), [b'a', byte, b'b']);
        }
    }
}
