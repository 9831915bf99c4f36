//! Looking for bytes in JSON text, many at a time: without a branch for each, which is many
//! times faster than one by one.

/// Bytes that are looked at together.
const CHUNK: usize = 32;

/// The place of the next byte that is `wanted`, from a place on; the length if there is none.
pub fn find(bytes: &[u8], mut at: usize, wanted: impl Fn(u8) -> bool + Copy) -> usize {
    while let Some(chunk) = chunk(bytes, at) {
        if has(chunk, wanted) {
            break;
        }
        at += CHUNK;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let place = rest.iter().position(|byte| wanted(*byte));
    place.map_or(bytes.len(), |place| at + place)
}

/// Bytes of a word.
pub const WORD: usize = 8;

/// The bytes from a place on, the first one lowest; `None` where fewer than [`WORD`] are left.
pub fn word(bytes: &[u8], at: usize) -> Option<u64> {
    bytes
        .get(at..)?
        .first_chunk()
        .map(|it| u64::from_le_bytes(*it))
}

/// The place of the next byte that does not stand for itself in a JSON string: a quotation mark,
/// a backslash, or a control character.
pub fn end_of_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = word(bytes, at) {
        let found = zeros(word ^ (ONES * u64::from(b'"')))
            | zeros(word ^ (ONES * u64::from(b'\\')))
            | word.wrapping_sub(ONES * 0x20) & !word & (ONES << 7);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += WORD;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let is_mark = |byte: &u8| matches!(byte, 0..0x20 | b'"' | b'\\');
    at + rest.iter().position(is_mark).unwrap_or(rest.len())
}

const ONES: u64 = u64::from_le_bytes([1; WORD]);

/// The highest bit of each byte that is zero, and perhaps of some behind the first one.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & (ONES << 7)
}

/// The place in a word of the first byte that is one of two.
pub fn first(word: u64, one: u8, other: u8) -> Option<usize> {
    let found = zeros(word ^ (ONES * u64::from(one))) | zeros(word ^ (ONES * u64::from(other)));
    (found != 0).then(|| found.trailing_zeros() as usize / 8)
}

/// How far the depth of brackets goes down within a chunk without strings, and where it is
/// behind it.
pub struct Depths {
    pub least: i32,
    pub last: i32,
}

/// The depths of brackets in the next bytes, [`SKIPPED`] in all, if no string begins there.
pub fn depths(bytes: &[u8], at: usize, depth: i32) -> Option<Depths> {
    let chunk = chunk(bytes, at).filter(|chunk| !has(chunk, |byte| byte == b'"'))?;
    let mut depths = Depths {
        least: depth,
        last: depth,
    };
    for byte in chunk {
        depths.last += i32::from(STEPS[usize::from(*byte)]);
        depths.least = depths.least.min(depths.last);
    }
    Some(depths)
}

/// Bytes that [`depths`] goes through.
pub const SKIPPED: usize = CHUNK;

/// What a byte does to the depth of brackets.
const STEPS: [i8; 256] = {
    let mut steps = [0; 256];
    steps[b'[' as usize] = 1;
    steps[b'{' as usize] = 1;
    steps[b']' as usize] = -1;
    steps[b'}' as usize] = -1;
    steps
};

fn chunk(bytes: &[u8], at: usize) -> Option<&[u8; CHUNK]> {
    bytes.get(at..)?.first_chunk()
}

fn has(chunk: &[u8; CHUNK], wanted: impl Fn(u8) -> bool) -> bool {
    chunk.iter().fold(false, |any, byte| any | wanted(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_bytes_in_a_word_is_found() {
        for text in [
            *b"abcdefgh",
            *b"abc\"e\\gh",
            *b"\\\\cd\"fgh",
            *b"!#[]\xa2\xdc\"h",
            *b"abcdefg\\",
            [0; 8],
            [255; 8],
            *b"\"\x23\x22\x21defg",
        ] {
            let expected = text.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            let found = word(&text, 0).and_then(|word| first(word, b'"', b'\\'));
            assert_eq!(found, expected, "{text:?}");
        }
        assert_eq!(
            (word(&[0; 9], 1), word(&[0; 9], 2), word(&[], 1)),
            (Some(0), None, None)
        );
    }

    #[test]
    fn finds_what_one_by_one_finds() {
        for length in 0..150 {
            let mut bytes = vec![b'x'; length];
            assert_eq!(find(&bytes, 0, |byte| byte == b'"'), length);
            for place in 0..length {
                bytes[place] = b'"';
                for from in 0..length + 2 {
                    let expected = if from <= place { place } else { length };
                    assert_eq!(find(&bytes, from, |byte| byte == b'"'), expected);
                }
                bytes[place] = b'x';
            }
        }
    }

    #[test]
    fn what_does_not_stand_for_itself_is_found_at_each_place() {
        for length in 0..40 {
            for byte in 0..=255 {
                let mut bytes = vec![b'!'; length];
                for place in 0..length {
                    bytes[place] = byte;
                    let is_mark = byte < 0x20 || byte == b'"' || byte == b'\\';
                    for from in 0..=place {
                        let expected = if is_mark { place } else { length };
                        assert_eq!(end_of_plain(&bytes, from), expected, "{byte} at {place}");
                    }
                    bytes[place] = 0xe9;
                }
            }
        }
        assert_eq!(end_of_plain(&[], 0), 0);
    }

    #[test]
    fn depths_are_those_of_each_place() {
        let text = b"[[{}],1]]]]]{{{[[[,,,,,,,,,,,,,,,,,,,,,,\"";
        let depths = super::depths(text, 0, 5).unwrap();
        assert_eq!((depths.least, depths.last), (1, 7));
        assert!(super::depths(text, text.len() - CHUNK, 5).is_none());
        assert!(super::depths(text, text.len() - CHUNK + 1, 5).is_none());
    }
}
