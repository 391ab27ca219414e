//! SARIF 2.1.0, which code scanners and editors read.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Value, json};

use super::json::document;
use super::rules::rule;
use super::severity::word;
use crate::diagnostic::Diagnostic;

/// The characters that a path in a URI cannot hold as they are.
const PATH: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'<').add(b'>').add(b'?').add(b'[').add(b']').add(b'\\');

/// One run with all problems. `help_url` is that of the page of rules.
pub fn sarif(diagnostics: &[Diagnostic], help_url: Option<&str>) -> String {
    let mut rules: Vec<&str> = diagnostics.iter().map(|diagnostic| diagnostic.rule.as_str()).collect();
    rules.sort_unstable();
    rules.dedup();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "index-generator",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(|rule| descriptor(rule, help_url)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": diagnostics.iter().map(|diagnostic| result(diagnostic, &rules)).collect::<Vec<_>>(),
        }],
    });
    document(&log)
}

/// A rule with its name, texts and page (SARIF 2.1.0, section 3.49).
fn descriptor(id: &str, help_url: Option<&str>) -> Value {
    let Ok(rule) = rule(id) else { return json!({"id": id}) };
    let wrong: Vec<&str> = rule.examples.iter().map(|(wrong, _)| *wrong).collect();
    let mut descriptor = json!({
        "id": id,
        "name": rule.title(),
        "shortDescription": {"text": format!("{}: {}", rule.section, wrong.join("; or "))},
        "help": {"text": rule.explanation()},
        "defaultConfiguration": {"level": if rule.is_warning { "warning" } else { "error" }},
    });
    if let Some(url) = help_url {
        descriptor["helpUri"] = json!(format!("{url}#{}", rule.anchor()));
    }
    descriptor
}

fn result(diagnostic: &Diagnostic, rules: &[&str]) -> Value {
    let text = match diagnostic.hint.as_str() {
        "" => diagnostic.message.clone(),
        hint => format!("{}\n{hint}", diagnostic.message),
    };
    let uri = utf8_percent_encode(&diagnostic.path, PATH).to_string();
    let mut location = json!({"artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"}});
    if let Some(position) = diagnostic.position {
        location["region"] = json!({"startLine": position.line, "startColumn": position.column});
    }
    json!({
        "ruleId": diagnostic.rule,
        "ruleIndex": rules.iter().position(|rule| *rule == diagnostic.rule),
        "level": word(diagnostic.severity),
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
    })
}
