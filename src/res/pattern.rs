//! Resource name patterns of system events (RES-Service protocol, "Resource name pattern").

use super::rid::is_token;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::num::NonZero;

/// A parsed pattern: parts divided by dots, `*` for any part, a last `>` for any tail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    wild: bool,
}

impl Pattern {
    /// Reads a pattern; `None` when it is not valid.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').peekable();
        let mut wild = false;
        while let Some(part) = parts.next() {
            match part {
                "*" => wild = true,
                ">" if parts.peek().is_none() => wild = true,
                _ if is_token(part) => {}
                _ => return None,
            }
        }
        Some(Self {
            text: text.into(),
            wild,
        })
    }

    /// The pattern as it was read.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The one name that it matches, if it has no wildcard.
    pub fn exact(&self) -> Option<&str> {
        (!self.wild).then_some(&self.text)
    }

    /// Whether a resource name matches.
    pub fn matches(&self, name: &str) -> bool {
        if !self.wild {
            return *self.text == *name;
        }
        let mut parts = name.split('.');
        for pattern in self.text.split('.') {
            match (pattern, parts.next()) {
                (_, None) => return false,
                (">", Some(_)) => return true,
                ("*", Some(_)) => {}
                (literal, Some(part)) if literal != part => return false,
                _ => {}
            }
        }
        parts.next().is_none()
    }
}

/// Many patterns, looked through at once: what they begin with alike is compared once.
///
/// They may be as many as fit into a message, so that a node has no memory of its own.
#[derive(Debug, Default)]
pub struct PatternSet {
    /// The first is the root. Each path of parts leads to a node of its own.
    nodes: Vec<Node>,
    /// What leads from a node to the next one, by the node and the name of the part.
    named: HashTable<Edge>,
    /// The names of all parts that are in `named`.
    texts: String,
    hasher: foldhash::fast::RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// The node behind any part.
    any: Option<NonZero<u32>>,
    /// Whether a pattern ends here.
    ends: bool,
    /// Whether a pattern goes on with any tail.
    tail: bool,
}

/// A part that is named, between two nodes.
#[derive(Clone, Copy, Debug)]
struct Edge {
    from: u32,
    to: NonZero<u32>,
    /// Where its name is among the texts.
    start: u32,
    length: u32,
}

impl Edge {
    fn name(self, texts: &str) -> &str {
        &texts[self.start as usize..][..self.length as usize]
    }
}

impl PatternSet {
    /// A set of these patterns.
    pub fn new<'a>(patterns: impl IntoIterator<Item = &'a Pattern>) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            set.insert(pattern);
        }
        set
    }

    /// Adds a pattern.
    pub fn insert(&mut self, pattern: &Pattern) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for part in pattern.text.split('.') {
            // No message is so long that there could be more.
            let Some(new) = u32::try_from(self.nodes.len()).ok().and_then(NonZero::new) else {
                return;
            };
            let next = match part {
                ">" => {
                    self.nodes[at as usize].tail = true;
                    return;
                }
                "*" => *self.nodes[at as usize].any.get_or_insert(new),
                _ => self.edge(at, part, new),
            };
            if next == new {
                self.nodes.push(Node::default());
            }
            at = next.get();
        }
        self.nodes[at as usize].ends = true;
    }

    /// The node behind a part that is named, which is a new one if there is none.
    fn edge(&mut self, from: u32, part: &str, new: NonZero<u32>) -> NonZero<u32> {
        let Self {
            named,
            texts,
            hasher,
            ..
        } = self;
        let is_it = |edge: &Edge| edge.from == from && edge.name(texts) == part;
        let hash = |edge: &Edge| hasher.hash_one((edge.from, edge.name(texts)));
        let edge = Edge {
            from,
            to: new,
            start: texts.len() as u32,
            length: part.len() as u32,
        };
        let entry = named.entry(hasher.hash_one((from, part)), is_it, hash);
        let found = entry.or_insert(edge).get().to;
        if found == new {
            texts.push_str(part);
        }
        found
    }

    /// The node behind a part that is named.
    fn next(&self, from: u32, part: &str) -> Option<NonZero<u32>> {
        let is_it = |edge: &Edge| edge.from == from && edge.name(&self.texts) == part;
        let edge = self.named.find(self.hasher.hash_one((from, part)), is_it);
        edge.map(|edge| edge.to)
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether any of the patterns matches a resource name. `steps` grows by the nodes
    /// that were looked at: none twice, so never more than the patterns have parts.
    pub fn matches(&self, name: &str, steps: &mut usize) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut open = vec![(0, Some(name))];
        while let Some((at, rest)) = open.pop() {
            *steps += 1;
            let node = &self.nodes[at as usize];
            let Some(rest) = rest else {
                if node.ends {
                    return true;
                }
                continue;
            };
            if node.tail {
                return true;
            }
            let (part, rest) = match rest.split_once('.') {
                Some((part, rest)) => (part, Some(rest)),
                None => (rest, None),
            };
            let named = self.next(at, part);
            open.extend(
                node.any
                    .into_iter()
                    .chain(named)
                    .map(|next| (next.get(), rest)),
            );
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_by_parts() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.B", false),
            ("a.b", "a", false),
            ("a.b", "a.b.c", false),
            ("*", "a", true),
            ("*", "a.b", false),
            ("a.*.c", "a.b.c", true),
            ("a.*.c", "a.c", false),
            ("a.*", "a.b", true),
            ("a.*", "ab.b", false),
            (">", "a", true),
            (">", "a.b.c", true),
            ("a.>", "a", false),
            ("a.>", "a.b", true),
            ("a.>", "a.b.c", true),
            ("*.b.>", "a.b.c.d", true),
            ("*.b.>", "a.b", false),
        ] {
            let parsed = Pattern::parse(pattern).expect(pattern);
            assert_eq!(parsed.matches(name), expected, "{pattern} against {name}");
        }
    }

    #[test]
    fn refuses_what_is_no_pattern() {
        for text in [
            "", ".", "a.", "a..b", "a*", "*a", ">a", "a.>.b", ">.", "a b", "a?", "å",
        ] {
            assert_eq!(Pattern::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn knows_whether_it_names_one_resource() {
        assert_eq!(Pattern::parse("a.b").unwrap().exact(), Some("a.b"));
        assert_eq!(Pattern::parse("a.*").unwrap().exact(), None);
    }

    #[test]
    fn a_set_matches_what_one_of_its_patterns_matches() {
        let parts = ["a", "b", "*", ">"];
        let mut patterns: Vec<Pattern> = Vec::new();
        for first in parts {
            patterns.extend(Pattern::parse(first));
            for second in parts {
                patterns.extend(Pattern::parse(&format!("{first}.{second}")));
                for third in parts {
                    patterns.extend(Pattern::parse(&format!("{first}.{second}.{third}")));
                }
            }
        }
        let names = [
            "a", "b", "c", "a.b", "b.c", "c.c", "a.b.c", "b.a.a", "c.b.a", "a.a.a.a",
        ];
        // Every pair of patterns, and all at once.
        for one in &patterns {
            for other in &patterns {
                let set = PatternSet::new([one, other]);
                for name in names {
                    let expected = one.matches(name) || other.matches(name);
                    let found = set.matches(name, &mut 0);
                    assert_eq!(found, expected, "{} {} {name}", one.text, other.text);
                }
            }
        }
        let exact = patterns.iter().filter(|pattern| pattern.exact().is_some());
        let set = PatternSet::new(exact.clone());
        for name in names {
            let expected = exact.clone().any(|pattern| pattern.matches(name));
            assert_eq!(set.matches(name, &mut 0), expected, "{name}");
        }
        assert!(!PatternSet::default().matches("a", &mut 0));
    }

    #[test]
    fn the_steps_of_a_match_do_not_grow_with_the_patterns_that_differ_early() {
        let patterns: Vec<Pattern> = (0..1_000)
            .filter_map(|n| Pattern::parse(&format!("service{n}.*.item.>")))
            .collect();
        let set = PatternSet::new(&patterns);
        let mut steps = 0;
        assert!(set.matches("service7.x.item.y", &mut steps));
        assert!(steps <= 5, "{steps}");
    }
}
