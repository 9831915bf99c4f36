//! An HTTP/1.1 connection on a bare socket: the test writes any bytes, and reads
//! responses one by one.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::{Gateway, PATIENCE, assert_json};

/// A connection to the gateway.
pub struct Http {
    stream: TcpStream,
    buffer: Vec<u8>,
    head_only: bool,
    was_reset: bool,
}

/// A response with its body.
#[derive(Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Header lines in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, taken apart if it was chunked.
    pub body: String,
}

impl Response {
    /// The values of a header (lower-case name), joined by `, `.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Fails unless status and body are these.
    #[track_caller]
    pub fn assert(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
    }
}

impl Http {
    /// Connects.
    #[track_caller]
    pub fn connect(gateway: &Gateway) -> Http {
        Http::new(gateway.connect())
    }

    /// Connects to another address of the gateway, `ip:port`.
    #[track_caller]
    pub fn connect_to(address: &str) -> Http {
        Http::new(TcpStream::connect(address).expect("the gateway listens there"))
    }

    /// Connects from another address of this host.
    #[track_caller]
    pub fn connect_from(gateway: &Gateway, source: &str) -> Http {
        Http::connect_between(source, &gateway.addr).0
    }

    /// Connects from an address of this host to `ip:port`; also gives the source's port.
    #[track_caller]
    pub fn connect_between(source: &str, target: &str) -> (Http, u16) {
        let source: std::net::SocketAddr = format!("{source}:0").parse().expect("an address");
        let target: std::net::SocketAddr = target.parse().expect("an address");
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)
            .expect("a socket");
        socket.bind(&source.into()).expect("the host's own");
        socket.connect(&target.into()).expect("it listens there");
        let stream: TcpStream = socket.into();
        let port = stream.local_addr().expect("it is connected").port();
        (Http::new(stream), port)
    }

    /// On a connection that is there.
    pub fn new(stream: TcpStream) -> Http {
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("not a zero time-out");
        Http {
            stream,
            buffer: Vec::new(),
            head_only: false,
            was_reset: false,
        }
    }

    /// Writes these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the gateway holds the connection");
    }

    /// Writes these bytes if the gateway still takes them.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Sends a request without body. `headers` are whole lines ended by CRLF.
    pub fn request(&mut self, method: &str, target: &str, headers: &str) {
        self.head_only = method == "HEAD";
        self.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: gateway.test\r\n{headers}\r\n"
        ));
    }

    /// Sends a GET request.
    pub fn get(&mut self, target: &str) {
        self.request("GET", target, "");
    }

    /// Sends a POST request with this body.
    pub fn post(&mut self, target: &str, body: &str) {
        self.request(
            "POST",
            target,
            &format!("Content-Length: {}\r\n", body.len()),
        );
        self.send(body);
    }

    /// No more bytes will be sent.
    pub fn finish(&mut self) {
        self.stream
            .shutdown(std::net::Shutdown::Write)
            .expect("a live socket");
    }

    /// Reads the next response.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        let head_only = std::mem::take(&mut self.head_only);
        let mut response = self.response_head();
        let status = response.status;
        if !head_only && status >= 200 && status != 204 && status != 304 {
            response.body = self.body(&response);
        }
        response
    }

    /// Reads the head of the next response, and leaves what follows.
    #[track_caller]
    pub fn response_head(&mut self) -> Response {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            assert!(
                self.fill() > 0,
                "the gateway closed the connection; it had sent {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        self.buffer.drain(..end + 4);
        let mut lines = head.split("\r\n");
        let status_line = lines.next().expect("split yields one item");
        let mut parts = status_line.splitn(3, ' ');
        assert_eq!(parts.next(), Some("HTTP/1.1"), "{status_line}");
        let status: u16 = parts
            .next()
            .and_then(|s| s.parse().ok())
            .unwrap_or_else(|| panic!("no status in {status_line:?}"));
        let headers: Vec<(String, String)> = lines
            .map(|line| {
                let (name, value) = line
                    .split_once(':')
                    .unwrap_or_else(|| panic!("no header line: {line:?}"));
                (name.to_ascii_lowercase(), value.trim().to_owned())
            })
            .collect();
        Response {
            status,
            headers,
            body: String::new(),
        }
    }

    /// The next bytes as they are.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        self.exactly(count)
    }

    #[track_caller]
    fn body(&mut self, response: &Response) -> String {
        if response.header("transfer-encoding").as_deref() == Some("chunked") {
            let mut body = Vec::new();
            loop {
                let size = self.line();
                let size = usize::from_str_radix(&size, 16)
                    .unwrap_or_else(|_| panic!("no chunk size: {size:?}"));
                let chunk = self.exactly(size);
                body.extend_from_slice(&chunk);
                assert_eq!(self.exactly(2), b"\r\n", "a chunk ends with CRLF");
                if size == 0 {
                    break;
                }
            }
            return String::from_utf8(body).expect("a text body");
        }
        let bytes = match response.header("content-length") {
            Some(length) => {
                let length = length
                    .parse()
                    .unwrap_or_else(|_| panic!("bad Content-Length {length:?}"));
                self.exactly(length)
            }
            None => {
                while self.fill() > 0 {}
                std::mem::take(&mut self.buffer)
            }
        };
        String::from_utf8(bytes).expect("a text body")
    }

    /// What comes of the body of a response whose end shows by its chunks, or by the end of the
    /// connection, as it comes.
    pub fn events(self, response: &Response) -> Events {
        let coding = response.header("transfer-encoding");
        Events {
            is_chunked: coding.as_deref() == Some("chunked"),
            http: self,
            text: String::new(),
            last_id: String::new(),
            ids: 0,
            pings: 0,
        }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                self.buffer.drain(..at + 2);
                return line;
            }
            assert!(self.fill() > 0, "the body ends early");
        }
    }

    #[track_caller]
    fn exactly(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count {
            assert!(self.fill() > 0, "the body ends early");
        }
        self.buffer.drain(..count).collect()
    }

    /// Fails if anything has come that was not read.
    #[track_caller]
    pub fn assert_silent(&mut self) {
        self.stream.set_nonblocking(true).expect("a live socket");
        let got = self.stream.read(&mut [0; 1]);
        self.stream.set_nonblocking(false).expect("a live socket");
        let error = got.expect_err("nothing was to come");
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        assert!(self.buffer.is_empty());
    }

    /// Fails unless the gateway closes the connection without sending more.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        while self.fill() > 0 {}
        assert!(
            self.buffer.is_empty(),
            "expected the end of the connection, got {:?}",
            String::from_utf8_lossy(&self.buffer)
        );
    }

    /// Fails unless the gateway sends something with this text in it and closes the
    /// connection.
    #[track_caller]
    pub fn expect_some_then_closed(&mut self, text: &str) {
        while self.fill() > 0 {}
        let got = String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned();
        assert!(got.contains(text), "expected {text:?} in {got:?}");
    }

    /// Reads more; 0 at the end of the connection.
    #[track_caller]
    fn fill(&mut self) -> usize {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                n
            }
            Err(e) if e.kind() == std::io::ErrorKind::ConnectionReset => {
                self.was_reset = true;
                0
            }
            Err(e) => panic!(
                "nothing more came ({e}); so far {:?}",
                String::from_utf8_lossy(&self.buffer)
            ),
        }
    }
}

/// A stream of events, read as the HTML standard says.
pub struct Events {
    http: Http,
    is_chunked: bool,
    text: String,
    /// The ID that a client would come back with.
    pub last_id: String,
    /// IDs so far that are not empty.
    pub ids: usize,
    /// Comments so far.
    pub pings: usize,
}

impl Events {
    /// The data of the next event; `None` when the stream has ended as it must.
    #[track_caller]
    pub fn next(&mut self) -> Option<String> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(data) = self.block(&block) {
                    return Some(data);
                }
            }
            if !self.read() {
                assert_eq!(self.text, "", "the stream ends within an event");
                return None;
            }
        }
    }

    /// Fails unless the next event has this data.
    #[track_caller]
    pub fn expect(&mut self, data: &str) {
        assert_json(&self.next().expect("an event"), data);
    }

    /// Fails unless the stream and its connection end as they must.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(self.next(), None);
        self.http.expect_closed();
    }

    /// Reads until so many comments have come, and no event.
    #[track_caller]
    pub fn expect_pings(&mut self, count: usize) {
        self.read_until(|events| events.pings >= count);
    }

    /// Reads until there is an ID to come back with, and no event.
    #[track_caller]
    pub fn expect_id(&mut self) -> String {
        self.read_until(|events| !events.last_id.is_empty());
        self.last_id.clone()
    }

    #[track_caller]
    fn read_until(&mut self, is_done: impl Fn(&Events) -> bool) {
        while !is_done(self) {
            assert!(self.read(), "the stream ends");
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                assert_eq!(self.block(&block), None);
            }
        }
    }

    /// Reads what has come until the gateway resets the connection.
    #[track_caller]
    pub fn expect_cut_off(&mut self) {
        while self.http.fill() > 0 {
            self.http.buffer.clear();
        }
        assert!(self.http.was_reset, "the gateway ends it in good order");
    }

    /// No more bytes will be sent to the gateway.
    pub fn finish(&mut self) {
        self.http.finish();
    }

    /// Reads more of the body; whether there was any.
    #[track_caller]
    fn read(&mut self) -> bool {
        let bytes = match self.is_chunked {
            true => {
                let size = self.http.line();
                let size = usize::from_str_radix(&size, 16).expect("the size of a chunk");
                let bytes = self.http.exactly(size);
                assert_eq!(self.http.exactly(2), b"\r\n", "a chunk ends with CRLF");
                bytes
            }
            false => {
                if self.http.buffer.is_empty() {
                    self.http.fill();
                }
                std::mem::take(&mut self.http.buffer)
            }
        };
        self.text += str::from_utf8(&bytes).expect("a chunk ends with a character");
        !bytes.is_empty()
    }

    /// Takes a block of lines: the data of the event in it, if there is any.
    fn block(&mut self, block: &str) -> Option<String> {
        let mut data = None;
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.split_once(':').expect("a field or a comment") {
                ("", _) => self.pings += 1,
                ("id", id) => {
                    self.ids += usize::from(!id.is_empty());
                    id.clone_into(&mut self.last_id);
                }
                ("data", text) => assert_eq!(data.replace(text.to_owned()), None),
                ("retry", time) => assert_eq!(time, "2000"),
                other => panic!("{other:?} is no field that we send"),
            }
        }
        data
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}
