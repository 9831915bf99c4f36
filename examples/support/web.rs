//! A small web server for the pages of the examples: a fixed list of files, one
//! thread per connection, one request per connection, loopback only.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A request head longer than this is not a browser's.
const MAX_HEAD: u64 = 16 * 1024;
/// A browser that takes longer than this to send its request is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// A web site: what each path serves.
pub struct Site {
    pages: Vec<(&'static str, Body)>,
}

enum Body {
    File(PathBuf),
    Text(&'static str, String),
}

/// The root of the repository: the examples are a package one folder below.
fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

impl Site {
    /// A site with what all examples have: the theme, the connection badge, the
    /// ResClient library as npm installed it, and `/config.json`, from which a page
    /// learns the WebSocket address of the gateway.
    ///
    /// # Errors
    /// ResClient is not installed; the text says how to install it.
    pub fn new(gateway: &str) -> Result<Site, String> {
        let resclient = root().join("tests/node_modules/resclient/dist/resclient.min.js");
        if !resclient.is_file() {
            return Err(format!(
                "the page needs ResClient at {}: run `make setup` or `npm ci --prefix tests`",
                resclient.display()
            ));
        }
        let config = serde_json::json!({ "gateway": gateway }).to_string();
        Ok(Site {
            pages: vec![("/resclient.js", Body::File(resclient))],
        }
        .text("/config.json", "application/json", config)
        .file("/theme.css", "examples/support/theme.css")
        .file("/connection.js", "examples/support/connection.js")
        .file("/favicon.svg", "examples/support/favicon.svg"))
    }

    /// Adds a file, named from the root of the repository. It is read anew for each
    /// request, so a page can be edited while the example runs.
    pub fn file(mut self, path: &'static str, file: &str) -> Site {
        self.pages.push((path, Body::File(root().join(file))));
        self
    }

    fn text(mut self, path: &'static str, kind: &'static str, text: String) -> Site {
        self.pages.push((path, Body::Text(kind, text)));
        self
    }

    /// Serves the site on a thread of its own and returns its address.
    ///
    /// # Errors
    /// The port cannot be bound.
    pub fn serve(self, port: u16) -> io::Result<String> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = format!("http://{}/", listener.local_addr()?);
        let site = Arc::new(self);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let site = Arc::clone(&site);
                // A failed answer concerns that browser alone; it will ask again.
                thread::spawn(move || site.answer(stream).ok());
            }
        });
        Ok(address)
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut head = BufReader::new(stream.try_clone()?).take(MAX_HEAD).lines();
        let request = head.next().unwrap_or_else(|| Ok(String::new()))?;
        for line in head {
            if line?.is_empty() {
                break;
            }
        }

        let mut words = request.split(' ');
        let method = words.next().unwrap_or_default();
        let target = words.next().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let (status, kind, body) = match method {
            "GET" | "HEAD" => self.find(path),
            _ => (
                "405 Method Not Allowed",
                "text/plain",
                b"Only GET and HEAD\n".to_vec(),
            ),
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\n\
             Content-Type: {kind}; charset=utf-8\r\n\
             Content-Length: {}\r\n\
             Content-Security-Policy: default-src 'self'; connect-src 'self' ws: wss:\r\n\
             X-Content-Type-Options: nosniff\r\n\
             Cache-Control: no-cache\r\n\
             Connection: close\r\n\r\n",
            body.len()
        )?;
        if method != "HEAD" {
            stream.write_all(&body)?;
        }
        Ok(())
    }

    fn find(&self, path: &str) -> (&'static str, &'static str, Vec<u8>) {
        match self.pages.iter().find(|(known, _)| *known == path) {
            Some((_, Body::Text(kind, text))) => ("200 OK", kind, text.clone().into_bytes()),
            Some((_, Body::File(file))) => match fs::read(file) {
                Ok(bytes) => ("200 OK", content_type(file), bytes),
                Err(error) => {
                    let text = format!("{}: {error}\n", file.display());
                    ("500 Internal Server Error", "text/plain", text.into_bytes())
                }
            },
            None => ("404 Not Found", "text/plain", b"No such page\n".to_vec()),
        }
    }
}

fn content_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html",
        Some("css") => "text/css",
        Some("js") => "text/javascript",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
