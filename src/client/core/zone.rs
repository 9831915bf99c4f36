//! Local time: the time zone tables of the system (RFC 9636), and the rules for the time
//! beyond them (POSIX.1, `TZ`).

use super::lines::Stamp;

/// A time zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// From which second on which offset holds, both in seconds, in order.
    changes: Vec<(i64, i32)>,
    /// Before the first change.
    first: i32,
    /// Behind the last one.
    rule: Option<Rule>,
}

/// Offsets of standard time and summer time, with the days between which the latter holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    standard: i32,
    summer: Option<(i32, Turn, Turn)>,
}

/// A day of each year, and the second of it, at which clocks are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    day: Day,
    second: i32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    /// A day of the year from 1, where no leap day counts.
    NoLeap(i64),
    /// One from 0, where it does.
    Plain(i64),
    /// Month, week (5 is the last) and day of the week (0 is Sunday).
    Week(i64, i64, i64),
}

const DAY: i64 = 86_400;

impl Zone {
    /// Reads a table; `None` if it is none.
    pub fn parse(bytes: &[u8]) -> Option<Zone> {
        // The first block is for readers that know 32 bits alone.
        let (first, behind) = block(bytes, 4)?;
        if bytes.get(4)? < &b'2' {
            return Some(first);
        }
        let (mut zone, behind) =
            block(bytes.get(behind..)?, 8).map(|(zone, end)| (zone, behind + end))?;
        let footer = bytes.get(behind..)?.strip_prefix(b"\n")?;
        let end = footer.iter().position(|byte| *byte == b'\n')?;
        zone.rule = Rule::parse(str::from_utf8(&footer[..end]).ok()?);
        Some(zone)
    }

    /// Reads a rule such as `CET-1CEST,M3.5.0,M10.5.0/3`; `None` if it is none.
    pub fn of_rule(text: &str) -> Option<Zone> {
        let rule = Some(Rule::parse(text)?);
        Some(Zone {
            rule,
            ..Zone::default()
        })
    }

    /// Seconds east of Greenwich at a time in seconds since 1970.
    pub fn offset(&self, time: i64) -> i32 {
        let behind = self.changes.partition_point(|(from, _)| *from <= time);
        match (&self.rule, behind) {
            (Some(rule), place) if place == self.changes.len() => rule.offset(time),
            (_, 0) => self.first,
            (_, place) => self.changes[place - 1].1,
        }
    }

    /// A time in milliseconds since 1970.
    pub fn stamp(&self, millis: u64) -> Stamp {
        let utc = (millis / 1_000) as i64;
        let offset = self.offset(utc);
        let local = utc + i64::from(offset);
        let (year, month, day) = date(local.div_euclid(DAY));
        let second = local.rem_euclid(DAY);
        let short = format!(
            "{:02}:{:02}:{:02}.{:03}",
            second / 3_600,
            second / 60 % 60,
            second % 60,
            millis % 1_000
        );
        let (sign, minutes) = match offset < 0 {
            true => ('-', -offset / 60),
            false => ('+', offset / 60),
        };
        let zone = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
        let full = format!("{year:04}-{month:02}-{day:02}T{short}{zone}");
        Stamp { short, full }
    }
}

/// Reads a block whose times have so many bytes, and gives where it ends.
fn block(bytes: &[u8], width: usize) -> Option<(Zone, usize)> {
    const HEAD: usize = 44;
    if !bytes.starts_with(b"TZif") {
        return None;
    }
    let count = |place: usize| {
        let at = 20 + 4 * place;
        let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes) as usize)
    };
    let [is_ut, is_standard, leaps] = [count(0)?, count(1)?, count(2)?];
    let [times, types, letters] = [count(3)?, count(4)?, count(5)?];
    let kinds_at = HEAD.checked_add(times.checked_mul(width)?)?;
    let types_at = kinds_at.checked_add(times)?;
    let letters_at = types_at.checked_add(types.checked_mul(6)?)?;
    let leaps_length = leaps.checked_mul(width + 4)?;
    let end = [letters, leaps_length, is_ut, is_standard]
        .into_iter()
        .try_fold(letters_at, usize::checked_add)?;
    bytes.get(..end)?;
    let offset = |kind: usize| {
        let at = (kind < types).then_some(types_at + 6 * kind)?;
        Some(i32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
    };
    let time = |place: usize| {
        let at = HEAD + width * place;
        let bytes = bytes.get(at..at + width)?;
        Some(match width {
            4 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
            _ => i64::from_be_bytes(bytes.try_into().ok()?),
        })
    };
    let changes = (0..times).map(|place| {
        let kind = usize::from(*bytes.get(kinds_at + place)?);
        Some((time(place)?, offset(kind)?))
    });
    let zone = Zone {
        changes: changes.collect::<Option<_>>()?,
        first: offset(0)?,
        rule: None,
    };
    Some((zone, end))
}

impl Rule {
    fn parse(text: &str) -> Option<Rule> {
        let rest = name(text)?;
        let (west, rest) = clock(rest)?;
        let standard = -west;
        if rest.is_empty() {
            return Some(Rule {
                standard,
                summer: None,
            });
        }
        let rest = name(rest)?;
        let (offset, rest) = match rest.starts_with(',') {
            true => (standard + 3_600, rest),
            false => clock(rest).map(|(west, rest)| (-west, rest))?,
        };
        let mut turns = rest.strip_prefix(',')?.split(',').map(Turn::parse);
        let summer = Some((offset, turns.next()??, turns.next()??));
        match turns.next() {
            None => Some(Rule { standard, summer }),
            Some(_) => None,
        }
    }

    fn offset(&self, time: i64) -> i32 {
        let Some((summer, begin, end)) = &self.summer else {
            return self.standard;
        };
        let (year, ..) = date((time + i64::from(self.standard)).div_euclid(DAY));
        // Each is told in the time that holds until then.
        let begin = begin.time(year) - i64::from(self.standard);
        let end = end.time(year) - i64::from(*summer);
        let is_summer = match begin <= end {
            true => (begin..end).contains(&time),
            false => !(end..begin).contains(&time),
        };
        if is_summer { *summer } else { self.standard }
    }
}

impl Turn {
    fn parse(text: &str) -> Option<Turn> {
        let (day, second) = match text.split_once('/') {
            None => (text, 7_200),
            Some((day, time)) => match clock(time)? {
                (second, "") => (day, second),
                _ => return None,
            },
        };
        let number = |text: &str, range: std::ops::RangeInclusive<i64>| {
            text.parse().ok().filter(|number| range.contains(number))
        };
        let day = if let Some(day) = day.strip_prefix('J') {
            Day::NoLeap(number(day, 1..=365)?)
        } else if let Some(day) = day.strip_prefix('M') {
            let mut parts = day.splitn(3, '.');
            Day::Week(
                number(parts.next()?, 1..=12)?,
                number(parts.next()?, 1..=5)?,
                number(parts.next()?, 0..=6)?,
            )
        } else {
            Day::Plain(number(day, 0..=365)?)
        };
        Some(Turn { day, second })
    }

    /// The local time of it in a year.
    fn time(self, year: i64) -> i64 {
        let start = days(year, 1, 1);
        let day = match self.day {
            Day::Plain(day) => start + day,
            Day::NoLeap(day) => start + day - 1 + i64::from(is_leap(year) && day > 59),
            Day::Week(month, week, weekday) => {
                let first = days(year, month, 1);
                // The first of January 1970 was a Thursday.
                let first = first + (weekday - (first + 4)).rem_euclid(7);
                let next = match month {
                    12 => days(year + 1, 1, 1),
                    _ => days(year, month + 1, 1),
                };
                let day = first + 7 * (week - 1);
                if day < next { day } else { day - 7 }
            }
        };
        day * DAY + i64::from(self.second)
    }
}

/// What follows the name of a zone.
fn name(text: &str) -> Option<&str> {
    if let Some(rest) = text.strip_prefix('<') {
        return rest.split_once('>').map(|(_, rest)| rest);
    }
    let rest = text.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    (text.len() - rest.len() >= 3).then_some(rest)
}

/// A time `[+-]h[:m[:s]]` in seconds, and what follows it.
fn clock(text: &str) -> Option<(i32, &str)> {
    let (sign, text) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != ':');
    let (time, rest) = text.split_at(end.unwrap_or(text.len()));
    let mut seconds = 0;
    for (place, part) in time.split(':').enumerate() {
        let unit = *[3_600, 60, 1].get(place)?;
        let most = if place == 0 { 167 } else { 59 };
        let part: i32 = part.parse().ok().filter(|part| *part <= most)?;
        seconds += part * unit;
    }
    Some((sign * seconds, rest))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days from the first of January 1970 to a date. Years begin in March here, so that the
/// leap day is the last of them.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = match month {
        3.. => (year, month - 3),
        _ => (year - 1, month + 9),
    };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leaps + (153 * month + 2) / 5 + day - 719_469
}

/// Year, month and day of a number of days since the first of January 1970.
fn date(count: i64) -> (i64, i64, i64) {
    // A first guess, which is too late: no year is shorter.
    let mut year = 1971 + count.div_euclid(365);
    while days(year, 1, 1) > count {
        year -= 1;
    }
    let mut month = 12;
    while days(year, month, 1) > count {
        month -= 1;
    }
    (year, month, count - days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(days(1970, 1, 1), 0);
        assert_eq!(days(2000, 3, 1), 11_017);
        for count in -200_000..200_000 {
            let (year, month, day) = date(count);
            assert_eq!(days(year, month, day), count);
            assert!((1..=31).contains(&day), "{year}-{month}-{day}");
        }
        assert_eq!(date(days(2024, 2, 29)), (2024, 2, 29));
        assert_eq!(date(days(2023, 2, 28) + 1), (2023, 3, 1));
    }

    #[test]
    fn rules_give_offsets() {
        let at = |rule: &str, time| Zone::of_rule(rule).expect(rule).offset(time);
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        // The last Sunday of March and of October 2026, at one o'clock in Greenwich.
        for (day, before, behind) in [
            (days(2026, 3, 29), 3_600, 7_200),
            (days(2026, 10, 25), 7_200, 3_600),
        ] {
            let time = day * DAY + 3_600;
            assert_eq!(at(berlin, time - 1), before);
            assert_eq!(at(berlin, time), behind);
        }
        // Summer in the south goes over the turn of the year.
        let sydney = "AEST-10AEDT,M10.1.0,M4.1.0/3";
        assert_eq!(at(sydney, days(2026, 1, 1) * DAY), 39_600);
        assert_eq!(at(sydney, days(2026, 7, 1) * DAY), 36_000);
        assert_eq!(at("UTC0", 0), 0);
        assert_eq!(at("<+0545>-5:45", 0), 20_700);
        assert_eq!(at("EST5EDT,J60/0,300", days(2026, 6, 1) * DAY), -14_400);
        for wrong in [
            "",
            "X3:30",
            "CE-1",
            "CET",
            "CET-1CEST",
            "CET-1CEST,M3.6.0,M1.1.0",
            "CET-1x",
        ] {
            assert_eq!(Zone::of_rule(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn stamps_say_time_date_and_offset() {
        let stamp = Zone::default().stamp(1_003);
        assert_eq!(stamp.short, "00:00:01.003");
        assert_eq!(stamp.full, "1970-01-01T00:00:01.003+00:00");
        let west = Zone::of_rule("XST3:30").expect("a rule").stamp(0);
        assert_eq!(west.full, "1969-12-31T20:30:00.000-03:30");
    }

    /// As the system's own program has it, for the zones of its tables.
    #[test]
    fn tables_are_read_as_the_system_reads_them() {
        let mut seen = 0;
        for name in [
            "Europe/Berlin",
            "America/New_York",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
        ] {
            let path = format!("/usr/share/zoneinfo/{name}");
            let Ok(bytes) = std::fs::read(&path) else {
                eprintln!("skipped: there is no {path}");
                continue;
            };
            let zone = Zone::parse(&bytes).expect("a table");
            for end in 0..bytes.len() {
                // No part of it is more than it, and none makes it panic.
                Zone::parse(&bytes[..end]);
            }
            for time in [
                -2_000_000_000,
                0,
                1_000_000_000,
                1_782_000_000,
                1_795_000_000,
            ] {
                let output = Command::new("date")
                    .env("TZ", name)
                    .args(["-d", &format!("@{time}"), "+%::z"])
                    .output();
                let Ok(output) = output else {
                    continue;
                };
                let offset = zone.offset(time);
                let (sign, rest) = if offset < 0 {
                    ('-', -offset)
                } else {
                    ('+', offset)
                };
                let (hours, minutes) = (rest / 3_600, rest / 60 % 60);
                let expected = format!("{sign}{hours:02}:{minutes:02}:{:02}\n", rest % 60);
                assert_eq!(
                    String::from_utf8_lossy(&output.stdout),
                    expected,
                    "{name} {time}"
                );
                seen += 1;
            }
        }
        eprintln!("{seen} offsets were compared");
    }
}
