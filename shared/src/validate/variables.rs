//! `{{name}}` in a devfile's texts, replaced by the devfile's variables.

use std::collections::HashMap;

use super::findings::Findings;
use crate::limits;
use crate::yaml::{Data, FilePosition, Node};

/// The positions at which variables are replaced; `*` is every item or entry. Names, references and CPU quantities are not among them.
const TEXTS: [&[&str]; 42] = [
    &["components", "*", "container", "image"],
    &["components", "*", "container", "sourceMapping"],
    &["components", "*", "container", "command", "*"],
    &["components", "*", "container", "args", "*"],
    &["components", "*", "container", "memoryLimit"],
    &["components", "*", "container", "memoryRequest"],
    &["components", "*", "container", "env", "*", "name"],
    &["components", "*", "container", "env", "*", "value"],
    &["components", "*", "container", "volumeMounts", "*", "path"],
    &["components", "*", "container", "endpoints", "*", "path"],
    &["components", "*", "kubernetes", "uri"],
    &["components", "*", "kubernetes", "inlined"],
    &["components", "*", "kubernetes", "endpoints", "*", "path"],
    &["components", "*", "openshift", "uri"],
    &["components", "*", "openshift", "inlined"],
    &["components", "*", "openshift", "endpoints", "*", "path"],
    &["components", "*", "image", "imageName"],
    &["components", "*", "image", "dockerfile", "uri"],
    &["components", "*", "image", "dockerfile", "buildContext"],
    &["components", "*", "image", "dockerfile", "args", "*"],
    &["components", "*", "image", "dockerfile", "git", "fileLocation"],
    &["components", "*", "image", "dockerfile", "git", "checkoutFrom", "*"],
    &["components", "*", "image", "dockerfile", "git", "remotes", "*"],
    &["components", "*", "volume", "size"],
    &["commands", "*", "exec", "commandLine"],
    &["commands", "*", "exec", "workingDir"],
    &["commands", "*", "exec", "label"],
    &["commands", "*", "exec", "env", "*", "name"],
    &["commands", "*", "exec", "env", "*", "value"],
    &["commands", "*", "apply", "label"],
    &["commands", "*", "composite", "label"],
    &["projects", "*", "clonePath"],
    &["projects", "*", "git", "checkoutFrom", "*"],
    &["projects", "*", "git", "remotes", "*"],
    &["projects", "*", "zip", "location"],
    &["starterProjects", "*", "description"],
    &["starterProjects", "*", "subDir"],
    &["starterProjects", "*", "git", "checkoutFrom", "*"],
    &["starterProjects", "*", "git", "remotes", "*"],
    &["starterProjects", "*", "zip", "location"],
    &["dependentProjects", "*", "git", "remotes", "*"],
    &["dependentProjects", "*", "zip", "location"],
];

/// The mappings in whose keys variables are replaced, too.
const KEYS: [&[&str]; 4] = [
    &["components", "*", "image", "dockerfile", "git", "remotes"],
    &["projects", "*", "git", "remotes"],
    &["starterProjects", "*", "git", "remotes"],
    &["dependentProjects", "*", "git", "remotes"],
];

/// Replaces the variables of a devfile; undefined ones stay as they are, with a warning when all parents are known.
pub(crate) fn replace(root: &mut Node, complete: bool, findings: &mut Findings) {
    // The first schema version has no variables, and its texts may hold braces of their own.
    if root.text_of("schemaVersion") == Some("2.0.0") {
        return;
    }
    let entries = root.get("variables").map_or(&[][..], Node::entries);
    let known: HashMap<String, String> =
        entries.iter().filter_map(|(name, value)| Some((name.clone(), value.text()?.to_owned()))).collect();
    let mut budget = limits::EXPANDED_BYTES;
    let mut is_spent = false;
    let mut replaced = |text: &str, at: FilePosition| {
        if is_spent || !text.contains("{{") {
            return None;
        }
        let Some((replaced, undefined)) = expand(text, &known, &mut budget) else {
            is_spent = true;
            let message = format!("variables expand to more than {} bytes", limits::EXPANDED_BYTES);
            findings.error(at, "variables/size", message, "use shorter variables, or use them less often");
            return None;
        };
        for name in undefined.into_iter().filter(|_| complete) {
            let hint = findings.nearest(&name, known.keys().map(String::as_str)).map_or_else(
                || format!("add `{name}:` to the variables; until then the text stays as it is"),
                |near| format!("did you mean `{{{{{near}}}}}`?"),
            );
            findings.warning(at, "variables/undefined", format!("there is no variable `{name}`"), hint);
        }
        Some(replaced)
    };
    for path in TEXTS {
        visit(root, path, &mut |node| {
            let Data::Text(text) = &node.data else { return };
            if let Some(text) = replaced(text, node.at) {
                node.data = Data::Text(text);
            }
        });
    }
    for path in KEYS {
        visit(root, path, &mut |node| {
            let Data::Map(entries) = &mut node.data else { return };
            for (key, value) in entries {
                if let Some(text) = replaced(key, value.key_at) {
                    *key = text;
                }
            }
        });
    }
}

fn visit(node: &mut Node, path: &[&str], act: &mut impl FnMut(&mut Node)) {
    match path {
        [] => act(node),
        ["*", rest @ ..] => node.children_mut().for_each(|child| visit(child, rest, act)),
        [key, rest @ ..] => {
            if let Some(child) = node.get_mut(key) {
                visit(child, rest, act);
            }
        }
    }
}

/// Replaces once: nothing that a value brings in is replaced again. `None` when the text with its values takes more than the budget, from
/// which it is taken.
fn expand(text: &str, known: &HashMap<String, String>, budget: &mut usize) -> Option<(String, Vec<String>)> {
    *budget = budget.checked_sub(text.len())?;
    let (mut done, mut undefined, mut rest) = (String::new(), Vec::new(), text);
    while let Some((before, name, after)) = next(rest) {
        done.push_str(before);
        match known.get(name) {
            Some(value) => {
                *budget = budget.checked_sub(value.len())?;
                done.push_str(value);
            }
            None => {
                done.push_str(&rest[before.len()..rest.len() - after.len()]);
                undefined.push(name.to_owned());
            }
        }
        rest = after;
    }
    done.push_str(rest);
    Some((done, undefined))
}

/// Returns the text before the first `{{name}}`, its name and the text after it.
fn next(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    Some((before, name.trim(), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_in_a_text_is_replaced_and_an_unknown_one_is_named() {
        let known = HashMap::from([("a".to_owned(), "{{b}}".to_owned()), ("b".to_owned(), "2".to_owned())]);
        for (text, expected, missing) in [
            ("x {{a}} {{ b }}", "x {{b}} 2", vec![]),
            ("{{c}}/{{b}}", "{{c}}/2", vec!["c"]),
            ("{{b", "{{b", vec![]),
            ("}}{{b}}", "}}2", vec![]),
            ("{{}}", "{{}}", vec![""]),
        ] {
            let expanded = expand(text, &known, &mut 100);
            assert_eq!(expanded, Some((expected.to_owned(), missing.into_iter().map(str::to_owned).collect())));
        }
    }

    #[test]
    fn attribute_keeps_its_key_and_value() {
        let text = "variables: {v: x}
attributes: {'{{v}}': '{{v}}', '{{unknown}}': '{{unknown}}'}
components: [{name: a, attributes: {'{{v}}': '{{v}}'}, container: {image: '{{v}}'}}]
projects: [{name: p, git: {remotes: {'{{v}}': '{{v}}'}}}]
";
        let mut root = crate::yaml::parse("", text.as_bytes()).unwrap();
        let mut findings = Findings::new("d");
        replace(&mut root, true, &mut findings);
        assert!(findings.into_faultless_files().is_some(), "nothing is said of the unknown name");
        let entry = |pointer: &str| {
            let (key, value) = &root.pointer(pointer).unwrap().entries()[0];
            (key.clone(), value.text().unwrap().to_owned())
        };
        let (kept, replaced) = (("{{v}}".to_owned(), "{{v}}".to_owned()), ("x".to_owned(), "x".to_owned()));
        assert_eq!(entry("/attributes"), kept);
        assert_eq!(entry("/components/0/attributes"), kept);
        assert_eq!(entry("/projects/0/git/remotes"), replaced);
        assert_eq!(root.pointer("/components/0/container/image").unwrap().text(), Some("x"));
    }

    #[test]
    fn expansion_beyond_the_budget_stops_at_once() {
        let known = HashMap::from([("a".to_owned(), "x".repeat(20_000))]);
        let mut budget = limits::EXPANDED_BYTES;
        assert_eq!(expand(&"{{a}}".repeat(60_000), &known, &mut budget), None);
        let mut budget = 40_010;
        assert!(expand("{{a}}{{a}}", &known, &mut budget).is_some_and(|(text, _)| text.len() == 40_000));
        assert_eq!(budget, 0);
    }
}
