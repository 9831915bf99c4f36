//! From when until when a certificate is valid (RFC 5280, 4.1.2.5): read by `--check`, since
//! TLS itself leaves it to those who connect.

/// The time for which a certificate is valid, in seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// The last day of it, such as `2027-01-31`.
    pub(crate) last_day: String,
}

/// Tags of DER.
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Reads it; `None` of what is no certificate.
pub(super) fn validity(certificate: &[u8]) -> Option<Validity> {
    let (SEQUENCE, certificate, _) = element(certificate)? else {
        return None;
    };
    let (SEQUENCE, mut rest, _) = element(certificate)? else {
        return None;
    };
    if let (VERSION, _, behind) = element(rest)? {
        rest = behind;
    }
    // Serial number, algorithm and issuer.
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (SEQUENCE, times, _) = element(rest)? else {
        return None;
    };
    let (tag, from, behind) = element(times)?;
    let (from, _) = time(tag, from)?;
    let (tag, until, _) = element(behind)?;
    let (until, last_day) = time(tag, until)?;
    Some(Validity {
        from,
        until,
        last_day,
    })
}

/// Tag and content of the first element, and what is behind it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=127 => (usize::from(first), rest),
        129..=132 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first - 128))?;
            let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
            (digits.iter().fold(0, add), rest)
        }
        _ => return None,
    };
    let (content, behind) = rest.split_at_checked(length)?;
    Some((tag, content, behind))
}

fn time(tag: u8, text: &[u8]) -> Option<(i64, String)> {
    let text = str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let (century, text) = match (tag, text.len(), is_digits) {
        // Two digits of the year: from 1950 to 2049.
        (UTC_TIME, 12, true) if text < "50" => ("20", text),
        (UTC_TIME, 12, true) => ("19", text),
        (GENERALIZED_TIME, 14, true) => text.split_at(2),
        _ => return None,
    };
    let number = |at: usize| text[at..at + 2].parse::<i64>().ok();
    let year = 100 * century.parse::<i64>().ok()? + number(0)?;
    let (month, day) = (number(2)?, number(4)?);
    let seconds = 3_600 * number(6)? + 60 * number(8)? + number(10)?;
    // Years begin in March here, so that the leap day is the last of them.
    let (from_march, shifted) = match month {
        3..=12 => (month - 3, year),
        1 | 2 => (month + 9, year - 1),
        _ => return None,
    };
    let leaps = shifted / 4 - shifted / 100 + shifted / 400;
    let days = 365 * shifted + leaps + (153 * from_march + 2) / 5 + day - 719_469;
    let last_day = format!("{year:04}-{month:02}-{day:02}");
    Some((86_400 * days + seconds, last_day))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    #[test]
    fn certificates_tell_their_time() {
        let key = KeyPair::generate().expect("a key");
        for (from, until, last_day, seconds) in [
            ((1975, 1, 1), (2049, 12, 31), "2049-12-31", 2_524_521_600),
            ((2000, 2, 29), (2000, 3, 1), "2000-03-01", 951_868_800),
            ((2024, 2, 28), (2100, 3, 1), "2100-03-01", 4_107_542_400),
        ] {
            let mut params = CertificateParams::new(vec!["h".to_owned()]).expect("a name");
            params.not_before = date_time_ymd(from.0, from.1, from.2);
            params.not_after = date_time_ymd(until.0, until.1, until.2);
            let certificate = params.self_signed(&key).expect("a certificate");
            let found = validity(certificate.der()).expect("its time");
            assert_eq!((&*found.last_day, found.until), (last_day, seconds));
            assert!(found.from < found.until);
            for end in 0..certificate.der().len() {
                assert_eq!(validity(&certificate.der()[..end]), None, "{end}");
            }
        }
        assert_eq!(validity(b"\x30\x84\xff\xff\xff\xff"), None);
        assert_eq!(validity(b"\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff"), None);
    }
}
