//! The statements of the protocol documents and the facts about the peer, and which of
//! them no scenario covers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::scenario::Scenario;

/// The lists, in the order in which they are reported.
const LISTS: [&str; 4] = ["client", "service", "res", "peer"];

/// Every statement by its ID, which begins with the name of its list and a dot.
pub fn read(folder: &Path) -> Result<BTreeMap<String, String>, String> {
    let mut all = BTreeMap::new();
    for list in LISTS {
        let path = folder.join(format!("{list}.txt"));
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (id, statement) = line.split_once(' ').unwrap_or((line, ""));
            if !id.starts_with(&format!("{list}.")) || statement.trim().is_empty() {
                return Err(format!("{list}.txt: no statement: {line}"));
            }
            if all
                .insert(id.to_owned(), statement.trim().to_owned())
                .is_some()
            {
                return Err(format!("{list}.txt: {id} stands there twice"));
            }
        }
    }
    Ok(all)
}

/// IDs that scenarios name and no list has, with the scenario.
pub fn unknown(statements: &BTreeMap<String, String>, scenarios: &[Scenario]) -> Vec<String> {
    let named = scenarios
        .iter()
        .flat_map(|s| s.covers.iter().map(move |id| (id, s)));
    named
        .filter(|(id, _)| !statements.contains_key(*id))
        .map(|(id, s)| format!("{}: no statement {id}", s.place))
        .collect()
}

/// What is covered of each list, and the statements without a scenario.
pub fn report(statements: &BTreeMap<String, String>, scenarios: &[Scenario]) -> String {
    let covered: BTreeSet<&String> = scenarios.iter().flat_map(|s| &s.covers).collect();
    let mut out = String::new();
    for list in LISTS {
        let prefix = format!("{list}.");
        let of_list = || statements.keys().filter(|id| id.starts_with(&prefix));
        let with = of_list().filter(|id| covered.contains(id)).count();
        out.push_str(&format!(
            "{list}: {with} of {} statements have a scenario\n",
            of_list().count()
        ));
        for id in of_list().filter(|id| !covered.contains(id)) {
            out.push_str(&format!("  without: {id} {}\n", statements[id]));
        }
    }
    out
}
