//! The date format of HTTP.

/// The text of a `Date` field.
pub type Date = [u8; 29];

const SECONDS_OF_DAY: u64 = 86_400;
/// 9999-12-31 23:59:59, the last second that four digits can name.
const LAST_SECOND: u64 = 253_402_300_799;
const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

/// Writes a time as an IMF-fixdate (RFC 9110, 5.6.7), `Sun, 06 Nov 1994 08:49:37 GMT`.
///
/// `unix` is in seconds since 1970-01-01 UTC; times after the year 9999 are written as
/// its last second.
pub fn imf_fixdate(unix: u64) -> Date {
    let unix = unix.min(LAST_SECOND);
    let days = unix / SECONDS_OF_DAY;
    let second = unix % SECONDS_OF_DAY;
    let (year, month, day) = civil(days);

    let mut text = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    let weekday = 3 * (days % 7) as usize;
    text[0..3].copy_from_slice(&DAYS[weekday..weekday + 3]);
    two_digits(&mut text[5..7], day);
    let name = 3 * month as usize;
    text[8..11].copy_from_slice(&MONTHS[name..name + 3]);
    two_digits(&mut text[12..14], year / 100);
    two_digits(&mut text[14..16], year % 100);
    two_digits(&mut text[17..19], second / 3600);
    two_digits(&mut text[20..22], second / 60 % 60);
    two_digits(&mut text[23..25], second % 60);
    text
}

/// Year, month from 0, and day from 1 of a day since 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year, and
/// months follow from the day by a linear formula.
fn civil(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01, in eras of 400 years of equal length.
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = 400 * era + year_of_era + u64::from(month < 2);
    (year, month, day)
}

fn two_digits(place: &mut [u8], number: u64) {
    place[0] = b'0' + (number / 10 % 10) as u8;
    place[1] = b'0' + (number % 10) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_known_dates() {
        let table = [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 GMT"),
            (1_767_225_600, "Thu, 01 Jan 2026 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST_SECOND, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (unix, text) in table {
            assert_eq!(str::from_utf8(&imf_fixdate(unix)), Ok(text), "{unix}");
        }
    }

    #[test]
    fn counts_every_day_of_four_centuries() {
        let mut expected = (1970, 0, 1);
        for days in 0..146_097 {
            assert_eq!(civil(days), expected);
            let (year, month, day) = expected;
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                1 => 28 + u64::from(is_leap),
                3 | 5 | 8 | 10 => 30,
                _ => 31,
            };
            expected = match (day == length, month == 11) {
                (false, _) => (year, month, day + 1),
                (true, false) => (year, month + 1, 1),
                (true, true) => (year + 1, 0, 1),
            };
        }
    }
}
