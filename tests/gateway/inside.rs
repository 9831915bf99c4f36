//! Which tests have a nats-server also where all others have the broker inside.

use crate::common::inside::exceptions;

/// What is left out is there, and has a reason; nothing is left out twice.
#[test]
fn exceptions_are_tests_and_have_reasons() {
    let main = include_str!("main.rs");
    let mut before = "";
    for (name, why) in exceptions() {
        assert!(before < name, "{name} stands behind {before}");
        assert!(
            before.is_empty() || !name.starts_with(before),
            "{name} twice"
        );
        assert!(why.len() > 10, "{name}: why?");
        let (module, test) = name.split_once("::").expect("a module");
        assert!(main.contains(&format!("\nmod {module};")), "{name}");
        let path = format!("{}/tests/gateway/{module}.rs", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(path).expect("a module's file");
        let found = source.contains(&format!("\nfn {test}"));
        assert!(test.is_empty() || found, "{name} is no test");
        before = name;
    }
    assert!(!before.is_empty());
}
