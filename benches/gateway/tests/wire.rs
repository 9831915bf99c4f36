//! Wire formats as the driver reads them.

use crate::wire::{split_chunk, split_frame, split_response};

#[test]
fn a_chunk_ends_behind_its_line_end() {
    let input = b"5\r\nhello\r\n0\r\n\r\n";
    let (data, len) = split_chunk(input).unwrap();
    assert_eq!((&input[data], len), (&b"hello"[..], 10));
    let (data, len) = split_chunk(&input[10..]).unwrap();
    assert_eq!((data.len(), len), (0, 5));
    for short in 0..10 {
        assert!(split_chunk(&input[..short]).is_none(), "{short}");
    }
}

#[test]
fn a_body_in_chunks_ends_with_the_empty_one() {
    let input = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nrest";
    let (status, _, len) = split_response(input).unwrap().unwrap();
    assert_eq!((status, &input[len..]), (200, &b"rest"[..]));
    let cut = &input[..input.len() - 6];
    assert!(split_response(cut).unwrap().is_none());
}

#[test]
fn compressed_frames_are_told_apart() {
    let (frame, len) = split_frame(b"\xc1\x01x").unwrap();
    assert_eq!((frame.opcode, frame.is_compressed, len), (1, true, 3));
    let (frame, _) = split_frame(b"\x82\x01x").unwrap();
    assert_eq!((frame.opcode, frame.is_compressed), (2, false));
}
