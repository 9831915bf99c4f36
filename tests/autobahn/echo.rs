//! The WebSocket server that `make autobahn` examines: it sends every message back, by
//! the library's own handshake, decoder, encoder and compression.
//!
//! `ws-echo PORT` listens on 127.0.0.1; with port 0 the system chooses one. The address
//! is written to standard output.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::ExitCode;

use tidegate::http::{Limits, RequestReader, Step};
use tidegate::ws::extension::Agreement;
use tidegate::ws::{self, Decoder, Deflater, Event, Inflater, extension, frame, handshake};

/// The suite sends messages of up to 16 MiB.
const MESSAGE_MAX: usize = 32 << 20;

fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else {
        eprintln!("ws-echo: give a port (0 for any)");
        return ExitCode::from(2);
    };
    let listener = match TcpListener::bind(("127.0.0.1", port)) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("ws-echo: cannot listen on port {port}: {error}");
            return ExitCode::FAILURE;
        }
    };
    match listener.local_addr() {
        Ok(address) => println!("{address}"),
        Err(error) => eprintln!("ws-echo: {error}"),
    }
    for socket in listener.incoming().flatten() {
        // The suite has one connection at a time, and may leave one open for a while.
        std::thread::spawn(move || {
            if let Err(error) = serve(socket) {
                eprintln!("ws-echo: {error}");
            }
        });
    }
    ExitCode::SUCCESS
}

fn serve(mut socket: TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut input = Vec::new();
    let Some(mut decoder) = upgrade(&mut socket, &mut input)? else {
        return Ok(());
    };
    let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
    let mut out = Vec::new();
    loop {
        let mut at = 0;
        let is_over = loop {
            match decoder.next(&mut input[at..], MESSAGE_MAX, &mut inflater) {
                Ok(ws::Step::NeedMore { consumed }) => {
                    at += consumed;
                    break false;
                }
                Ok(ws::Step::Event { event, consumed }) => {
                    at += consumed;
                    match event {
                        Event::Message { is_text, data } => {
                            let longest = decoder.agreement().map(Agreement::longest);
                            let packed = match longest {
                                Some(longest) if data.len() <= longest => deflater.deflate(&data),
                                _ => None,
                            };
                            write_message(is_text, &data, packed.as_deref(), &mut out);
                        }
                        Event::Ping(payload) => frame::write_pong(payload, &mut out),
                        Event::Pong(_) => {}
                        Event::Close { code, .. } => {
                            frame::write_close(code, "", &mut out);
                            break true;
                        }
                    }
                }
                Err(violation) => {
                    frame::write_close(Some(violation.close_code()), "", &mut out);
                    break true;
                }
            }
        };
        input.drain(..at.min(input.len()));
        socket.write_all(&out)?;
        out.clear();
        if is_over {
            socket.shutdown(Shutdown::Write)?;
            std::io::copy(&mut socket, &mut std::io::sink())?;
            return Ok(());
        }
        if !read(&mut socket, &mut input)? {
            return Ok(());
        }
    }
}

/// Answers the upgrade request. What comes behind it is left in `input`.
fn upgrade(socket: &mut TcpStream, input: &mut Vec<u8>) -> std::io::Result<Option<Decoder>> {
    let mut reader = RequestReader::default();
    while read(socket, input)? {
        let mut out = Vec::new();
        let (decoder, consumed) = match reader.read(input, &Limits::default()) {
            Ok(Step::NeedMore { .. }) => continue,
            Ok(Step::Request { request, consumed }) => {
                match handshake::check(&request.head, true) {
                    Ok(key) => {
                        let lines = request.head.field_lines("sec-websocket-extensions");
                        let agreement = extension::negotiate(lines);
                        handshake::write_accept(key, agreement, b"", &mut out);
                        (Decoder::new(agreement), consumed)
                    }
                    Err(refusal) => return Err(std::io::Error::other(refusal)),
                }
            }
            Err(error) => return Err(std::io::Error::other(error)),
        };
        input.drain(..consumed);
        socket.write_all(&out)?;
        return Ok(Some(decoder));
    }
    Ok(None)
}

fn write_message(is_text: bool, data: &[u8], packed: Option<&[u8]>, out: &mut Vec<u8>) {
    let opcode = match is_text {
        true => frame::Opcode::Text,
        false => frame::Opcode::Binary,
    };
    let start = out.len();
    frame::write(opcode, packed.unwrap_or(data), out);
    if packed.is_some() {
        out[start] |= frame::COMPRESSED;
    }
}

/// Reads once; `false` at the end.
fn read(socket: &mut TcpStream, input: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut buffer = vec![0; 256 << 10];
    let len = socket.read(&mut buffer)?;
    input.extend_from_slice(&buffer[..len]);
    Ok(len > 0)
}
