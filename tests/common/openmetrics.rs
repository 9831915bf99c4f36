//! A strict reader of the OpenMetrics text format 1.0.0, for the types that are used.

use std::collections::{BTreeMap, BTreeSet};

/// What a text says.
#[derive(Debug)]
pub struct Exposition {
    /// Type, unit and help text of each family.
    pub families: BTreeMap<String, Family>,
    samples: BTreeMap<String, f64>,
}

/// What is said of a family.
#[derive(Debug, Default)]
pub struct Family {
    /// `counter`, `gauge`, `histogram` or `info`.
    pub kind: String,
    /// The unit, if one is named.
    pub unit: Option<String>,
    /// The help text.
    pub help: Option<String>,
}

impl Exposition {
    /// Reads a text.
    ///
    /// # Panics
    ///
    /// If anything in it is not as the format demands.
    #[track_caller]
    pub fn parse(text: &str) -> Exposition {
        let body = text
            .strip_suffix("# EOF\n")
            .expect("the text ends with # EOF and a line end");
        let mut reader = Reader::default();
        for line in body.lines() {
            match line.strip_prefix("# ") {
                Some(descriptor) => reader.descriptor(descriptor),
                None => reader.sample(line),
            }
        }
        reader.end_family();
        Exposition {
            families: reader.families,
            samples: reader.samples,
        }
    }

    /// The value of a sample, written as in the text: `name{label="value"}`.
    #[track_caller]
    pub fn value(&self, sample: &str) -> f64 {
        match self.samples.get(sample) {
            Some(value) => *value,
            None => panic!("no sample {sample} in {self:#?}"),
        }
    }

    /// Whether there is such a sample.
    pub fn has(&self, sample: &str) -> bool {
        self.samples.contains_key(sample)
    }
}

#[derive(Default)]
struct Reader {
    families: BTreeMap<String, Family>,
    samples: BTreeMap<String, f64>,
    /// The family that the lines are in.
    current: String,
    /// The samples of the current family.
    group: Vec<Sample>,
}

/// A sample: what its name has beyond its family's, its labels, its value.
type Sample = (String, Vec<(String, String)>, f64);

impl Reader {
    #[track_caller]
    fn descriptor(&mut self, line: &str) {
        let mut parts = line.splitn(3, ' ');
        let mut part = || parts.next().unwrap_or_else(|| panic!("cut off: {line:?}"));
        let (keyword, name, text) = (part(), part(), part());
        assert!(is_name(name), "{line:?}");
        if name != self.current {
            self.end_family();
            assert!(!self.families.contains_key(name), "{name} is there twice");
            name.clone_into(&mut self.current);
        }
        assert!(self.group.is_empty(), "{line:?} stands behind samples");
        let family = self.families.entry(name.to_owned()).or_default();
        match keyword {
            "TYPE" => {
                assert!(family.kind.is_empty(), "a second {line:?}");
                assert!(
                    ["counter", "gauge", "histogram", "info"].contains(&text),
                    "{line:?}"
                );
                text.clone_into(&mut family.kind);
            }
            "UNIT" => {
                assert!(name.ends_with(&format!("_{text}")), "{line:?}");
                assert_eq!(family.unit.replace(text.to_owned()), None, "{line:?}");
            }
            "HELP" => {
                assert!(!text.contains(['\\', '"']), "{line:?} may need escapes");
                assert_eq!(family.help.replace(text.to_owned()), None, "{line:?}");
            }
            _ => panic!("unknown descriptor: {line:?}"),
        }
    }

    #[track_caller]
    fn sample(&mut self, line: &str) {
        let (name_and_labels, value) = line.rsplit_once(' ').expect("a sample has a value");
        let (name, labels) = match name_and_labels.split_once('{') {
            None => (name_and_labels, Vec::new()),
            Some((name, rest)) => {
                let labels = rest.strip_suffix('}').expect("labels end with a brace");
                (name, labels.split(',').map(label).collect())
            }
        };
        let names: BTreeSet<&String> = labels.iter().map(|(name, _)| name).collect();
        assert_eq!(
            names.len(),
            labels.len(),
            "a label is there twice: {line:?}"
        );
        let suffix = name
            .strip_prefix(self.current.as_str())
            .unwrap_or_else(|| panic!("{line:?} is not of the family {}", self.current));
        assert!(is_name(name), "{line:?}");
        let value: f64 = match value {
            "+Inf" | "-Inf" | "NaN" => panic!("{line:?}: not a value that we have"),
            value => value.parse().unwrap_or_else(|e| panic!("{line:?}: {e}")),
        };
        assert!(value.is_finite(), "{line:?}");
        let earlier = self.samples.insert(name_and_labels.to_owned(), value);
        assert_eq!(earlier, None, "{line:?} is there twice");
        self.group.push((suffix.to_owned(), labels, value));
    }

    /// Checks what a family has.
    #[track_caller]
    fn end_family(&mut self) {
        let group = std::mem::take(&mut self.group);
        if self.current.is_empty() {
            return;
        }
        let name = &self.current;
        let family = &self.families[name];
        assert!(family.help.is_some(), "{name} has no help text");
        match family.kind.as_str() {
            "gauge" => {
                for (suffix, labels, _) in &group {
                    assert_eq!(suffix, "", "{name} {labels:?}");
                }
            }
            "info" => {
                for (suffix, labels, value) in &group {
                    assert_eq!(
                        (suffix.as_str(), *value),
                        ("_info", 1.0),
                        "{name} {labels:?}"
                    );
                }
            }
            "counter" => {
                for pair in group.chunks(2) {
                    let [(total, labels, value), (created, same, _)] = pair else {
                        panic!("{name}: a sample without its pair");
                    };
                    assert_eq!((&total[..], &created[..]), ("_total", "_created"), "{name}");
                    assert_eq!(labels, same, "{name}");
                    assert!(*value >= 0.0, "{name}");
                }
            }
            "histogram" => check_histogram(name, &group),
            kind => panic!("{name} is of no type: {kind:?}"),
        }
    }
}

/// Each label set: rising buckets up to +Inf, then count, sum, time of creation.
#[track_caller]
fn check_histogram(name: &str, group: &[Sample]) {
    let mut lines = group.iter().peekable();
    assert!(lines.peek().is_some(), "{name} has no samples");
    while lines.peek().is_some() {
        let (mut last_bound, mut last_count) = (f64::NEG_INFINITY, 0.0);
        let mut set = None;
        while let Some((_, labels, count)) = lines.next_if(|line| line.0 == "_bucket") {
            let (le, rest) = labels.split_last().expect("a bucket has its bound");
            assert_eq!(le.0, "le", "{name}");
            assert_eq!(set.get_or_insert(rest), &rest, "{name}: mixed label sets");
            let bound = match le.1.as_str() {
                "+Inf" => f64::INFINITY,
                text => {
                    assert!(
                        text.contains(['.', 'e']),
                        "{name}: {text} is no canonical float"
                    );
                    text.parse().expect("a bound is a number")
                }
            };
            assert!(
                bound > last_bound && *count >= last_count,
                "{name} {labels:?}"
            );
            (last_bound, last_count) = (bound, *count);
        }
        assert_eq!(last_bound, f64::INFINITY, "{name}: no bucket for all");
        for suffix in ["_count", "_sum", "_created"] {
            let line = lines
                .next()
                .expect("count, sum and time follow the buckets");
            assert_eq!(
                (line.0.as_str(), Some(&line.1[..])),
                (suffix, set),
                "{name}"
            );
            assert!(suffix != "_count" || line.2 == last_count, "{name}: count");
        }
    }
}

/// A label with its value, which must not need escapes.
#[track_caller]
fn label(text: &str) -> (String, String) {
    let (name, value) = text.split_once('=').expect("a label has a value");
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    let value = value.expect("a label's value is quoted");
    assert!(is_name(name) && !name.contains(':'), "{text:?}");
    assert!(!value.contains(['"', '\\', '{', '}']), "{text:?}");
    (name.to_owned(), value.to_owned())
}

fn is_name(text: &str) -> bool {
    !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':'))
}
