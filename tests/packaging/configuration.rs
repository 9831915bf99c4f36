//! The configuration that packages and manifests bring.

use crate::tools::{binary, read, run};

const MANIFEST: &str = "docs/packaging/kubernetes/tidegate.yaml";

/// Expects the gateway to take a file; what else it finds does not matter here.
fn expect_taken(path: &str) {
    let found = run(&binary(), &["--check", "--config", path]).expect("the binary is there");
    let first = found.said.lines().next().unwrap_or_default();
    assert_eq!(
        first,
        format!("ok     configuration: {path}"),
        "{}",
        found.said
    );
    // A member that it does not know would be of no use.
    assert!(!found.said.contains("note  "), "{}", found.said);
}

/// The number behind the first of these words in the manifest.
fn number(manifest: &str, word: &str) -> u64 {
    let (_, rest) = manifest
        .split_once(word)
        .unwrap_or_else(|| panic!("no {word}"));
    let digits = rest.trim_start_matches([' ', '"', ':']);
    let end = digits
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(digits.len());
    digits[..end]
        .parse()
        .unwrap_or_else(|_| panic!("no number behind {word}"))
}

#[test]
fn the_file_of_the_packages_is_taken() {
    expect_taken("docs/packaging/tidegate.json");
}

#[test]
fn the_file_of_the_manifest_is_taken() {
    let manifest = read(MANIFEST);
    let (_, behind) = manifest.split_once("tidegate.json: |\n").expect("the file");
    let lines = behind.lines().take_while(|line| line.starts_with("    "));
    let text: String = lines.map(|line| format!("{}\n", &line[4..])).collect();
    let path = format!("{}/packaging-manifest.json", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, text).expect("a file");
    expect_taken(&path);
}

#[test]
fn pods_have_the_time_that_draining_takes_and_the_version_of_this_source() {
    let manifest = read(MANIFEST);
    let drain = number(&manifest, "\"drainTime\"") / 1_000;
    let sleep = number(&manifest, "seconds:");
    let grace = number(&manifest, "terminationGracePeriodSeconds:");
    assert!(grace >= sleep + drain + 5, "{grace} s are too few");
    let image = format!("image: tidegate:{}\n", env!("CARGO_PKG_VERSION"));
    assert!(manifest.contains(&image), "{image}");
    let metrics = number(&manifest, "\"metricsPort\"");
    assert!(manifest.contains(&format!("containerPort: {metrics}\n")));
}
