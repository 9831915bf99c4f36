//! Clients that send as fast as they can.

use std::io::Write;

use flate2::write::DeflateEncoder;

use super::Attack;
use crate::fault::{Fault, Outcome};
use crate::load::Speaks;
use crate::stage::Stage;

pub const BOMB: Attack = Attack {
    id: "bomb",
    title: "8 clients that send compressed frames of 1 KB, which inflate to 900 KiB",
    flags: &["--wscompression"],
    run: bomb,
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
    let text = format!(r#"{{"id":1,"method":"version","params":"{}"}}"#, " ".repeat(len));
    let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.flush()?;
    let mut data = encoder.get_ref().clone();
    // The empty block at the end is left out (RFC 7692, section 7.2.1).
    data.truncate(data.len() - 4);
    let mut frame = Vec::new();
    crate::wire::frame_header(&mut frame, crate::wire::TEXT, data.len(), 0x80);
    // Compressed.
    frame[0] |= 0x40;
    // The mask that changes nothing.
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(&data);
    Ok(frame)
}
