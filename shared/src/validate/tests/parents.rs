//! Parents and plugins.

use super::*;

const BASE: &str = "schemaVersion: 2.1.0
components:
  - name: box
    container: {image: i, memoryLimit: 1Gi, endpoints: [{name: web, targetPort: 80}]}
  - name: vol
    volume: {}
commands:
  - {id: run, exec: {component: box, commandLine: x, group: {kind: run, isDefault: true}}}
variables: {v: x}
events: {postStart: [run]}
";

/// A devfile with lines after the head, and a base beside and above it.
fn with(lines: &str) -> Vec<String> {
    let files = [("stacks/s/1.0.0/base.yaml", BASE), ("stacks/base.yaml", BASE)];
    problems(&check_among(&format!("{HEAD}{lines}"), &files))
}

#[test]
fn parent_in_the_tree_is_found_and_merged() {
    let nothing: [&str; 0] = [];
    for uri in ["base.yaml", "./base.yaml", "../../base.yaml", "x/../base.yaml"] {
        let lines = format!(
            "parent: {{uri: {uri}}}\ncommands:\n  - {{id: t, exec: {{component: box, commandLine: \"{{{{v}}}}\"}}}}\n"
        );
        assert_eq!(with(&lines), nothing, "{uri}");
    }
    let overrides = "parent:
  uri: base.yaml
  components:
    - name: box
      container: {memoryRequest: 1Gi, endpoints: [{name: web, targetPort: 81}, {name: new, targetPort: 82}]}
components:
  - {name: mine, container: {image: i, endpoints: [{name: own, targetPort: 80}], volumeMounts: [{name: vol}]}}
";
    assert_eq!(with(overrides), nothing);
}

#[test]
fn wrong_parent_is_reported_at_its_position() {
    for (lines, expected) in [
        ("parent: {uri: nowhere.yaml}\n", vec!["parent/missing 3:15"]),
        ("parent: {uri: ../../../../base.yaml}\n", vec!["parent/missing 3:15"]),
        ("parent: {uri: .}\n", vec!["parent/missing 3:15"]),
        ("parent: {uri: ''}\n", vec!["parent/empty? 3:15"]),
        ("parent: {uri: devfile.yaml}\n", vec!["parent/cycle 3:15"]),
        ("parent: {id: x}\n", vec!["parent/missing 3:14"]),
        ("parent: {id: x, registryUrl: \"ftp://e.org\"}\n", vec!["parent/registry 3:30"]),
        ("parent: {id: x, registryUrl: \"https://e.org\"}\n", vec!["parent/unreachable? 3:14"]),
        ("parent: {uri: \"https://e.org/d.yaml\"}\n", vec!["parent/unreachable? 3:15"]),
        ("parent: {kubernetes: {name: x}}\n", vec!["parent/kubernetes 3:10"]),
        ("parent: {}\n", vec!["schema/oneOf 3:1"]),
        ("parent: {uri: base.yaml, commands: [{id: zz, exec: {commandLine: z}}]}\n", vec!["parent/override 3:42"]),
        (
            "parent: {uri: base.yaml}\ncomponents:\n  - {name: box, container: {image: i}}\nvariables: {v: w}\n",
            vec!["parent/merge 5:12", "parent/merge 6:13"],
        ),
        // Content of the parent may be wrong only now; then its own position is shown.
        ("parent: {uri: base.yaml, components: [{name: box, volume: {}}]}\n", vec!["command/reference 8:33"]),
        (
            "parent: {uri: base.yaml}\ncomponents: [{name: m, container: {image: i, endpoints: [{name: web, targetPort: 8}]}}]\n",
            vec!["endpoint/name 4:65"],
        ),
    ] {
        assert_eq!(with(lines), expected, "{lines}");
    }
}

#[test]
fn override_of_a_variable_or_attribute_that_the_parent_lacks_is_refused() {
    assert_eq!(with("parent: {uri: base.yaml, variables: {v: z}}\n"), [""; 0]);
    assert_eq!(with("parent: {uri: base.yaml, variables: {w: z}}\n"), ["parent/override 3:38"]);
    assert_eq!(with("parent: {uri: base.yaml, attributes: {w: z}}\n"), ["parent/override 3:39"]);
}

#[test]
fn override_of_an_attribute_that_crashes_go_clients_is_refused() {
    let check = |key: &str, base: &str, patch: &str| {
        let parent = format!(
            "schemaVersion: 2.1.0\ncomponents:\n  - name: box\n    attributes: {{'{key}': {base}}}\n    container: {{image: i}}\n"
        );
        let child = format!(
            "{HEAD}parent:\n  uri: base.yaml\n  components:\n    - name: box\n      attributes: {{'{key}': {patch}}}\n      container: {{image: j}}\n"
        );
        problems(&check_among(&child, &[("stacks/s/1.0.0/base.yaml", parent.as_str())]))
    };
    let (mappings, lists) = (("{a: 1}", "{b: 2}"), ("[1]", "[2]"));
    for key in ["pod-overrides", "a.io/b", "1a", "_b", "a b", ""] {
        for (base, patch) in [mappings, lists] {
            assert_eq!(check(key, base, patch), ["parent/override 7:20"], "{key}: {base}");
        }
        for (base, patch) in [("{a: 1}", "text"), ("[1]", "{a: 1}"), ("text", "other")] {
            assert_eq!(check(key, base, patch), [""; 0], "{key}: {base}");
        }
    }
    for key in ["podOverrides", "a1", "a_b", "größe"] {
        for (base, patch) in [mappings, lists] {
            assert_eq!(check(key, base, patch), [""; 0], "{key}: {base}");
        }
    }
}

#[test]
fn volume_of_a_parent_gets_another_size_below_parent_and_nowhere_else() {
    let volume = "components: [{name: vol, volume: {size: 30Gi}}]";
    assert_eq!(with(&format!("parent: {{uri: base.yaml, {volume}}}\n")), [""; 0]);
    let own = format!("{HEAD}parent: {{uri: base.yaml}}\n{volume}\n");
    let checked = check_among(&own, &[("stacks/s/1.0.0/base.yaml", BASE)]);
    assert_eq!(problems(&checked), ["parent/merge 4:21"]);
    let hint = &checked.diagnostics[0].hint;
    assert!(hint.contains("parent"), "{hint}");
}

#[test]
fn chain_of_parents_is_followed_and_a_cycle_is_reported() {
    let own = "stacks/s/1.0.0/devfile.yaml";
    let child = format!("{HEAD}parent: {{uri: a.yaml}}\n");
    let a = "schemaVersion: 2.2.0\nparent: {uri: sub/b.yaml}\n";
    let b = "schemaVersion: 2.2.0\nparent: {uri: ../devfile.yaml}\n";
    let files = [("stacks/s/1.0.0/a.yaml", a), ("stacks/s/1.0.0/sub/b.yaml", b), (own, child.as_str())];
    let checked = check_among(&child, &files);
    assert_eq!(problems(&checked), ["parent/cycle 2:15"]);
    assert_eq!(checked.of_parents[0].path, "stacks/s/1.0.0/sub/b.yaml");

    let later = [("stacks/s/1.0.0/a.yaml", "schemaVersion: 2.3.0\n")];
    assert_eq!(problems(&check_among(&child, &later)), ["parent/version 3:15"]);
    let broken = [("stacks/s/1.0.0/a.yaml", "schemaVersion: [\n")];
    let checked = check_among(&child, &broken);
    assert_eq!((checked.of_parents[0].path.as_str(), checked.is_valid()), ("stacks/s/1.0.0/a.yaml", false));
}

#[test]
fn plugin_of_schema_2_0_is_merged_and_its_mistakes_are_reported() {
    let head = HEAD.replace("2.2.2", "2.0.0");
    let plugin = "schemaVersion: 2.0.0\ncomponents: [{name: box, container: {image: i}}]\n";
    let lines = "components:\n  - name: p\n    plugin: {uri: p.yaml, components: [{name: zz, container: {memoryLimit: 1Gi}}]}\n  - {name: box, volume: {}}\n";
    let checked = check_among(&format!("{head}{lines}"), &[("stacks/s/1.0.0/p.yaml", plugin)]);
    assert_eq!(problems(&checked), ["plugin/override 5:47", "plugin/merge 6:12"]);
}

/// Answers with one devfile for every address.
struct Web(&'static str);

impl Parents for Web {
    fn fetch(&self, parent: &ExternalParent) -> Found {
        match parent {
            ExternalParent::Uri(uri) if uri.ends_with("/base.yaml") => {
                Found::Devfile(Bytes::from_static(BASE.as_bytes()))
            }
            ExternalParent::Uri(_) => Found::Devfile(Bytes::from_static(self.0.as_bytes())),
            ExternalParent::Stack { registry: None, version: None, .. } => {
                Found::Devfile(Bytes::from_static(BASE.as_bytes()))
            }
            ExternalParent::Stack { .. } => Found::Missing,
        }
    }
}

#[test]
fn fetched_parent_is_merged_and_a_missing_one_is_reported() {
    let check = |web: &'static str, lines: &str| {
        let around = Surroundings { external: &Web(web), ..Surroundings::ALONE };
        devfile("devfile.yaml", format!("{HEAD}{lines}").as_bytes(), &around)
    };
    let use_box = "commands: [{id: t, exec: {component: box, commandLine: x}}]\n";
    let relative = "schemaVersion: 2.2.0\nparent: {uri: ../base.yaml}\n";
    assert!(check(relative, &format!("parent: {{uri: \"https://e.org/a/b/c.yaml\"}}\n{use_box}")).is_valid());
    assert!(check("", &format!("parent: {{id: base}}\n{use_box}")).is_valid());
    assert_eq!(problems(&check("", "parent: {id: base, version: 9.9.9}\n")), ["parent/missing 3:14"]);

    // A fault in a file outside the tree is shown at the reference of the devfile.
    let checked = check("schemaVersion: 2.2.0\nx: 1\n", "parent: {uri: \"https://e.org/d.yaml\"}\n");
    assert_eq!(problems(&checked), ["schema/unknownField 3:15"]);
    assert_eq!(checked.of_parents[0].path, "devfile.yaml");
    assert!(checked.of_parents[0].message.ends_with("(line 2 of https://e.org/d.yaml)"));
}

/// Definitions that an unreachable parent may have are not reported as missing.
#[test]
fn unreachable_parents_raise_no_false_alarms() {
    let lines = "parent: {uri: \"https://e.org/d.yaml\"}
components: [{name: a, container: {image: i, volumeMounts: [{name: v}], sourceMapping: \"{{x}}\"}}]
commands:
  - {id: one, exec: {component: b, commandLine: x, group: {kind: build}}}
  - {id: two, exec: {component: a, commandLine: x, group: {kind: build}}}
  - {id: all, composite: {commands: [one, three]}}
events: {postStart: [four]}
";
    assert_eq!(with(lines), ["parent/unreachable? 3:15"]);
}

#[test]
fn content_of_parents_is_bounded() {
    let plugins = |count: usize, uri: &str| -> String {
        (0..count).map(|index| format!("- {{name: q{index}, plugin: {{uri: {uri}}}}}\n")).collect()
    };
    let of_plugins = |plugins: String| format!("{}components:\n{plugins}", HEAD.replace("2.2.2", "2.0.0"));
    let level = |level: usize| {
        let next = plugins(3, &format!("p{}.yaml", level + 1));
        (format!("stacks/s/1.0.0/p{level}.yaml"), format!("schemaVersion: 2.0.0\ncomponents:\n{next}"))
    };
    let mut files: Vec<(String, String)> = (0..19).map(level).collect();
    files.push(("stacks/s/1.0.0/p19.yaml".to_owned(), "schemaVersion: 2.0.0\n".to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let is_refused =
        |text: String| problems(&check_among(&text, &files)).iter().any(|problem| problem.starts_with("plugin/size"));
    assert!(is_refused(of_plugins(plugins(3, "p0.yaml"))));
    assert!(!is_refused(of_plugins(plugins(100, "p19.yaml"))));
    assert!(is_refused(of_plugins(plugins(101, "p19.yaml"))));
}

#[test]
fn parent_is_read_once_however_many_children_it_has() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let chain: HashMap<String, String> = (0..19)
        .map(|level| {
            let next = if level == 18 { String::new() } else { format!("parent: {{uri: p{}.yaml}}\n", level + 1) };
            (
                format!("p{level}.yaml"),
                format!("schemaVersion: 2.2.0\n{next}components: [{{name: c{level}, volume: {{}}}}]\nx: 1\n"),
            )
        })
        .collect();
    let reads = AtomicUsize::new(0);
    let files = |path: &str| {
        let text = chain.get(path)?;
        reads.fetch_add(1, Ordering::Relaxed);
        Some(Bytes::from(text.clone()))
    };
    let known = KnownParents::default();
    let around = Surroundings { files: &files, known_parents: Some(&known), ..Surroundings::ALONE };
    let child = format!("{HEAD}parent: {{uri: p0.yaml}}\ncomponents: [{{name: c7, volume: {{}}}}]\n");
    let alone = devfile("d.yaml", child.as_bytes(), &Surroundings { files: &files, ..Surroundings::ALONE });
    assert_eq!(reads.swap(0, Ordering::Relaxed), 19);
    for _ in 0..50 {
        let checked = devfile("d.yaml", child.as_bytes(), &around);
        assert_eq!((checked.diagnostics, checked.of_parents), (alone.diagnostics.clone(), alone.of_parents.clone()));
    }
    assert_eq!(reads.load(Ordering::Relaxed), 19);
    assert_eq!(problems(&alone).iter().filter(|problem| problem.starts_with("parent/merge")).count(), 1);
}

#[test]
fn chain_of_parents_is_merged_once_however_many_children_it_has() {
    let parent = |level: usize| {
        let next = if level == 18 { String::new() } else { format!("parent: {{uri: p{}.yaml}}\n", level + 1) };
        format!("schemaVersion: 2.2.0\n{next}components: [{{name: c{level}, volume: {{}}}}]\n")
    };
    let files = |path: &str| {
        let level = path.strip_prefix('p')?.strip_suffix(".yaml")?;
        Some(Bytes::from(parent(level.parse().ok()?)))
    };
    let known = KnownParents::default();
    let around = Surroundings { files: &files, known_parents: Some(&known), ..Surroundings::ALONE };
    let child = format!("{HEAD}parent: {{uri: p0.yaml}}\ncomponents: [{{name: mine, volume: {{}}}}]\n");
    MERGES.set(0);
    for _ in 0..50 {
        assert_eq!(problems(&devfile("d.yaml", child.as_bytes(), &around)), [""; 0]);
    }
    assert_eq!(MERGES.get(), 18 + 50);
}

/// A devfile among a dozen, made of a number: any parent or plugins, elements that other devfiles may have too, and overrides.
fn one_of_a_dozen(random: &mut fastrand::Rng, parents: usize) -> String {
    let uri = |random: &mut fastrand::Rng| match random.u8(..12) {
        0 => "nowhere.yaml".to_owned(),
        1 => "'https://example.org/f.yaml'".to_owned(),
        2 => "''".to_owned(),
        _ => format!("f{}.yaml", random.usize(..parents)),
    };
    let element = |random: &mut fastrand::Rng| match random.u8(..8) {
        0 => "{name: shared, volume: {}}".to_owned(),
        1 => "{name: box, container: {image: '{{v}}'}}".to_owned(),
        2 => "{name: wrong, volume: {sise: 1Gi}}".to_owned(),
        other => format!("{{name: c{}{other}, volume: {{}}}}", random.u16(..)),
    };
    let version = ["2.0.0", "2.0.0", "2.1.0", "2.2.0", "2.2.2"][random.usize(..5)];
    let mut text =
        format!("schemaVersion: {version}\nmetadata: {{name: m, displayName: d, language: l, projectType: p}}\n");
    if random.u8(..4) > 0 {
        let overrides = if random.u8(..4) == 0 { ", components: [{name: shared, volume: {size: 1Gi}}]" } else { "" };
        text.push_str(&format!("parent: {{uri: {}{overrides}}}\n", uri(random)));
    }
    let mut components: Vec<String> = (0..random.u8(..3)).map(|_| element(random)).collect();
    if version == "2.0.0" {
        components
            .extend((0..random.u8(..3)).map(|index| format!("{{name: p{index}, plugin: {{uri: {}}}}}", uri(random))));
    }
    if !components.is_empty() {
        text.push_str(&format!("components: [{}]\n", components.join(", ")));
    }
    if random.bool() {
        text.push_str("variables: {v: x}\n");
    }
    text
}

#[test]
fn devfile_is_judged_alike_whether_its_parents_are_shared_or_not() {
    let mut shared = 0;
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let is_chain = seed % 4 == 0;
        let parents = random.usize(if is_chain { 15..26 } else { 2..8 });
        let mut texts: Vec<String> = (0..parents).map(|_| one_of_a_dozen(&mut random, parents)).collect();
        if is_chain {
            // A chain of more or less than the longest.
            texts = (0..parents)
                .map(|level| {
                    let next = if level + 1 < parents {
                        format!("parent: {{uri: f{}.yaml}}\n", level + 1)
                    } else {
                        String::new()
                    };
                    format!("{HEAD}{next}components: [{{name: c{level}, volume: {{}}}}]\n")
                })
                .collect();
        }
        let files = |path: &str| {
            let index = path.strip_prefix('f')?.strip_suffix(".yaml")?.parse::<usize>().ok()?;
            Some(Bytes::from(texts.get(index)?.clone()))
        };
        let known = KnownParents::default();
        let web = Web("schemaVersion: 2.0.0\ncomponents: [{name: far, volume: {}}]\n");
        let alone = Surroundings { files: &files, external: &web, known_parents: None };
        let together = Surroundings { known_parents: Some(&known), ..alone };
        for (index, text) in texts.iter().enumerate() {
            let path = format!("f{index}.yaml");
            let judge = |around: &Surroundings<'_>| {
                MERGES.set(0);
                let checked = devfile(&path, text.as_bytes(), around);
                (checked.diagnostics, checked.of_parents, MERGES.get())
            };
            let (expected, found) = (judge(&alone), judge(&together));
            assert_eq!((found.0, found.1), (expected.0, expected.1), "seed {seed}, {path}");
            shared += usize::from(found.2 < expected.2);
        }
    }
    assert!(shared > 20, "{shared}");
}
