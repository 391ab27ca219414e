use std::collections::HashMap;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

mod agreement;
mod mutations;
mod parents;
mod rules;

thread_local! {
    /// The number of times that a parent was merged into a devfile.
    pub(super) static MERGES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// The head of a devfile without problems; tests add lines.
const HEAD: &str = "schemaVersion: 2.2.2\nmetadata: {name: m, displayName: d, language: l, projectType: p}\n";

fn check_among(text: &str, files: &[(&str, &str)]) -> Checked {
    let files: HashMap<&str, &str> = files.iter().copied().collect();
    let files = |path: &str| files.get(path).map(|text| Bytes::copy_from_slice(text.as_bytes()));
    devfile("stacks/s/1.0.0/devfile.yaml", text.as_bytes(), &Surroundings { files: &files, ..Surroundings::ALONE })
}

/// The problems as `rule line:column`, warnings with a `?`.
fn problems(checked: &Checked) -> Vec<String> {
    let problem = |diagnostic: &Diagnostic| {
        let Position { line, column } = diagnostic.position.unwrap();
        let mark = if diagnostic.severity == Severity::Warning { "?" } else { "" };
        format!("{}{mark} {line}:{column}", diagnostic.rule)
    };
    let mut all: Vec<&Diagnostic> = checked.diagnostics.iter().chain(&checked.of_parents).collect();
    all.sort();
    all.into_iter().map(problem).collect()
}

#[test]
fn a_good_devfile_is_handed_on() {
    let checked = check_among(&format!("{HEAD}commands: []\n"), &[]);
    assert!(checked.is_valid() && checked.diagnostics.is_empty(), "{:?}", checked.diagnostics);
    assert_eq!(checked.value().unwrap()["metadata"]["displayName"], "d");
    assert_eq!(checked.position("/metadata/language"), Some(Position { line: 2, column: 37 }));
    assert_eq!(checked.position("/commands"), Some(Position { line: 3, column: 1 }));
    assert_eq!(checked.position("/nothing"), None);
}

#[test]
fn devfile_with_many_problems_reports_all_at_once() {
    let text = format!(
        "{HEAD}components:
  - name: runtime
    container: {{imgae: x}}
commands:
  - {{id: run, exec: {{component: runtme, commandLine: x}}}}
  - {{id: run, exec: {{component: runtime, commandLine: x}}}}
"
    );
    let expected = ["schema/unknownField 5:17", "command/reference 7:33", "command/duplicate 8:10"];
    assert_eq!(problems(&check_among(&text, &[])), expected);
}

/// However many problems there are, the report stays short and an error is among them.
#[test]
fn flood_of_problems_is_bounded() {
    let mut warnings = format!("{HEAD}starterProjects:\n");
    for _ in 0..500 {
        warnings.push_str("  - {name: s, git: {remotes: {o: https://e.org/a}}}\n");
    }
    let checked = check_among(&warnings, &[]);
    assert!(checked.is_valid());
    assert_eq!(checked.diagnostics.len(), crate::limits::REPORTED_PROBLEMS);
    let checked = check_among(&format!("{warnings}events: {{preStart: [x]}}\n"), &[]);
    assert!(!checked.is_valid());
    let errors: String = (0..5000).map(|key| format!("x{key}: 1\n")).collect();
    assert_eq!(check_among(&format!("{HEAD}{errors}"), &[]).diagnostics.len(), crate::limits::REPORTED_PROBLEMS);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn devfile_of_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        devfile("d", &bytes, &Surroundings::ALONE);
    }

    /// Texts that are nearly devfiles get further than arbitrary ones.
    #[test]
    fn nearly_valid_devfile_never_panics(
        version in prop_oneof![Just("2.0.0"), Just("2.1.0"), Just("2.2.0"), Just("2.2.2")],
        pieces in proptest::collection::vec(prop_oneof![
            Just("components:\n"), Just("  - name: a\n"), Just("    container: {image: x}\n"), Just("commands:\n"),
            Just("  - id: a\n"), Just("    composite: {commands: [a, b]}\n"), Just("    exec: {component: a}\n"),
            Just("events: {preStart: [a]}\n"), Just("parent: {uri: d}\n"), Just("    plugin: {uri: d}\n"),
            Just("variables: {a: '{{a}}'}\n"), Just("&a x: *a\n"), Just("<<: {a: 1}\n"), Just("    volume: \n"),
            Just("projects:\n"), Just("    git: {remotes: {a: b}}\n"), Just("metadata: 5\n"), Just("\t\n"), Just("- ["),
        ], 0..14),
    ) {
        let text = format!("schemaVersion: {version}\n{}", pieces.concat());
        let files = |_: &str| Some(Bytes::from(text.clone()));
        let checked = devfile("d", text.as_bytes(), &Surroundings { files: &files, ..Surroundings::ALONE });
        prop_assert!(!checked.is_valid(), "metadata is always missing");
        let mut sorted = checked.diagnostics.clone();
        sorted.sort();
        prop_assert_eq!(sorted, checked.diagnostics);
    }
}
