//! Clients that send as fast as they can.

use std::io::Write;

use flate2::write::DeflateEncoder;

use super::Attack;
use crate::fault::{Fault, Outcome};
use crate::load::{Speaks, VERSION};
use crate::stage::{Stage, request};
use crate::wire::{PING, TEXT, frame_header};

pub const BOMB: Attack = Attack {
    id: "bomb",
    title: "8 clients that send compressed frames of 1 KB, which inflate to 900 KiB",
    flags: &["--wscompression"],
    run: bomb,
};

pub const FRAMES: Attack = Attack {
    id: "frame-flood",
    title: "64 clients that send frames of 12 bytes as fast as they can",
    flags: &[],
    run: |stage| flood(stage, 64, Speaks::WebSocket, &frame(TEXT, b"{\"x\":1")),
};

pub const PINGS: Attack = Attack {
    id: "ping-flood",
    title: "8 clients that send pings as fast as they can",
    flags: &[],
    run: |stage| flood(stage, 8, Speaks::WebSocket, &frame(PING, b"")),
};

pub const NOT_FOUND: Attack = Attack {
    id: "pipelined-404",
    title: "20 clients that send GETs of nothing, each before the answer to the last",
    flags: &[],
    run: |stage| {
        flood(
            stage,
            20,
            Speaks::Http,
            b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n",
        )
    },
};

pub const HEADS: Attack = Attack {
    id: "header-flood",
    title: "64 clients that send requests with 99 header fields, 15 KiB each",
    flags: &[],
    run: heads,
};

pub const PARAMS: Attack = Attack {
    id: "nested-params",
    title: "a client whose calls have params of 1 MiB of nested arrays",
    flags: &[],
    run: nested_params,
};

pub const SUBSCRIBES: Attack = Attack {
    id: "subscribe-flood",
    title: "64 clients that subscribe to names of their own as fast as they can",
    flags: &[],
    run: |stage| {
        asks(stage, "subscribe", |client, id| {
            format!("attack.own.{client}.{id}")
        })
    },
};

pub const AUTHS: Attack = Attack {
    id: "auth-flood",
    title: "64 clients that send auth requests as fast as they can",
    flags: &[],
    run: |stage| asks(stage, "auth", |_, _| "attack.login.enter".to_owned()),
};

pub const CONNECTS: Attack = Attack {
    id: "connect-flood",
    title: "clients that connect, subscribe and leave as fast as they can",
    flags: &[],
    run: connects,
};

/// Bytes that a client has waiting for its socket before more is made for it.
const AHEAD: usize = 1 << 16;

fn bomb(stage: &mut Stage) -> Outcome {
    let frame = compressed_frame(900 << 10)?;
    let mut clients: Vec<usize> = stage.connect(8, Speaks::WebSocket)?.collect();
    let gateway = stage.subject.address;
    stage.begin()?;
    let mut sent = 0;
    stage.flood(|net, crowd| {
        for client in &mut clients {
            // Who is sent away comes again.
            if crowd.of(*client).ended > 0 {
                *client = net.len();
                net.add(1, Speaks::WebSocket, gateway);
            }
            while crowd.of(*client).opened > 0 && net.waiting(*client) < AHEAD / 8 {
                net.send_raw(*client, &frame)?;
                sent += frame.len();
            }
        }
        Ok(())
    })?;
    stage.end()?;
    stage.tell(format!(
        "{sent} bytes sent in frames of {}, {} connections closed",
        frame.len(),
        stage.crowd.total.ended
    ));
    Ok(())
}

/// A masked, compressed text frame that stands for a request of `len` bytes.
fn compressed_frame(len: usize) -> Result<Vec<u8>, Fault> {
    let text = format!(
        r#"{{"id":1,"method":"version","params":"{}"}}"#,
        " ".repeat(len)
    );
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.flush()?;
    let mut data = encoder.get_ref().clone();
    // The empty block at the end is left out (RFC 7692, section 7.2.1).
    data.truncate(data.len() - 4);
    let mut frame = Vec::new();
    frame_header(&mut frame, TEXT, data.len(), 0x80);
    // Compressed.
    frame[0] |= 0x40;
    // The mask that changes nothing.
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&data);
    Ok(frame)
}

/// A frame with the mask that changes nothing.
fn frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame_header(&mut frame, opcode, payload.len(), 0x80);
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// Clients that send the same bytes again and again.
fn flood(stage: &mut Stage, count: usize, speaks: Speaks, bytes: &[u8]) -> Outcome {
    let clients = stage.connect(count, speaks)?;
    let block = bytes.repeat((AHEAD / 4).div_ceil(bytes.len()));
    stage.begin()?;
    let mut sent = 0;
    stage.flood(|net, _| {
        for client in clients.clone() {
            if net.waiting(client) < AHEAD / 4 {
                net.send_raw(client, &block)?;
                sent += block.len() / bytes.len();
            }
        }
        Ok(())
    })?;
    stage.end()?;
    let ended = stage.crowd.total.ended;
    stage.tell(format!(
        "{sent} sent, {ended} of {count} connections closed"
    ));
    Ok(())
}

fn heads(stage: &mut Stage) -> Outcome {
    let mut head = String::from("GET /api/attack/model HTTP/1.1\r\nHost: x\r\n");
    for field in 0..98 {
        head.push_str(&format!("X-Field-{field}: {}\r\n", "v".repeat(135)));
    }
    head.push_str("\r\n");
    flood(stage, 64, Speaks::Http, head.as_bytes())
}

fn nested_params(stage: &mut Stage) -> Outcome {
    let client = stage.connect(1, Speaks::WebSocket)?.start;
    // As deep as is taken, as often as fits.
    let deep = format!("{}{},", "[".repeat(100), "]".repeat(100));
    let count = (1_000 << 10) / deep.len();
    let params = format!("[{}0]", deep.repeat(count));
    let call = format!(r#"{{"id":1,"method":"call.attack.model.set","params":{params}}}"#);
    let frame = frame(TEXT, call.as_bytes());
    stage.begin()?;
    let mut sent = 0;
    stage.flood(|net, _| {
        if net.waiting(client) < frame.len() {
            net.send_raw(client, &frame)?;
            sent += 1;
        }
        Ok(())
    })?;
    stage.end()?;
    stage.tell(format!("{sent} calls"));
    Ok(())
}

/// Clients that always have as many requests open as they may.
fn asks(stage: &mut Stage, kind: &str, name: fn(usize, usize) -> String) -> Outcome {
    const OPEN: usize = 250;
    let clients = stage.connect(64, Speaks::WebSocket)?;
    let first = clients.start;
    let mut sent = vec![0; clients.len()];
    stage.begin()?;
    stage.flood(|net, crowd| {
        for client in clients.clone() {
            let sent = &mut sent[client - first];
            // The first answer was to `version`.
            let answered = crowd.of(client).answers as usize - 1;
            while *sent - answered < OPEN {
                let method = format!("{kind}.{}", name(client, *sent));
                net.send(client, request(*sent + 1, &method).as_bytes())?;
                *sent += 1;
            }
        }
        Ok(())
    })?;
    let all = sent.iter().sum::<usize>() + clients.len();
    stage.wait("answers to all requests", |crowd| {
        crowd.total.answers as usize >= all || crowd.total.ended > 0
    })?;
    stage.end()?;
    stage.tell(format!(
        "{all} requests, {} clients closed",
        stage.crowd.total.ended
    ));
    Ok(())
}

fn connects(stage: &mut Stage) -> Outcome {
    const AT_ONCE: usize = 64;
    let gateway = stage.subject.address;
    stage.begin()?;
    let (mut first, mut open) = (stage.net.len(), Vec::new());
    stage.flood(|net, crowd| {
        // Who has its subscription goes, and another comes.
        open.retain(|&client: &usize| crowd.of(client).ended == 0);
        for &client in &open {
            if crowd.of(client).answers == 2 {
                crowd.seen[client].answers += 1;
                net.end(client)?;
            }
        }
        while first < net.len() {
            if crowd.of(first).opened == 0 {
                break;
            }
            net.send(first, VERSION.as_bytes())?;
            net.send(first, request(1, "subscribe.attack.model").as_bytes())?;
            first += 1;
        }
        let missing = AT_ONCE - open.len();
        open.extend(net.len()..net.len() + missing);
        net.add(missing, Speaks::WebSocket, gateway);
        Ok(())
    })?;
    stage.end()?;
    stage.tell(format!("{} connections", stage.crowd.total.opened));
    Ok(())
}
