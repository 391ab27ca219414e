//! Holds the verdicts against those recorded from the reference.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;

/// The folder of recorded verdicts, in any of the folders above.
fn verdicts() -> Option<PathBuf> {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    above.map(|folder| folder.join("shared/verdicts")).find(|folder| folder.join("devfiles.jsonl").is_file())
}

#[test]
fn agrees_with_the_reference() {
    let Some(folder) = verdicts() else {
        println!("no recorded verdicts above {}: nothing to agree with", env!("CARGO_MANIFEST_DIR"));
        return;
    };
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/validation.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (mut agree, mut on_purpose, mut disagree) = (0, 0, Vec::new());
    for line in std::fs::read_to_string(folder.join("devfiles.jsonl")).unwrap().lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| case[key].as_str();
        let bytes = text("yaml").map(|yaml| yaml.as_bytes().to_vec());
        let bytes = bytes.unwrap_or_else(|| STANDARD.decode(text("yaml_b64").unwrap()).unwrap());
        let own = ("devfile.yaml".to_owned(), Bytes::from(bytes.clone()));
        let beside = case["files"].as_object().into_iter().flatten();
        let beside = beside.map(|(path, text)| (path.clone(), Bytes::from(text.as_str().unwrap().to_owned())));
        let files: HashMap<String, Bytes> = beside.chain([own]).collect();
        let files = |path: &str| files.get(path).cloned();
        let checked = devfile("devfile.yaml", &bytes, &Surroundings { files: &files, ..Surroundings::ALONE });

        let id = text("id").unwrap();
        if checked.is_valid() == case["valid"].as_bool().unwrap() {
            agree += 1;
        } else if case["surprise"] == true && docs.contains(&format!("`{id}`")) {
            on_purpose += 1;
        } else {
            let found = checked.diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n  ");
            disagree.push(format!("{id}: {} said {}\n  {found}", text("rule").unwrap(), text("error").unwrap()));
        }
    }
    println!("agree {agree}, differ on purpose {on_purpose}, disagree {}", disagree.len());
    assert!(disagree.is_empty(), "{}", disagree.join("\n"));
}

/// Every rule that the code names begins exactly one row of the documentation's tables.
#[test]
fn rules_are_documented() {
    const SOURCES: &[&str] = &[
        include_str!("../../devfile.rs"),
        include_str!("../../outside/icons.rs"),
        include_str!("../../outside/offline/attempt.rs"),
        include_str!("../../outside/offline/plan.rs"),
        include_str!("../../outside/offline/take.rs"),
        include_str!("../../outside/samples.rs"),
        include_str!("../../outside/versions.rs"),
        include_str!("../../publish/record.rs"),
        include_str!("../../release/draft/dates.rs"),
        include_str!("../../repository/devfile.rs"),
        include_str!("../../repository/extra.rs"),
        include_str!("../../repository/last_modified.rs"),
        include_str!("../../repository/mod.rs"),
        include_str!("../../repository/refused.rs"),
        include_str!("../../repository/size.rs"),
        include_str!("../../repository/stack.rs"),
        include_str!("../../yaml/typed.rs"),
        include_str!("../flatten.rs"),
        include_str!("../reference.rs"),
        include_str!("../schema.rs"),
        include_str!("../variables.rs"),
        include_str!("../rules/commands.rs"),
        include_str!("../rules/components.rs"),
        include_str!("../rules/elements.rs"),
        include_str!("../rules/events.rs"),
        include_str!("../rules/metadata.rs"),
        include_str!("../rules/mod.rs"),
        include_str!("../rules/projects.rs"),
        include_str!("../../yaml/build.rs"),
        include_str!("../../yaml/fault.rs"),
        include_str!("../../yaml/mod.rs"),
        include_str!("../../yaml/node.rs"),
        include_str!("../../yaml/read.rs"),
        include_str!("../../yaml/text.rs"),
    ];
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/validation.md")).unwrap();
    let is_rule = |text: &&str| {
        let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphabetic());
        text.split_once('/').is_some_and(|(family, rule)| word(family) && word(rule))
    };
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next());
    let documented: Vec<&str> = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    for rule in SOURCES.iter().flat_map(|source| source.split('"')).filter(is_rule) {
        let times = documented.iter().filter(|name| **name == rule).count();
        assert_eq!(times, 1, "rows of docs/validation.md that begin with {rule}");
    }
}
