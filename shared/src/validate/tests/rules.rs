//! Every rule with the smallest devfile that breaks it and, where that is not plain, one that does not.

use super::*;

fn check(text: &str) -> Vec<String> {
    problems(&check_among(text, &[]))
}

/// Lines after the head, and their problems.
fn table(cases: &[(&str, &[&str])]) {
    for (lines, expected) in cases {
        assert_eq!(check(&format!("{HEAD}{lines}")), *expected, "{lines}");
    }
}

#[test]
fn mistake_against_the_schema_is_reported_at_its_position() {
    table(&[
        ("colour: red\n", &["schema/unknownField 3:1"]),
        ("components: 5\n", &["schema/type 3:13"]),
        ("components:\n", &["schema/type 3:1"]),
        ("components: [{volume: {}}]\n", &["schema/required 3:14"]),
        ("components: [{name: a}]\n", &["schema/oneOf 3:14"]),
        ("components: [{name: a, volume: {}, image: {imageName: b, dockerfile: {uri: c}}}]\n", &["schema/oneOf 3:36"]),
        ("components: [{name: a, contianer: {image: x}}]\n", &["schema/unknownField 3:24"]),
        ("components: [{name: a_b, volume: {}}]\n", &["schema/pattern 3:21"]),
        (&format!("components: [{{name: {}, volume: {{}}}}]\n", "a".repeat(64)), &["schema/maxLength 3:21"]),
        ("commands: [{id: a, composite: {group: {kind: Build}}}]\n", &["schema/enum 3:46"]),
        (
            "components: [{name: a, container: {image: x, endpoints: [{name: e, targetPort: 99999999999999999999}]}}]\n",
            &["schema/type 3:80"],
        ),
        (
            "parent: {id: x, registryUrl: \"https://e.org\", version: x}\n",
            &["parent/unreachable? 3:14", "schema/parentVersion 3:56"],
        ),
    ]);
    let metadata = |more: &str| HEAD.replace('}', &format!(", {more}}}"));
    assert_eq!(check(&metadata("version: 1.0")), ["schema/type 2:75"]);
    assert_eq!(check(&metadata("version: v1.0.0")), ["schema/metadataVersion 2:75"]);
    assert_eq!(check(&metadata("architectures: [amd64, amd64]")), ["schema/uniqueItems 2:66"]);
    let old = HEAD.replace("2.2.2", "2.0.0").replace("language: l", "language: 5");
    assert_eq!(check(&old), ["schema/type 2:47"]);
}

/// The hints that need more than the schema.
#[test]
fn problem_has_a_hint_with_its_remedy() {
    let hint = |text: &str| check_among(text, &[]).diagnostics[0].hint.clone();
    assert_eq!(hint(&format!("{HEAD}componets: []\n")), "did you mean `components`?");
    let old = HEAD.replace("2.2.2", "2.1.0");
    assert_eq!(
        hint(&format!("{old}dependentProjects: []\n")),
        "`dependentProjects` needs schemaVersion 2.2.2 or later"
    );
    assert!(hint(&HEAD.replace("language: l", "language: no")).contains("quotes"));
    assert_eq!(hint(&HEAD.replace("2.2.2", "2.2.9")), "did you mean `2.2.2`?");
    assert_eq!(hint(&HEAD.replace("schemaVersion", "schemaversion")), "rename `schemaversion`");
}

#[test]
fn wrong_schema_version_is_reported_at_its_position() {
    for (line, expected) in [
        ("schemaVersion: 2.2.9", "schemaVersion/value 1:16"),
        ("schemaVersion: 2.2.0-", "schemaVersion/value 1:16"),
        ("schemaVersion: ''", "schemaVersion/value 1:16"),
        ("schemaVersion: 2.2", "schemaVersion/type 1:16"),
        ("schemaVersion:", "schemaVersion/type 1:1"),
        ("x: 2.2.0", "schemaVersion/absent 1:1"),
    ] {
        assert_eq!(check(&HEAD.replace("schemaVersion: 2.2.2", line)), [expected], "{line}");
    }
    for version in ["2.0.0", "2.1.0", "2.2.0", "2.2.1", "2.2.2", "2.3.0", "2.2.0-alpha"] {
        assert!(check(&HEAD.replace("2.2.2", version)).is_empty(), "{version}");
    }
    for text in ["[a]", "5", "text"] {
        assert_eq!(check(text), ["yaml/root 1:1"], "{text}");
    }
}

#[test]
fn mistake_in_metadata_is_reported_at_its_position() {
    for (from, to, expected) in [
        ("name: m, ", "", "metadata/name 2:1"),
        ("displayName: d", "displayName: ''", "metadata/displayName 2:21"),
        ("language: l", "language:", "metadata/language 2:37"),
        ("language: l", "Language: l", "metadata/case 2:37"),
        ("projectType: p", "projektType: p", "metadata/projectType 2:50"),
        ("language: l", "language: ' '", "metadata/language? 2:47"),
        ("name: m", "name: m, langauge: x", "metadata/unknownField? 2:21"),
    ] {
        let found = check(&HEAD.replacen(from, to, 1));
        let expected = match from {
            // The empty value has the schema's complaint as well.
            _ if to == "language:" => vec![expected, "schema/type 2:37"],
            _ => vec![expected],
        };
        assert_eq!(found, expected, "{to}");
    }
    let all = check("schemaVersion: 2.2.2\n");
    assert_eq!(all.len(), 4, "{all:?}");
    let deep = HEAD.replace('}', &format!(", attributes: {{a: {}{}}}}}", "[".repeat(120), "]".repeat(120)));
    assert_eq!(check(&deep), ["metadata/depth 2:1"]);
}

#[test]
fn mistake_in_a_component_is_reported_at_its_position() {
    table(&[
        ("components: [{name: a, volume: {}}, {name: a, volume: {}}]\n", &["component/duplicate 3:44"]),
        (
            "components: [{name: a, container: {image: x, volumeMounts: [{name: v}, {name: a}]}}]\n",
            &["component/volumeMount 3:68", "component/volumeMount 3:79"],
        ),
        (
            "components: [{name: a, container: {image: x, env: [{name: PROJECT_SOURCE, value: x}]}}]\n",
            &["component/reservedEnv 3:59"],
        ),
        ("components: [{name: a, container: {image: ''}}]\n", &["component/image? 3:43"]),
        ("components: [{name: a, container: {image: x, memoryLimit: 1GiB}}]\n", &["quantity/bad 3:59"]),
        ("components: [{name: a, container: {image: x, cpuLimit: \"-1\"}}]\n", &["quantity/negative? 3:56"]),
        (
            "components: [{name: a, container: {image: x, cpuLimit: 100m, cpuRequest: \"1\"}}]\n",
            &["quantity/requestOverLimit 3:74"],
        ),
        ("components: [{name: a, volume: {size: big}}]\n", &["volume/size 3:39"]),
        ("components: [{name: a, kubernetes: {uri: \"a%zz\"}}]\n", &["uri/format 3:42"]),
        (
            "components: [{name: a, image: {imageName: b, dockerfile: {git: {remotes: {a: x, b: z}}}}}]\n",
            &["image/remotes 3:65"],
        ),
    ]);
}

#[test]
fn conflict_of_endpoints_or_annotations_is_reported_at_its_position() {
    let pair = |first: &str, second: &str| {
        format!(
            "components:\n  - {{name: a, container: {{image: x, {first}}}}}\n  - {{name: b, container: {{image: x, {second}}}}}\n"
        )
    };
    let endpoint = |name: &str, port: u32| format!("endpoints: [{{name: {name}, targetPort: {port}}}]");
    let annotated = |value: &str| format!("annotation: {{service: {{k: {value}}}}}");
    table(&[
        (&pair(&endpoint("e", 1), &endpoint("e", 2)), &["endpoint/name 5:56"]),
        (&pair(&endpoint("e", 1), &endpoint("f", 1)), &["endpoint/port 5:71"]),
        (&pair(&endpoint("e", 0), "memoryLimit: 1Gi"), &["endpoint/portRange? 4:71"]),
        (&pair(&annotated("x"), &annotated("z")), &["annotation/conflict 5:63"]),
        (&pair(&annotated("x"), &format!("dedicatedPod: true, {}", annotated("z"))), &[]),
        (&pair(&annotated("x"), &annotated("x")), &[]),
        (&pair("endpoints: [{name: e, targetPort: 1}, {name: f, targetPort: 1}]", "args: []"), &[]),
    ]);
}

/// Commands over a container `t` and a volume `v`.
#[test]
fn mistake_in_a_command_is_reported_at_its_position() {
    for (commands, expected) in [
        (
            "[{id: a, exec: {component: t, commandLine: x}}, {id: a, apply: {component: t}}]",
            &["command/duplicate 6:64"][..],
        ),
        ("[{id: a, exec: {component: T, commandLine: x}}]", &["command/reference 6:38"]),
        ("[{id: a, exec: {component: v, commandLine: x}}]", &["command/reference 6:38"]),
        ("[{id: a, apply: {component: v}}]", &["command/reference 6:39"]),
        ("[{id: a, composite: {commands: [b]}}]", &["composite/reference 6:43"]),
        ("[{id: a, composite: {commands: [a]}}]", &["composite/cycle 6:43"]),
        (
            "[{id: a, composite: {commands: [b]}}, {id: b, composite: {commands: [c, c]}}, {id: c, composite: {commands: [a]}}]",
            &["composite/cycle 6:120"],
        ),
        (
            "[{id: a, apply: {component: t, group: {kind: run}}}, {id: b, apply: {component: t, group: {kind: run}}}]",
            &["group/noDefault 6:42"],
        ),
        (
            "[{id: a, apply: {component: t, group: {kind: run, isDefault: true}}}, {id: b, apply: {component: t, group: {kind: run, isDefault: true}}}]",
            &["group/twoDefaults 6:130"],
        ),
        ("[{id: a, apply: {component: t, group: {kind: run}}}]", &[]),
    ] {
        let text = format!(
            "{HEAD}components:\n  - {{name: t, container: {{image: x}}}}\n  - {{name: v, volume: {{}}}}\ncommands: {commands}\n"
        );
        assert_eq!(check(&text), *expected, "{commands}");
    }
    let old = HEAD.replace("2.2.2", "2.0.0");
    assert_eq!(check(&format!("{old}commands: [{{id: a, vscodeTask: {{inlined: x}}}}]\n")), ["command/type 3:20"]);
}

#[test]
fn event_with_a_wrong_command_is_reported_at_its_position() {
    let commands = "components: [{name: t, container: {image: x}}]
commands:
  - {id: ap, apply: {component: t}}
  - {id: ex, exec: {component: t, commandLine: x}}
  - {id: cap, composite: {commands: [ap]}}
  - {id: cex, composite: {commands: [ex]}}
  - {id: mix, composite: {commands: [ap, ex]}}
  - {id: deep, composite: {commands: [cap]}}
";
    for (events, expected) in [
        ("preStart: [ap, cap]", &[][..]),
        ("postStart: [ex, cex]", &[]),
        ("preStop: [ex, cex]", &[]),
        ("postStop: [ap, cap]", &[]),
        ("preStart: [ex, cex, mix]", &["events/type 11:21", "events/type 11:25", "events/type 11:30"]),
        ("postStart: [mix]", &["events/type 11:22"]),
        ("postStop: [deep]", &["events/type 11:21"]),
        ("preStop: [nope, AP]", &["events/reference 11:20", "events/reference 11:26"]),
    ] {
        assert_eq!(check(&format!("{HEAD}{commands}events: {{{events}}}\n")), *expected, "{events}");
    }
}

#[test]
fn mistake_in_a_project_is_reported_at_its_position() {
    table(&[
        ("projects: [{name: p, git: {remotes: {}}}]\n", &["projects/remotes 3:28"]),
        ("projects: [{name: p, git: {remotes: {a: x, b: z}}}]\n", &["projects/remotes 3:28"]),
        ("projects: [{name: p, git: {remotes: {a: x, b: z}, checkoutFrom: {remote: b}}}]\n", &[]),
        ("projects: [{name: p, git: {remotes: {a: x}, checkoutFrom: {remote: b}}}]\n", &["projects/remotes 3:68"]),
        (
            "variables: {r: b}\nprojects: [{name: p, git: {remotes: {\"{{r}}\": x, c: z}, checkoutFrom: {remote: b}}}]\n",
            &[],
        ),
        ("starterProjects: [{name: p, git: {remotes: {a: x, b: z}}}]\n", &["starterProjects/remotes 3:35"]),
        ("dependentProjects: [{name: p, git: {remotes: {}}}]\n", &["dependentProjects/remotes? 3:31"]),
        ("projects: [{name: p, zip: {}}, {name: p, zip: {}}]\n", &["projects/duplicate? 3:39"]),
        ("projects: [{name: p, clonePath: ../x, zip: {}}]\n", &["projects/clonePath? 3:33"]),
    ]);
}

#[test]
fn mistake_in_a_variable_is_reported_at_its_position() {
    table(&[
        ("variables: {m: 1Gi}\ncomponents: [{name: v, volume: {size: \"{{ m }}\"}}]\n", &[]),
        (
            "variables: {mem: 1Gi}\ncomponents: [{name: c, container: {image: \"{{men}}\"}}]\n",
            &["variables/undefined? 4:43"],
        ),
        (
            "variables: {c: a1}\ncomponents: [{name: c, container: {image: x, cpuLimit: \"{{c}}\"}}]\n",
            &["quantity/bad 4:56"],
        ),
    ]);
}
