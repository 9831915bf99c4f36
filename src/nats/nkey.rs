//! Keys of NATS users ("nkeys"): reading a seed, the public key, signing a nonce.
//!
//! A key is written in base32 (RFC 4648, 6, without padding) of its kind, its 32 bytes and
//! a CRC-16. The signature is Ed25519 (RFC 8032).

use std::fmt;

use ring::signature::{Ed25519KeyPair, KeyPair};

/// Bytes of a seed.
const SEED: usize = 32;

/// Letters of a written seed: two bytes of kind, the seed, two bytes of CRC-16.
const SEED_TEXT: usize = ((2 + SEED + 2) * 8).div_ceil(5);

/// First five bits of a seed, which make its `S`.
const KIND_SEED: u8 = 18 << 3;

/// First five bits of a user's public key, which make its `U`.
const KIND_USER: u8 = 20 << 3;

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const BASE64_URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The secret key of a NATS user. `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct UserKey {
    seed: [u8; SEED],
}

/// Why a text is no seed of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedError {
    /// It does not have the 58 characters of a seed.
    Length,
    /// It has a character that is not `A` to `Z` or `2` to `7`.
    Character,
    /// Its checksum is wrong.
    Checksum,
    /// It is the seed of something else than a user, or no seed.
    Kind,
}

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "the seed does not have 58 characters",
            Self::Character => "the seed has a character other than A to Z and 2 to 7",
            Self::Checksum => "the checksum of the seed is wrong",
            Self::Kind => "the seed is not that of a user, which begins with SU",
        })
    }
}

impl std::error::Error for SeedError {}

impl UserKey {
    /// Reads a seed as NATS tools write it: 58 characters that begin with `SU`.
    ///
    /// # Errors
    ///
    /// [`SeedError`], which shows nothing of the text.
    pub fn from_seed(text: &str) -> Result<Self, SeedError> {
        let text = text.as_bytes();
        if text.len() != SEED_TEXT {
            return Err(SeedError::Length);
        }
        let bytes = from_base32(text).ok_or(SeedError::Character)?;
        let (body, checksum) = bytes.split_last_chunk::<2>().ok_or(SeedError::Length)?;
        if crc16(body) != u16::from_le_bytes(*checksum) {
            return Err(SeedError::Checksum);
        }
        let ([first, second], seed) = body.split_first_chunk::<2>().ok_or(SeedError::Length)?;
        // The kind of what the seed is of lies across the two bytes.
        let kind = (first & 7) << 5 | second >> 3;
        if first & 0xf8 != KIND_SEED || kind != KIND_USER {
            return Err(SeedError::Kind);
        }
        let seed = seed.try_into().map_err(|_| SeedError::Length)?;
        Ok(Self { seed })
    }

    /// The public key as NATS writes it: 56 characters that begin with `U`.
    pub fn public(&self) -> String {
        let mut bytes = vec![KIND_USER];
        bytes.extend_from_slice(self.pair().public_key().as_ref());
        let checksum = crc16(&bytes).to_le_bytes();
        bytes.extend_from_slice(&checksum);
        encode(&bytes, 5, BASE32)
    }

    /// The signature of a server's nonce, in base64 (RFC 4648, 5, without padding).
    pub fn sign(&self, nonce: &[u8]) -> String {
        encode(self.pair().sign(nonce).as_ref(), 6, BASE64_URL)
    }

    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.seed).expect("every 32 bytes are an Ed25519 seed")
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserKey(hidden)")
    }
}

/// Decodes base32 without padding; bits that fill no byte must be zero.
fn from_base32(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut count) = (0u16, 0);
    for &letter in text {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        bits = bits << 5 | u16::from(value);
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0).then_some(bytes)
}

/// Encodes groups of `width` bits (5 or 6) by an alphabet, without padding.
fn encode(bytes: &[u8], width: u32, alphabet: &[u8]) -> String {
    let letter = |value: u32| char::from(alphabet[value as usize & (alphabet.len() - 1)]);
    let mut text = String::with_capacity(bytes.len() * 8 / width as usize + 1);
    let (mut bits, mut count) = (0u32, 0);
    for &byte in bytes {
        bits = (bits & 0xff) << 8 | u32::from(byte);
        count += 8;
        while count >= width {
            count -= width;
            text.push(letter(bits >> count));
        }
    }
    if count > 0 {
        text.push(letter(bits << (width - count)));
    }
    text
}

/// CRC-16 with the polynomial x^16 + x^12 + x^5 + 1, from 0 ("XMODEM").
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |mut crc, &byte| {
        crc ^= u16::from(byte) << 8;
        for _ in 0..8 {
            crc = match crc & 0x8000 {
                0 => crc << 1,
                _ => crc << 1 ^ 0x1021,
            };
        }
        crc
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seed_of_zeros() -> String {
        let mut bytes = vec![KIND_SEED | KIND_USER >> 5, (KIND_USER & 0x1f) << 3];
        bytes.extend_from_slice(&[0; SEED]);
        let checksum = crc16(&bytes).to_le_bytes();
        bytes.extend_from_slice(&checksum);
        encode(&bytes, 5, BASE32)
    }

    #[test]
    fn the_checksum_is_that_of_the_standard() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn texts_of_the_standard() {
        // RFC 4648, 10.
        for (bytes, base32, base64) in [
            (&b""[..], "", ""),
            (b"f", "MY", "Zg"),
            (b"fo", "MZXQ", "Zm8"),
            (b"foo", "MZXW6", "Zm9v"),
            (b"foob", "MZXW6YQ", "Zm9vYg"),
            (b"fooba", "MZXW6YTB", "Zm9vYmE"),
            (b"foobar", "MZXW6YTBOI", "Zm9vYmFy"),
            (b"\xfb\xff", "7P7Q", "-_8"),
        ] {
            assert_eq!(encode(bytes, 5, BASE32), base32);
            assert_eq!(encode(bytes, 6, BASE64_URL), base64);
            assert_eq!(from_base32(base32.as_bytes()).as_deref(), Some(bytes));
        }
        assert_eq!(from_base32(b"MY1A"), None);
        assert_eq!(from_base32(b"my"), None);
        assert_eq!(from_base32(b"MZ"), None);
    }

    #[test]
    fn agrees_with_the_keys_of_nats() {
        for _ in 0..50 {
            let theirs = nkeys::KeyPair::new_user();
            let seed = theirs.seed().unwrap();
            let ours = UserKey::from_seed(&seed).unwrap();
            assert_eq!(ours.public(), theirs.public_key());
            let nonce = b"QYWhYHkFxBRsLLs";
            let signature = theirs.sign(nonce).unwrap();
            assert_eq!(ours.sign(nonce), encode(&signature, 6, BASE64_URL));
        }
    }

    #[test]
    fn what_is_no_seed_is_refused() {
        let good = seed_of_zeros();
        assert!(UserKey::from_seed(&good).is_ok());
        let account = nkeys::KeyPair::new_account().seed().unwrap();
        let table = [
            (String::new(), SeedError::Length),
            (good[1..].to_owned(), SeedError::Length),
            (format!("{good}A"), SeedError::Length),
            (good.to_lowercase(), SeedError::Character),
            (good.replacen("SU", "S1", 1), SeedError::Character),
            (good.replacen("AAA", "AAB", 1), SeedError::Checksum),
            (account, SeedError::Kind),
        ];
        for (text, error) in table {
            assert_eq!(UserKey::from_seed(&text), Err(error), "{text}");
        }
        // One wrong letter anywhere is noticed.
        for at in 0..good.len() {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'Q' { b'R' } else { b'Q' };
            let text = String::from_utf8(bytes).unwrap();
            assert!(UserKey::from_seed(&text).is_err(), "{at}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = UserKey::from_seed(&seed_of_zeros()).unwrap();
        assert_eq!(format!("{key:?}"), "UserKey(hidden)");
    }
}
