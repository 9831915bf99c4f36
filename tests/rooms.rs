//! The map of the house is true: docs/ARCHITECTURE.md has a table of rooms and of what each
//! may use, and no file of src/ reaches into another room than that, nor is an arrow drawn
//! that nobody goes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module path below the crate, such as `gateway::model`.
type Room = String;

/// The table behind this line of the document is the map.
const MARK: &str = "<!-- rooms -->";

#[test]
fn no_arrow_goes_against_the_map() {
    let map = Map::read();
    let mut gone: BTreeMap<(Room, Room), PathBuf> = BTreeMap::new();
    for (file, module, text) in sources() {
        let here = map.room(&module).unwrap_or_else(|| {
            panic!("{} is in no room of the map: add a row", file.display());
        });
        for path in paths_used(&module, &text) {
            let there = map.room(&path);
            let there = there.unwrap_or_else(|| panic!("{} uses {path}: no room", file.display()));
            if there != here {
                gone.insert((here.clone(), there), file.clone());
            }
        }
    }
    // Where a row names what is above several rooms, it means any of them.
    let is_within = |room: &str, above: &str| {
        let rest = room.strip_prefix(above);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::") && !map.has(above))
    };
    let covers = |(from, to): &(Room, Room), arrow: &(Room, Room)| {
        *from == arrow.0 && is_within(&arrow.1, to)
    };
    let allowed: BTreeSet<_> = map.arrows().collect();
    let wrong: Vec<_> = gone
        .iter()
        .filter(|(arrow, _)| !allowed.iter().any(|row| covers(row, arrow)))
        .map(|((from, to), file)| format!("{from} uses {to} in {}", file.display()))
        .collect();
    assert!(wrong.is_empty(), "against the map:\n{}", wrong.join("\n"));
    let idle: Vec<_> = allowed
        .iter()
        .filter(|row| !gone.keys().any(|arrow| covers(row, arrow)))
        .collect();
    assert!(
        idle.is_empty(),
        "the map lets go where nobody goes: {idle:?}"
    );
}

#[test]
fn the_map_has_no_circle() {
    let map = Map::read();
    let order: Vec<&Room> = map.rows.iter().map(|(room, _)| room).collect();
    for (place, (room, uses)) in map.rows.iter().enumerate() {
        for other in uses {
            let is_meant = |above: &&&Room| above.strip_prefix(other.as_str()).is_some();
            let above = order[..place].contains(&other);
            let behind = order[place..].iter().find(is_meant);
            assert!(
                above || !map.has(other) && behind.is_none(),
                "{room} may use {other}, which does not stand above it"
            );
        }
    }
}

#[test]
fn paths_are_found_in_all_forms() {
    let text = r#"
        use crate::{res::{Error, json as j}, http::Head};
        use super::super::model::{self, keys};
        pub use sibling::Thing;
        mod sibling;
        // use crate::not::this;
        fn f() { let x = "crate::nor::this"; crate::logging::init(); super::parts::g(); }
        #[cfg(test)]
        mod tests { use crate::only::tests; }
    "#;
    let found = paths_used("gateway::wing::file", text);
    let expected = [
        "gateway::model",
        "gateway::model::keys",
        "gateway::wing::file::sibling::Thing",
        "gateway::wing::parts::g",
        "http::Head",
        "logging::init",
        "res::Error",
        "res::json",
    ];
    assert_eq!(found, BTreeSet::from(expected.map(String::from)));
}

/// Rooms in the order of the document, with what each may use.
struct Map {
    rows: Vec<(Room, Vec<Room>)>,
}

impl Map {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let document = std::fs::read_to_string(root.join("docs/ARCHITECTURE.md")).unwrap();
        let (_, table) = document.split_once(MARK).expect("the document has the map");
        let rows = table.lines().skip_while(|line| !line.starts_with("| `"));
        let rows = rows.take_while(|line| line.starts_with('|')).map(|line| {
            let mut cells = line.trim_matches('|').split('|');
            let mut names = || {
                let cell = cells.next().unwrap_or_default();
                let quoted = cell.split('`').skip(1).step_by(2);
                quoted.map(String::from).collect::<Vec<Room>>()
            };
            let (rooms, uses) = (names(), names());
            assert_eq!(rooms.len(), 1, "a row is one room: {line}");
            (rooms[0].clone(), uses)
        });
        Self {
            rows: rows.collect(),
        }
    }

    fn arrows(&self) -> impl Iterator<Item = (Room, Room)> {
        let rows = self.rows.iter();
        rows.flat_map(|(from, uses)| uses.iter().map(|to| (from.clone(), to.clone())))
    }

    /// Whether there is a room of this name.
    fn has(&self, room: &str) -> bool {
        self.rows.iter().any(|(other, _)| other == room)
    }

    /// The room that a path lies in: the longest that it begins with. What a room offers by
    /// its own name (`gateway::Gateway`) is in that room.
    fn room(&self, path: &str) -> Option<Room> {
        let rooms = self.rows.iter().map(|(room, _)| room);
        let holds = |room: &&Room| {
            let rest = path.strip_prefix(room.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        rooms.filter(holds).max_by_key(|room| room.len()).cloned()
    }
}

/// All files of src/ with their module paths and texts, those of unit tests left out.
fn sources() -> Vec<(PathBuf, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut found) = (vec![root.clone()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // What is only for tests, and what only says what there is.
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if ["tests", "limits", "documents", "lib", "main"].contains(&&*name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let place = path.strip_prefix(&root).unwrap().with_extension("");
                let parts = place.iter().map(|part| part.to_str().unwrap());
                let parts: Vec<&str> = parts.filter(|part| *part != "mod").collect();
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.clone(), parts.join("::"), text));
            }
        }
    }
    found
}

/// The paths of the crate that a file names outside its unit tests, in full.
fn paths_used(module: &str, text: &str) -> BTreeSet<String> {
    let text = code(text);
    let children: Vec<String> = declared_modules(&text);
    let mut found = BTreeSet::new();
    let mut rest = &text[..];
    while let Some(at) = rest.find(|c: char| c.is_alphabetic() || c == '_') {
        let before = rest[..at].chars().next_back();
        let word_end = rest[at..]
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .map_or(rest.len(), |end| at + end);
        let (word, after) = (&rest[at..word_end], &rest[word_end..]);
        let is_head = before != Some(':') && after.starts_with("::");
        let base = match word {
            "crate" => Some(String::new()),
            "super" => Some(parent(module)),
            "self" => Some(module.to_owned()),
            _ if children.iter().any(|child| child == word) => Some(join(module, word)),
            _ => None,
        };
        rest = after;
        if let (true, Some(base)) = (is_head, base) {
            rest = read_tree(&base, &after[2..], &mut found);
        }
    }
    found
}

/// Reads what follows `base::`, a path or a tree of paths; returns what comes behind.
fn read_tree<'t>(base: &str, text: &'t str, found: &mut BTreeSet<String>) -> &'t str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
            let behind = read_tree(base, rest, found);
            assert!(behind.len() < rest.len(), "no path: {rest:.60}");
            // What is renamed.
            let behind = behind.trim_start();
            rest = match behind.strip_prefix("as ") {
                Some(name) => name.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
                None => behind,
            };
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '*');
    let (word, rest) = text.split_at(end.unwrap_or(text.len()));
    let path = match word {
        "self" | "*" => base.to_owned(),
        "super" => parent(base),
        _ => join(base, word),
    };
    match rest.strip_prefix("::") {
        Some(rest) if rest.starts_with(|c: char| c.is_alphabetic() || "_{*".contains(c)) => {
            read_tree(&path, rest, found)
        }
        _ => {
            found.insert(path);
            rest
        }
    }
}

fn join(base: &str, word: &str) -> String {
    match base {
        "" => word.to_owned(),
        _ => format!("{base}::{word}"),
    }
}

fn parent(module: &str) -> String {
    module
        .rsplit_once("::")
        .map_or("", |(parent, _)| parent)
        .to_owned()
}

fn declared_modules(text: &str) -> Vec<String> {
    let declarations = text.split("mod ").skip(1);
    let names = declarations.filter_map(|rest| rest.split_once(';').map(|(name, _)| name.trim()));
    names
        .filter(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
        .map(String::from)
        .collect()
}

/// The text without comments, strings, bounds of visibility, and the unit tests at its end.
fn code(text: &str) -> String {
    let text = &text.replace("pub(in crate::", "pub(in ");
    let text = text.split("#[cfg(test)]\nmod tests {").next();
    let text = text.unwrap_or_default();
    let text = text.split("#[cfg(test)]\n        mod tests {").next();
    let mut out = String::new();
    for line in text.unwrap_or_default().lines() {
        let mut in_string = false;
        let mut before = ' ';
        let mut characters = line.chars().peekable();
        while let Some(c) = characters.next() {
            if !in_string && c == '/' && characters.peek() == Some(&'/') {
                break;
            }
            if c == '"' && before != '\\' && before != '\'' {
                in_string = !in_string;
            } else if !in_string {
                out.push(c);
            }
            before = if c == '\\' && before == '\\' { ' ' } else { c };
        }
        out.push('\n');
    }
    out
}
