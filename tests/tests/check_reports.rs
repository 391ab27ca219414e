//! Reports of `index-generator --check` about whole registries: golden reports, and cases from public threads.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use registry_tests::registry::binary;
use serde_json::{Value, json};

struct Checked {
    status: i32,
    stdout: String,
}

fn check(above: &Path, registry: &str, format: &str) -> Checked {
    let mut command = Command::new(binary("index-generator"));
    command.args(["--check", "--offline", "--format", format, registry]).current_dir(above);
    if format == "sarif" {
        command.args(["--help-url", "https://example.org/docs/validation.md"]);
    }
    let output = command.output().expect("index-generator starts");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Checked { status: output.status.code().unwrap(), stdout: String::from_utf8(output.stdout).unwrap() }
}

/// The rules of a report, with the line of each.
fn rules(above: &Path, registry: &str) -> Vec<(String, u64)> {
    let report: Value = serde_json::from_str(&check(above, registry, "json").stdout).unwrap();
    let found = report["diagnostics"].as_array().unwrap();
    found
        .iter()
        .map(|problem| (problem["rule"].as_str().unwrap().to_owned(), problem["line"].as_u64().unwrap()))
        .collect()
}

#[test]
fn registry_with_ten_mistakes_is_reported_in_every_format() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    assert_eq!(rules(&fixtures, "ten-mistakes").len(), 10);
    for format in ["human", "json", "github", "sarif"] {
        let checked = check(&fixtures, "ten-mistakes", format);
        assert_eq!(checked.status, 1, "{format}");
        let version = format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION"));
        insta::assert_snapshot!(
            format!("ten_mistakes_{format}"),
            checked.stdout.replace(&version, "\"version\": \"VERSION\"")
        );
    }
}

/// The rules of a report that leaves some out, and the exit status.
fn rules_without(ignored: &str) -> (Vec<String>, i32) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut command = Command::new(binary("index-generator"));
    command.args(["--check", "--offline", "--format", "json", "--ignore", ignored, "ten-mistakes"]);
    let output = command.current_dir(fixtures).output().expect("index-generator starts");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let found = report["diagnostics"].as_array().into_iter().flatten();
    (found.map(|problem| problem["rule"].as_str().unwrap().to_owned()).collect(), output.status.code().unwrap())
}

#[test]
fn ignored_rule_leaves_its_warnings_out_and_no_error() {
    let (all, _) = rules_without("index/icon");
    let (rest, status) = rules_without("uri/missing,yaml/tab,git/checkoutFrom");
    let without = ["uri/missing", "git/checkoutFrom"];
    let expected: Vec<String> = all.into_iter().filter(|rule| !without.contains(&rule.as_str())).collect();
    assert_eq!((rest.len(), status), (8, 1));
    assert_eq!(rest, expected);
    assert!(rest.contains(&"yaml/tab".to_owned()), "an error stays: {rest:?}");
}

#[test]
fn ignored_rule_that_does_not_exist_is_status_two_with_the_nearest_name() {
    let output =
        Command::new(binary("index-generator")).args(["--check", "--ignore", "index/tgas", "."]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("no rule has the name `index/tgas`; did you mean `index/tags`?"), "{said}");
}

#[test]
fn sarif_names_and_explains_each_of_its_rules() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let report: Value = serde_json::from_str(&check(&fixtures, "ten-mistakes", "sarif").stdout).unwrap();
    let rules = report["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 10);
    for rule in rules {
        let id = rule["id"].as_str().unwrap();
        let text = |pointer: &str| rule.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        assert!(!text("/name").is_empty() && !text("/shortDescription/text").is_empty(), "{rule}");
        assert!(text("/help/text").starts_with(id), "{rule}");
        assert_eq!(text("/helpUri"), format!("https://example.org/docs/validation.md#{}", id.replace('/', "-")));
    }
}

#[test]
fn rule_is_explained_and_an_unknown_one_is_status_two() {
    let explain = |rule: &str| Command::new(binary("index-generator")).args(["--explain", rule]).output().unwrap();
    let known = explain("stack/default");
    assert_eq!(known.status.code(), Some(0));
    let text = String::from_utf8(known.stdout).unwrap();
    assert!(text.starts_with("stack/default (error)\n") && text.contains("\nright: one, without quotes\n"), "{text}");
    let unknown = explain("stack/defualt");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8(unknown.stderr).unwrap().contains("did you mean `stack/default`?"));
}

/// The folder of recorded cases, in any of the folders above.
fn shared() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared")).find(|folder| folder.join("cases/ten-mistakes").is_dir())
}

#[test]
fn recorded_ten_mistakes_are_all_named_and_the_community_fits_on_a_screen() {
    let Some(shared) = shared() else {
        println!("no recorded cases above {}: nothing is compared", env!("CARGO_MANIFEST_DIR"));
        return;
    };
    let found = rules(&shared.join("cases"), "ten-mistakes");
    for expected in [
        ("yaml/tab", 5),
        ("schema/unknownField", 46),
        ("quantity/bad", 48),
        ("schema/type", 52),
        ("command/reference", 56),
        ("schema/enum", 68),
        ("composite/reference", 80),
        ("uri/missing", 40),
        ("stack/default", 5),
        ("schemaVersion/value", 1),
        // The entry of a sample lacks its remotes, which is one more.
        ("sample/remote", 23),
    ] {
        assert!(found.contains(&(expected.0.to_owned(), expected.1)), "{expected:?}: {found:?}");
    }
    assert_eq!(found.len(), 11, "{found:?}");
    let community = check(&shared, "community", "human");
    let lines = community.stdout.lines().count();
    println!("the report on the community registry has {lines} lines");
    assert!(community.status == 0 && lines < 24, "{lines} lines\n{}", community.stdout);
}

/// Cases that concern the checker: their number, the folder of their files in a registry, and the rules that they break.
const CASES: [(&str, &str, &[&str]); 10] = [
    ("02", "stacks/thing", &["parent/override"]),
    ("03", "stacks/thing", &["parent/override"]),
    ("07", "", &["git/checkoutFrom"]),
    ("09", "", &["lastModified/missing", "lastModified/unknown"]),
    ("10", "", &[]),
    ("11", "stacks/thing", &["stack/default"]),
    ("12", "stacks/thing", &[]),
    ("15", "stacks/thing", &[]),
    ("18", "stacks/thing", &["uri/missing", "uri/missing"]),
    ("46", "stacks/thing", &["yaml/key"]),
];

#[test]
fn cases_from_public_threads_have_the_expected_verdict() {
    let Some(shared) = shared() else {
        println!("no recorded cases above {}: nothing is compared", env!("CARGO_MANIFEST_DIR"));
        return;
    };
    let folders: Vec<PathBuf> =
        std::fs::read_dir(shared.join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    let of_case = |number: &str| {
        let is_it =
            |folder: &&PathBuf| folder.file_name().unwrap().to_str().unwrap().starts_with(&format!("{number}-"));
        folders.iter().find(is_it).cloned().unwrap()
    };
    let minimal = std::fs::read_to_string(of_case("12").join("devfile.yaml")).unwrap();
    for (number, below, expected) in CASES {
        let registry = tempfile::tempdir().unwrap();
        let write = |path: &str, content: &[u8]| {
            let path = registry.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        };
        for entry in std::fs::read_dir(of_case(number)).unwrap() {
            let (path, name) = (entry.as_ref().unwrap().path(), entry.unwrap().file_name());
            let name = name.to_str().unwrap();
            if name.ends_with(".yaml") || name.ends_with(".json") {
                write(format!("{below}/{name}").trim_start_matches('/'), &std::fs::read(&path).unwrap());
            }
        }
        match number {
            "11" => write("stacks/thing/1.0.0/devfile.yaml", minimal.as_bytes()),
            _ if below.is_empty() => write("stacks/thing/devfile.yaml", minimal.as_bytes()),
            _ => {}
        }
        // No case is about the other gaps of the smallest stack.
        let found = rules(registry.path(), ".");
        let found = found.into_iter().map(|(rule, _)| rule);
        let mut found: Vec<String> = found.filter(|rule| !rule.starts_with("index/")).collect();
        found.sort();
        assert_eq!(json!(found), json!(expected), "case {number}");
    }
}
