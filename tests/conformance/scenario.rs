//! Scenario files: blocks of lines, described in `README.md` beside this file.

use std::path::Path;

use crate::gateway::Side;

/// What a step is checked or given beside its own line.
#[derive(Debug, Clone)]
pub struct Detail {
    /// `+`: a header line; `-`: a header that must be absent; `~`: text of the body.
    pub mark: char,
    pub text: String,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    pub line: usize,
    /// Set if only one gateway does this.
    pub only: Option<Side>,
    /// How often it is done.
    pub times: usize,
    pub text: String,
    pub details: Vec<Detail>,
}

/// One scenario; a table row makes one each.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// File name and line.
    pub place: String,
    pub title: String,
    /// Statements that it covers.
    pub covers: Vec<String>,
    /// Rows of docs/COMPATIBILITY.md that explain steps of one gateway only.
    pub differs: Vec<String>,
    pub flags: Vec<String>,
    /// Content of the configuration file, if there is one from the start.
    pub config: Option<String>,
    /// Version that clients say in the handshake; none if there is no handshake.
    pub protocol: Option<String>,
    /// Needs a gateway process of its own.
    pub alone: bool,
    pub steps: Vec<Step>,
}

/// Reads all scenarios of a folder, files in the order of their names.
pub fn read_all(folder: &Path) -> Result<Vec<Scenario>, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut files: Vec<_> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    let mut all = Vec::new();
    for file in files {
        let text =
            std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        all.extend(parse(&name, &text)?);
    }
    Ok(all)
}

/// A block before its table is applied.
struct Block {
    scenario: Scenario,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

/// Reads one file.
pub fn parse(file: &str, text: &str) -> Result<Vec<Scenario>, String> {
    let mut blocks: Vec<Block> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        let place = format!("{file}:{}", index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let rest = rest.trim();
        if word == "scenario" {
            blocks.push(Block {
                scenario: Scenario {
                    place,
                    title: rest.to_owned(),
                    covers: Vec::new(),
                    differs: Vec::new(),
                    flags: Vec::new(),
                    config: None,
                    protocol: Some("1.2.3".to_owned()),
                    alone: false,
                    steps: Vec::new(),
                },
                columns: Vec::new(),
                rows: Vec::new(),
            });
            continue;
        }
        let Some(block) = blocks.last_mut() else {
            return Err(format!("{place}: no scenario has begun"));
        };
        let scenario = &mut block.scenario;
        match word {
            "covers" => scenario.covers.extend(rest.split(' ').map(str::to_owned)),
            "differs" => scenario.differs.push(rest.to_owned()),
            "flags" => scenario.flags.extend(rest.split(' ').map(str::to_owned)),
            "config" => scenario.config = Some(rest.to_owned()),
            "protocol" => {
                scenario.protocol = (rest != "none").then(|| rest.to_owned());
            }
            "alone" => scenario.alone = true,
            "each" => block.columns = cells(rest),
            "|" => {
                let row = cells(rest);
                if row.len() != block.columns.len() {
                    return Err(format!("{place}: not as many cells as columns"));
                }
                block.rows.push(row);
            }
            "+" | "-" | "~" => {
                let Some(step) = scenario.steps.last_mut() else {
                    return Err(format!("{place}: no step that this belongs to"));
                };
                step.details.push(Detail {
                    mark: word.chars().next().unwrap_or('+'),
                    text: rest.to_owned(),
                });
            }
            _ => scenario.steps.push(step(index + 1, line)),
        }
    }
    Ok(blocks.into_iter().flat_map(expand).collect())
}

fn step(line: usize, text: &str) -> Step {
    let mut text = text;
    let mut only = None;
    if let Some(rest) = text.strip_prefix("ours: ") {
        (only, text) = (Some(Side::Ours), rest);
    } else if let Some(rest) = text.strip_prefix("peer: ") {
        (only, text) = (Some(Side::Peer), rest);
    }
    let mut times = 1;
    if let Some((count, rest)) = text
        .strip_prefix("times ")
        .and_then(|rest| rest.split_once(": "))
        && let Ok(count) = count.parse()
    {
        (times, text) = (count, rest);
    }
    Step {
        line,
        only,
        times,
        text: text.trim().to_owned(),
        details: Vec::new(),
    }
}

fn cells(text: &str) -> Vec<String> {
    text.split(" | ").map(|c| c.trim().to_owned()).collect()
}

fn expand(block: Block) -> Vec<Scenario> {
    if block.rows.is_empty() {
        return vec![block.scenario];
    }
    let one = |row: &Vec<String>| {
        let put = |text: &str| {
            block
                .columns
                .iter()
                .zip(row)
                .fold(text.to_owned(), |text, (column, cell)| {
                    text.replace(&format!("<{column}>"), cell)
                })
        };
        let mut scenario = block.scenario.clone();
        scenario.title = put(&scenario.title);
        scenario.flags = scenario.flags.iter().map(|f| put(f)).collect();
        scenario.config = scenario.config.map(|c| put(&c));
        scenario.protocol = scenario.protocol.map(|p| put(&p)).filter(|p| p != "none");
        for step in &mut scenario.steps {
            step.text = put(&step.text);
            for detail in &mut step.details {
                detail.text = put(&detail.text);
            }
        }
        scenario
    };
    block.rows.iter().map(one).collect()
}

/// The text with the first part `test` of resource names made unique to a scenario. The
/// length stays.
pub fn localise(text: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("test") {
        let before = rest[..at].chars().next_back().or(out.chars().next_back());
        let after = &rest[at + 4..];
        let is_name = before.is_none_or(|c| !c.is_alphanumeric())
            && after.starts_with(['.', '/', '?', '%'])
            && !rest[..at].ends_with("gateway.");
        out.push_str(&rest[..at]);
        out.push_str(if is_name { prefix } else { "test" });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[test]
fn blocks_tables_and_names_are_read() {
    let text = "scenario A <x>\n covers a.b c.d\n each x | y\n | 1 | one\n | 2 | two\n\
                client > subscribe.test.<x>\nours: times 3: client < <y>\n + H: v\n";
    let got = parse("f.txt", text).expect("valid");
    assert_eq!(got.len(), 2);
    assert_eq!(got[1].title, "A 2");
    assert_eq!(got[1].covers, ["a.b", "c.d"]);
    assert_eq!(got[1].steps[0].text, "client > subscribe.test.2");
    let step = &got[1].steps[1];
    assert_eq!((step.only, step.times), (Some(Side::Ours), 3));
    assert_eq!(step.text, "client < two");
    assert_eq!(
        (step.details[0].mark, &*step.details[0].text),
        ('+', "H: v")
    );
    assert_eq!(
        localise("get.test.a /api/test/b attest.c test gateway.test.", "t001"),
        "get.t001.a /api/t001/b attest.c test gateway.test."
    );
}
