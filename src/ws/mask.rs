//! The masking of client frames (RFC 6455, 5.3).

/// Takes the mask off `data`, whose first byte is masked with the key's first: turn the
/// key with [`rotate`] for data from within a payload.
pub(super) fn unmask(data: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = data.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

/// The key for the data behind `count` bytes that it has unmasked.
pub(super) fn rotate(mut key: [u8; 4], count: usize) -> [u8; 4] {
    key.rotate_left(count % 4);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmasks_the_example_of_the_rfc() {
        let mut data = *b"\x7f\x9f\x4d\x51\x58";
        unmask(&mut data, *b"\x37\xfa\x21\x3d");
        assert_eq!(&data, b"Hello");
    }

    #[test]
    fn parts_give_what_the_whole_gives() {
        let key = [1, 20, 77, 255];
        for length in 0..40 {
            let data: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
            let expected: Vec<u8> = data
                .iter()
                .zip(key.iter().cycle())
                .map(|(a, b)| a ^ b)
                .collect();
            for split in 0..=data.len() {
                let mut parts = data.clone();
                let (front, back) = parts.split_at_mut(split);
                unmask(front, key);
                unmask(back, rotate(key, split));
                assert_eq!(parts, expected, "{length} at {split}");
            }
        }
    }
}
