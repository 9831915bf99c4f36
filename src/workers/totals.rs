//! The metrics of several processes as those of one: counters are added, gauges have the name
//! of their process.

use std::fmt::{self, Display, Write};

/// What is added.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Number {
    Whole(u64),
    Other(f64),
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        let whole = text.parse().ok().map(Self::Whole);
        whole.or_else(|| text.parse().ok().map(Self::Other))
    }

    fn value(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Other(number) => number,
        }
    }

    fn plus(self, other: Self) -> Self {
        match (self, other) {
            (Self::Whole(a), Self::Whole(b)) => Self::Whole(a.saturating_add(b)),
            (a, b) => Self::Other(a.value() + b.value()),
        }
    }

    fn least(self, other: Self) -> Self {
        if other.value() < self.value() {
            return other;
        }
        self
    }
}

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(number) => number.fmt(f),
            Self::Other(number) => number.fmt(f),
        }
    }
}

/// A family: its lines of comment, and its samples by what stands before the value.
#[derive(Clone, Debug, Default)]
struct Family {
    name: String,
    kind: String,
    head: String,
    samples: Vec<(String, Number)>,
}

impl Family {
    fn add(&mut self, key: String, number: Number) {
        let is_time = key
            .split('{')
            .next()
            .is_some_and(|name| name.ends_with("_created"));
        match self.samples.iter_mut().find(|(other, _)| *other == key) {
            Some((_, sum)) if self.kind == "info" => *sum = number,
            Some((_, sum)) if is_time => *sum = sum.least(number),
            Some((_, sum)) => *sum = sum.plus(number),
            None => self.samples.push((key, number)),
        }
    }
}

/// Sums of what processes have counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    families: Vec<Family>,
}

impl Totals {
    /// Adds what a process that has ended had counted.
    pub(super) fn retire(&mut self, text: &str) {
        self.read(text, None);
    }

    /// Adds what a process that runs has counted; its gauges get this name.
    pub(super) fn add(&mut self, text: &str, name: &str) {
        self.read(text, Some(name));
    }

    fn read(&mut self, text: &str, name: Option<&str>) {
        let mut family = usize::MAX;
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let mut words = comment.splitn(3, ' ');
                let (what, of) = (words.next(), words.next().unwrap_or_default());
                let is_new = what == Some("TYPE");
                if is_new {
                    family = self.family(of, words.next().unwrap_or_default());
                }
                if let Some(family) = self.families.get_mut(family)
                    && family.name == of
                    && !family.head.lines().any(|known| known == line)
                {
                    family.head.push_str(line);
                    family.head.push('\n');
                }
                continue;
            }
            let Some(family) = self.families.get_mut(family) else {
                continue;
            };
            let Some((key, value)) = line.rsplit_once(' ') else {
                continue;
            };
            let Some(number) = Number::parse(value) else {
                continue;
            };
            match (&*family.kind, name) {
                ("counter" | "histogram", _) | ("info", Some(_)) => {
                    family.add(key.to_owned(), number);
                }
                (_, Some(name)) => family.add(named(key, name), number),
                (_, None) => {}
            }
        }
    }

    /// The place of a family, which is made if there is none.
    fn family(&mut self, name: &str, kind: &str) -> usize {
        let known = self.families.iter().position(|family| family.name == name);
        known.unwrap_or_else(|| {
            self.families.push(Family {
                name: name.to_owned(),
                kind: kind.to_owned(),
                ..Family::default()
            });
            self.families.len() - 1
        })
    }

    /// The text of all, without its end.
    pub(super) fn write(&self, out: &mut String) {
        for family in &self.families {
            out.push_str(&family.head);
            for (key, number) in &family.samples {
                // Writing into a string cannot fail.
                let _ = writeln!(out, "{key} {number}");
            }
        }
    }
}

/// A sample with the name of its process among its labels.
fn named(key: &str, name: &str) -> String {
    match key.split_once('{') {
        Some((family, labels)) => format!("{family}{{worker=\"{name}\",{labels}"),
        None => format!("{key}{{worker=\"{name}\"}}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "# TYPE a info\n# HELP a What.\na_info{version=\"1\"} 1\n\
        # TYPE b counter\n# HELP b How often.\nb_total{m=\"x\"} 2\nb_created{m=\"x\"} 50\n\
        # TYPE c gauge\n# HELP c How many.\nc 3\n\
        # TYPE d gauge\n# HELP d By state.\nd{state=\"on\"} 4\n\
        # TYPE e histogram\n# HELP e Times.\n# UNIT e seconds\n\
        e_bucket{le=\"0.5\"} 1\ne_bucket{le=\"+Inf\"} 2\ne_count 2\ne_sum 0.75\ne_created 50\n# EOF\n";
    const SECOND: &str = "# TYPE a info\n# HELP a What.\na_info{version=\"1\"} 1\n\
        # TYPE b counter\n# HELP b How often.\nb_total{m=\"x\"} 5\nb_created{m=\"x\"} 40\n\
        b_total{m=\"y\"} 1\nb_created{m=\"y\"} 60\n\
        # TYPE c gauge\n# HELP c How many.\nc 7\n\
        # TYPE e histogram\n# HELP e Times.\n# UNIT e seconds\n\
        e_bucket{le=\"0.5\"} 3\ne_bucket{le=\"+Inf\"} 3\ne_count 3\ne_sum 0.5\ne_created 40\n\
        # TYPE f gauge\n# HELP f Only here.\nf 1\n# EOF\n";

    #[test]
    fn counters_are_added_and_gauges_named() {
        let mut totals = Totals::default();
        totals.add(FIRST, "0");
        totals.add(SECOND, "1");
        let mut text = String::new();
        totals.write(&mut text);
        let expected = "# TYPE a info\n# HELP a What.\na_info{version=\"1\"} 1\n\
            # TYPE b counter\n# HELP b How often.\nb_total{m=\"x\"} 7\nb_created{m=\"x\"} 40\n\
            b_total{m=\"y\"} 1\nb_created{m=\"y\"} 60\n\
            # TYPE c gauge\n# HELP c How many.\nc{worker=\"0\"} 3\nc{worker=\"1\"} 7\n\
            # TYPE d gauge\n# HELP d By state.\nd{worker=\"0\",state=\"on\"} 4\n\
            # TYPE e histogram\n# HELP e Times.\n# UNIT e seconds\n\
            e_bucket{le=\"0.5\"} 4\ne_bucket{le=\"+Inf\"} 5\ne_count 5\ne_sum 1.25\ne_created 40\n\
            # TYPE f gauge\n# HELP f Only here.\nf{worker=\"1\"} 1\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn what_has_ended_stays_in_the_counters() {
        let mut ended = Totals::default();
        ended.retire(FIRST);
        ended.retire(SECOND);
        let others = ended
            .families
            .iter()
            .filter(|family| family.kind == "gauge");
        assert!(
            others
                .map(|family| family.samples.len())
                .all(|kept| kept == 0)
        );
        let mut totals = ended.clone();
        totals.add(FIRST, "0");
        let mut text = String::new();
        totals.write(&mut text);
        for line in [
            "b_total{m=\"x\"} 9",
            "e_count 7",
            "c{worker=\"0\"} 3",
            "e_sum 2",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in {text}");
        }
        assert_eq!(text.matches("# TYPE c gauge").count(), 1);
        assert!(!text.contains("c 7"), "{text}");
    }

    #[test]
    fn large_counters_lose_nothing() {
        let text = "# TYPE b counter\nb_total 9007199254740993\n";
        let mut totals = Totals::default();
        totals.add(text, "0");
        totals.add(text, "1");
        let mut out = String::new();
        totals.write(&mut out);
        assert!(out.ends_with("b_total 18014398509481986\n"), "{out}");
    }
}
