//! Tests of reading a tree, and of the problems of one.

use super::*;
use crate::diagnostic::Diagnostic;
use crate::tree::{File, Tree, TreePath};

pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
    let mut tree = Tree::default();
    for (path, content) in files {
        let file = File::plain(content.as_bytes().to_vec());
        tree.insert(TreePath::parse(path).unwrap(), file).unwrap();
    }
    tree
}

pub(crate) fn devfile(name: &str, version: &str) -> String {
    format!(
        "schemaVersion: 2.2.2\nmetadata:\n  name: {name}\n  displayName: {name}\n  version: {version}\n  language: Rust\n  \
         projectType: axum\n  provider: Clay Guild\n  supportUrl: https://example.org/help\n  icon: \
         https://example.org/i.svg\n  architectures: [amd64]\n  tags: [Clay]\n"
    )
}

const STACK: &str = "name: kiln\ndisplayName: Kiln\nicon: https://example.org/i.svg\nversions:\n  - version: 1.0.0\n  - \
                     version: 1.10.0\n    default: true\n  - version: 1.9.0\n";

fn kiln(stack_yaml: &str) -> Vec<(&str, String)> {
    let mut files = vec![("stacks/kiln/stack.yaml", stack_yaml.to_owned())];
    for (path, version) in [
        ("stacks/kiln/1.0.0/devfile.yaml", "1.0.0"),
        ("stacks/kiln/1.9.0/devfile.yaml", "1.9.0"),
        ("stacks/kiln/1.10.0/devfile.yaml", "1.10.0"),
    ] {
        files.push((path, devfile("kiln", version)));
    }
    files
}

fn parse(files: &[(&str, String)]) -> Repository {
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
    Repository::parse(&tree(&files))
}

fn errors(repository: &Repository) -> Vec<String> {
    repository.errors().iter().map(|problem| format!("{} {}", problem.path, problem.rule)).collect()
}

#[test]
fn versions_are_ordered_by_number_newest_first() {
    let repository = parse(&kiln(STACK));
    assert_eq!(errors(&repository), [""; 0]);
    let versions: Vec<_> = repository.stacks[0].versions.iter().map(|v| v.devfile.version.as_str()).collect();
    assert_eq!(versions, ["1.10.0", "1.9.0", "1.0.0"]);
}

#[test]
fn one_bad_version_does_not_hide_the_others() {
    let mut files = kiln(STACK);
    files[1].1 = "schemaVersion: [".to_owned();
    let repository = parse(&files);
    assert_eq!(repository.stacks[0].versions.len(), 2);
    assert_eq!(repository.quarantined[0].part, Part::Version { stack: "kiln".into(), version: "1.0.0".into() });
    assert_eq!(errors(&repository), ["stacks/kiln/1.0.0/devfile.yaml yaml/syntax"]);
}

#[test]
fn stack_yaml_with_a_mistake_breaks_its_rule() {
    let cases = [
        (STACK.replace("    default: true\n", ""), "stack/default"),
        (STACK.replace("1.9.0\n", "1.9.0\n    default: true\n"), "stack/default"),
        (STACK.replace("icon: https://example.org/i.svg\n", ""), "stack/required"),
        ("name: kiln\ndisplayName: K\nicon: x\nversions: []\n".to_owned(), "stack/required"),
        (STACK.replace("1.9.0", "1.10.0"), "stack/versions"),
        (STACK.replace("1.9.0", "latest"), "stack/semver"),
        (STACK.replace("1.9.0", "1.9"), "stack/semver"),
        (STACK.replace("1.9.0", "2.0.0"), "stack/versionDir"),
        (STACK.replace("1.9.0", "../go"), "stack/semver"),
        ("[]".to_owned(), "yaml/type"),
        (STACK.replace("displayName: Kiln", "displayName: 5"), "yaml/type"),
    ];
    for (stack_yaml, rule) in cases {
        let found = errors(&parse(&kiln(&stack_yaml)));
        assert_eq!(found, [format!("stacks/kiln/stack.yaml {rule}")], "{stack_yaml}");
    }
}

#[test]
fn version_has_one_devfile_of_either_name() {
    let mut files = kiln(STACK);
    files[2].0 = "stacks/kiln/1.9.0/.devfile.yaml";
    assert_eq!(errors(&parse(&files)), [""; 0]);
    files.push(("stacks/kiln/1.9.0/devfile.yaml", devfile("kiln", "1.9.0")));
    assert_eq!(errors(&parse(&files)), ["stacks/kiln/1.9.0/.devfile.yaml stack/devfile"]);
    let files = [("stacks/loom/readme.md", String::new())];
    assert_eq!(errors(&parse(&files)), ["stacks/loom/devfile.yaml stack/devfile"]);
}

#[test]
fn a_stack_without_stack_yaml_is_its_own_version() {
    let repository = parse(&[("stacks/loom/devfile.yaml", devfile("loom", "3.0.0"))]);
    let stack = &repository.stacks[0];
    assert_eq!((stack.fields.name.as_str(), stack.versions.len()), ("loom", 1));
    assert_eq!(stack.versions[0].folder, "stacks/loom");
    assert_eq!(stack.default, "3.0.0");
}

#[test]
fn names_are_taken_once_and_fit_a_registry() {
    let twice =
        [("stacks/a/devfile.yaml", devfile("loom", "1.0.0")), ("stacks/b/devfile.yaml", devfile("loom", "1.0.0"))];
    assert_eq!(errors(&parse(&twice)), ["stacks/b/devfile.yaml stack/name"]);
    for folder in ["stacks/Upper/devfile.yaml", "stacks/a b/devfile.yaml", "stacks/-a/devfile.yaml"] {
        assert_eq!(errors(&parse(&[(folder, devfile("loom", "1.0.0"))])).len(), 1, "{folder}");
    }
    let slash = [("stacks/a/devfile.yaml", devfile("a/b", "1.0.0"))];
    assert_eq!(errors(&parse(&slash)), ["stacks/a/devfile.yaml stack/name"]);
}

const SAMPLES: &str = "samples:\n  - name: pot\n    displayName: Pot\n    icon: https://example.org/p.png\n    attributes: \
                       {tier: gold, size: {w: 1}}\n    versions:\n      - version: 1.0.0\n        schemaVersion: 2.2.0\n        \
                       default: true\n        git: {remotes: {origin: https://example.org/pot.git}}\n";

#[test]
fn samples_keep_their_order_attributes_and_devfiles() {
    let repository = parse(&[
        ("extraDevfileEntries.yaml", SAMPLES.to_owned()),
        ("samples/pot/1.0.0/devfile.yaml", "schemaVersion: 2.2.0\n".to_owned()),
    ]);
    assert_eq!(errors(&repository), [""; 0]);
    let sample = &repository.samples[0];
    assert_eq!(sample.entry.attributes["tier"], "gold");
    assert_eq!(sample.entry.attributes["size"]["w"], 1);
    assert_eq!(sample.devfiles.len(), 1);
}

#[test]
fn sample_with_a_mistake_breaks_its_rule() {
    let cases = [
        (SAMPLES.replace("        default: true\n", ""), "sample/versions"),
        (SAMPLES.replace("        schemaVersion: 2.2.0\n", ""), "sample/versions"),
        (SAMPLES.replace("name: pot", "name: ''"), "sample/name"),
        (format!("{SAMPLES}{}", SAMPLES.trim_start_matches("samples:\n")), "sample/name"),
        (SAMPLES.replace("name: pot", "name: a/b"), "sample/name"),
        ("samples:\n  - name: pot\n".to_owned(), "sample/git"),
        ("samples:\n  - name: pot\n    git: {remotes: {a: x, b: z}}\n".to_owned(), "sample/git"),
        ("samples: {}\n".to_owned(), "yaml/type"),
        ("[]".to_owned(), "yaml/type"),
    ];
    for (text, rule) in cases {
        let found = errors(&parse(&[("extraDevfileEntries.yaml", text.clone())]));
        assert_eq!(found, [format!("extraDevfileEntries.yaml {rule}")], "{text}");
    }
}

#[test]
fn a_samples_folder_must_have_every_devfile() {
    let found = errors(&parse(&[
        ("extraDevfileEntries.yaml", SAMPLES.to_owned()),
        ("samples/other/devfile.yaml", "schemaVersion: 2.2.0\n".to_owned()),
    ]));
    assert_eq!(found, ["samples/pot/1.0.0/devfile.yaml samplesDir/devfile"]);
}

#[test]
fn bad_dates_are_reported_and_do_not_stop_the_rest() {
    let mut files = kiln(STACK);
    files.push((
        "last_modified.json",
        "{\"stacks\": [{\"name\": \"kiln\", \"lastModified\": \"yesterday\"}]}".to_owned(),
    ));
    let repository = parse(&files);
    assert_eq!(errors(&repository), ["last_modified.json lastModified/json"]);
    assert_eq!(repository.stacks.len(), 1);
}

/// A devfile of a stack with further lines.
fn child(name: &str, lines: &str) -> String {
    format!("{}{lines}", devfile(name, "1.0.0"))
}

#[test]
fn problems_of_a_parent_are_reported_once() {
    let broken = "schemaVersion: 2.2.0\ncolour: red\n";
    let parent = "parent: {uri: ../base.yaml}\n";
    let repository = parse(&[
        ("stacks/base.yaml", broken.to_owned()),
        ("stacks/a/devfile.yaml", child("a", parent)),
        ("stacks/b/devfile.yaml", child("b", parent)),
        ("stacks/c/devfile.yaml", child("c", "")),
    ]);
    assert_eq!(errors(&repository), ["stacks/b/devfile.yaml parent/invalid", "stacks/base.yaml schema/unknownField"]);
    let parts: Vec<&Part> = repository.quarantined.iter().map(|quarantined| &quarantined.part).collect();
    assert_eq!(parts, [&Part::Stack { stack: "a".into() }, &Part::Stack { stack: "b".into() }]);
    assert_eq!(repository.stacks.len(), 1);
}

#[test]
fn parents_by_name_are_the_registrys_own_stacks() {
    let boxes = "components: [{name: box, container: {image: x}}]\n";
    let runs = "commands: [{id: run, exec: {component: box, commandLine: x}}]\n";
    let of = |parent: &str| child("child", &format!("parent: {parent}\n{runs}"));
    let mut files = kiln(STACK);
    files[3].1 = format!("{}{boxes}", devfile("kiln", "1.10.0"));
    files.push(("stacks/loom/devfile.yaml", child("weaver", boxes)));
    for (parent, rules) in [
        ("{id: kiln}", vec![]),
        ("{id: kiln, version: 1.10.0}", vec![]),
        ("{id: kiln, version: latest}", vec![]),
        ("{id: weaver}", vec![]),
        ("{id: kiln, version: 1.9.0}", vec!["stacks/child/devfile.yaml command/reference"]),
        ("{id: kiln, version: 7.0.0}", vec!["stacks/child/devfile.yaml parent/missing"]),
        ("{id: nobody}", vec!["stacks/child/devfile.yaml parent/missing"]),
        ("{id: child}", vec!["stacks/child/devfile.yaml parent/cycle"]),
    ] {
        let mut files = files.clone();
        files.push(("stacks/child/devfile.yaml", of(parent)));
        assert_eq!(errors(&parse(&files)), rules, "{parent}");
    }
}

#[test]
fn a_bad_sample_leaves_the_others_alone() {
    let row =
        |name: &str, git: &str| format!("  - name: {name}\n    icon: https://example.org/i.svg\n    git: {git}\n");
    let good = "{remotes: {origin: https://example.org/pot.git}}";
    let text = format!("samples:\n{}{}{}", row("pot", good), row("bowl", "{remotes: [x]}"), row("vase", good));
    let repository = parse(&[("extraDevfileEntries.yaml", text)]);
    assert_eq!(errors(&repository), ["extraDevfileEntries.yaml yaml/type"]);
    assert_eq!(repository.quarantined[0].part, Part::Sample { name: "bowl".into() });
    let names: Vec<&str> = repository.samples.iter().map(|sample| sample.entry.name.as_str()).collect();
    assert_eq!(names, ["pot", "vase"]);
}

#[test]
fn external_stack_takes_no_name_of_a_stack_here() {
    let entries = |name: &str| {
        format!(
            "stacks:\n  - name: {name}\n    versions:\n      - {{version: 1.0.0, schemaVersion: 2.2.0, default: true, links: {{self: x}}, \
             resources: [devfile.yaml]}}\n"
        )
    };
    let of = |name: &str| {
        let files = [("stacks/a/devfile.yaml", devfile("loom", "1.0.0")), ("extraDevfileEntries.yaml", entries(name))];
        let repository = parse(&files);
        (errors(&repository), repository.extra_stacks.len())
    };
    assert_eq!(of("kiln"), (vec![], 1));
    assert_eq!(of("loom"), (vec!["extraDevfileEntries.yaml extraStacks/name".to_owned()], 0));
}

#[test]
fn error_in_stack_yaml_hides_no_error_of_its_versions() {
    for (stack, expected) in [
        (STACK.replace("displayName", "displayNam"), "stacks/kiln/stack.yaml stack/required"),
        (STACK.replace("default: true", "default: \"true\""), "stacks/kiln/stack.yaml stack/default"),
        (format!("{STACK}deploymentScopes: {{sideways: true}}\n"), "stacks/kiln/stack.yaml index/scopes"),
        (format!("{STACK}\t- x: [\n"), "stacks/kiln/stack.yaml yaml/tab"),
    ] {
        let mut files = kiln(&stack);
        for (path, text) in &mut files {
            if path.ends_with("devfile.yaml") {
                text.push_str("colour: red\n");
            }
        }
        let repository = parse(&files);
        let versions = files.iter().filter(|(path, _)| path.ends_with("devfile.yaml")).count();
        let found = errors(&repository);
        assert_eq!(found.iter().filter(|error| error.ends_with("schema/unknownField")).count(), versions, "{found:?}");
        assert!(found.iter().any(|error| error == expected), "{found:?}");
        assert!(repository.errors().iter().all(|problem| problem.position.is_some()), "{found:?}");
        assert_eq!(repository.quarantined.len(), 1);
    }
}

fn warnings(repository: &Repository) -> Vec<String> {
    let at =
        |problem: &Diagnostic| problem.position.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
    repository.warnings.iter().map(|problem| format!("{}{} {}", problem.path, at(problem), problem.rule)).collect()
}

#[test]
fn file_that_a_devfile_names_and_that_is_missing_is_a_warning_at_its_name() {
    let named = "components:\n  - {name: k, kubernetes: {uri: deploy/app.yaml}}\n  - {name: o, openshift: {uri: 'https://example.org/x.yaml'}}\n  \
                 - {name: i, image: {imageName: x, dockerfile: {uri: docker/Dockerfile}}}\nstarterProjects:\n  \
                 - {name: z, zip: {location: a-offline.zip}}\n  - {name: v, zip: {location: '{{x}}.zip'}}\nvariables: {x: a}\n";
    let mut files = vec![("stacks/loom/devfile.yaml", format!("{}{named}", devfile("loom", "1.0.0")))];
    let missing = |files: &[(&str, String)]| {
        let repository = parse(files);
        assert_eq!(errors(&repository), [""; 0]);
        repository
            .warnings
            .iter()
            .map(|p| (p.position.unwrap().line, p.rule.clone(), p.hint.clone()))
            .collect::<Vec<_>>()
    };
    let found = missing(&files);
    assert_eq!(found.iter().map(|found| found.0).collect::<Vec<_>>(), [14, 16, 18], "{found:?}");
    assert!(found.iter().all(|found| found.1 == "uri/missing"), "{found:?}");
    files.push(("stacks/loom/deploy/application.yaml", String::new()));
    assert_eq!(missing(&files)[0].2, "did you mean `deploy/application.yaml`?");
    files.push(("stacks/loom/deploy/app.yaml", String::new()));
    files.push(("stacks/loom/docker/Dockerfile", String::new()));
    files.push(("stacks/loom/a-offline.zip", String::new()));
    assert_eq!(missing(&files), []);
}

#[test]
fn quoted_default_is_an_error_at_its_line() {
    for (stack, line) in [
        (STACK.replace("default: true", "default: \"true\""), 7),
        (STACK.replace("1.9.0\n", "1.9.0\n    default: 'false'\n"), 9),
        (STACK.replace("default: true", "default: 1"), 7),
    ] {
        let repository = parse(&kiln(&stack));
        let problems = repository.errors();
        let found: Vec<_> = problems.iter().map(|p| (p.rule.as_str(), p.position.unwrap().line)).collect();
        assert_eq!(found, [("stack/default", line)], "{stack}");
        assert!(problems[0].hint.contains("without quotes"));
    }
}

#[test]
fn checkout_that_nothing_reads_is_a_warning_at_its_line() {
    let remotes = "remotes: {origin: https://example.org/pot.git}";
    let sample = format!("samples:\n  - name: pot\n    git:\n      checkoutFrom: {{revision: v1}}\n      {remotes}\n");
    let stack = STACK.replace(
        "  - version: 1.9.0\n",
        &format!("  - version: 1.9.0\n    git: {{checkoutFrom: {{revision: v1}}, {remotes}}}\n"),
    );
    let mut files = kiln(&stack);
    files.push(("extraDevfileEntries.yaml", sample));
    let repository = parse(&files);
    let found: Vec<_> = repository.warnings.iter().filter(|p| p.rule == "git/checkoutFrom").collect();
    let places: Vec<_> = found.iter().map(|p| (p.path.as_str(), p.position.unwrap().line)).collect();
    assert_eq!(places, [("extraDevfileEntries.yaml", 4), ("stacks/kiln/stack.yaml", 9)]);
    assert!(found.iter().all(|p| p.hint.contains("revision: v1")), "{found:?}");
}

#[test]
fn sample_without_a_remote_and_stack_without_tags_are_warnings() {
    let sample = "samples:\n  - name: pot\n    git: {revision: v1}\n";
    let repository = parse(&[
        ("extraDevfileEntries.yaml", sample.to_owned()),
        ("stacks/loom/devfile.yaml", devfile("loom", "1.0.0").replace("  tags: [Clay]\n", "")),
        ("stacks/weft/devfile.yaml", devfile("weft", "1.0.0")),
    ]);
    assert_eq!(
        warnings(&repository),
        ["extraDevfileEntries.yaml:3:5 sample/remote", "stacks/loom/devfile.yaml:1:1 index/tags"]
    );
    let mut files = kiln(STACK);
    for (_, text) in &mut files[1..] {
        *text = text.replace("  tags: [Clay]\n", "");
    }
    assert_eq!(warnings(&parse(&files)), ["stacks/kiln/stack.yaml:1:1 index/tags"]);
    files[0].1.push_str("tags: [Python]\n");
    assert_eq!(warnings(&parse(&files)), [""; 0]);
}

#[test]
fn dates_that_match_nothing_and_versions_without_a_date_are_warnings() {
    let row = |name: &str, version: &str| {
        format!(r#"    {{"name": "{name}", "version": "{version}", "lastModified": "2026-01-01T00:00:00Z"}}"#)
    };
    let dated = |rows: &[String]| {
        let mut files = kiln(STACK);
        files.push(("last_modified.json", format!("{{\n  \"stacks\": [\n{}\n  ]\n}}\n", rows.join(",\n"))));
        let text: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let tree = tree(&text);
        let mut repository = Repository::parse(&tree);
        repository.check_dates(&tree);
        let dates = repository.warnings.into_iter().filter(|p| p.rule.starts_with("lastModified")).collect();
        warnings(&Repository { warnings: dates, ..Repository::default() })
    };
    let all = [row("kiln", "1.0.0"), row("kiln", "1.9.0"), row("kiln", "1.10.0")];
    assert_eq!(dated(&all), [""; 0]);
    let odd = [all.as_slice(), &[row("kiln", "7.0.0"), row("nobody", "1.0.0"), row("1.0.0", "kiln")]].concat();
    let at = |line: u32| format!("last_modified.json:{line}:14 lastModified/unknown");
    assert_eq!(dated(&odd), [at(6), at(7), at(8)]);
    assert_eq!(dated(&all[..2]), ["stacks/kiln/1.10.0/devfile.yaml:1:1 lastModified/missing"]);
}

#[test]
fn devfile_with_errors_tells_what_the_index_lacks_as_well() {
    let text = devfile("loom", "1.0.0").replace("  version: 1.0.0\n", "") + "colour: red\n";
    let found = errors(&parse(&[("stacks/loom/devfile.yaml", text)]));
    assert_eq!(found, ["stacks/loom/devfile.yaml metadata/version", "stacks/loom/devfile.yaml schema/unknownField"]);
}

#[test]
fn external_stack_without_versions_or_links_is_refused() {
    for text in ["stacks:\n  - name: far\n", "stacks:\n  - name: far\n    versions: []\n"] {
        let found = errors(&parse(&[("extraDevfileEntries.yaml", text.to_owned())]));
        assert_eq!(found, ["extraDevfileEntries.yaml extraStacks/fields"], "{text}");
    }
}
