//! The checker: hostile registry repositories.

use std::process::{Command, Output};

use registry_tests::registry::{TestRegistry, binary};

const BOMB: &str = "stacks/bomb/devfile.yaml";

/// A devfile of 350 kB whose variables expand to more than a gigabyte.
fn bomb() -> String {
    let mut text = format!(
        "schemaVersion: 2.2.2\nmetadata: {{name: bomb, version: 1.0.0, displayName: Bomb, language: Go, projectType: go}}\nvariables:\n  \
         a: {}\ncomponents:\n  - name: box\n    container:\n      image: x\n      args: [",
        "x".repeat(20_000)
    );
    for _ in 0..60_000 {
        text.push_str("'{{a}}',");
    }
    text.push_str("]\n");
    text
}

fn check(registry: &TestRegistry, format: &str) -> Output {
    let folder = registry.repository.path();
    let mut command = Command::new(binary("index-generator"));
    command.args(["--check", "--offline", "--format", format]).arg(folder);
    command.output().expect("index-generator starts")
}

#[tokio::test]
async fn expansion_bomb_is_an_error_with_a_line_and_quarantines_its_stack_alone() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.write(BOMB, bomb());
    let shown = String::from_utf8(check(&registry, "json").stdout).unwrap();
    let report: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let found = report["diagnostics"].as_array().unwrap();
    let bomb = found.iter().find(|problem| problem["rule"] == "variables/size").expect("the bomb is found");
    assert_eq!(
        (&bomb["line"], bomb["path"].as_str().unwrap().ends_with(BOMB)),
        (&serde_json::json!(9), true),
        "{bomb}"
    );

    let registry = registry.within_memory_limit();
    let report = registry.refresh().await.unwrap();
    assert_eq!(report["outcome"], "published");
    let held = report["quarantined"].as_array().unwrap();
    assert_eq!((held.len(), &held[0]["stack"]), (1, &serde_json::json!("bomb")), "{report}");
    assert!(registry.live().await["stacks"].as_array().unwrap().len() > 1);
}

#[tokio::test]
async fn long_text_of_a_devfile_is_cut_in_reports_and_status_and_stops_nobody() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let long = "x".repeat(900_000);
    for number in 0..20 {
        let head =
            format!("metadata: {{name: long-{number}, version: 1.0.0, displayName: L, language: Go, projectType: go}}");
        for (name, rest) in [
            (format!("uri-{number}"), format!("parent: {{uri: {long}}}\n")),
            (format!("web-{number}"), format!("parent: {{uri: 'https://example.org/{long}'}}\n")),
            (format!("registry-{number}"), format!("parent: {{id: x, registryUrl: 'https://example.org/{long}'}}\n")),
            (format!("key-{number}"), format!("{long}: 1\n")),
            (
                format!("id-{number}"),
                format!("commands: [{{id: {long}, exec: {{component: {long}, commandLine: x}}}}]\n"),
            ),
        ] {
            let text = format!("schemaVersion: 2.2.2\n{}\n{rest}", head.replace("long-", &format!("{name}-")));
            registry.write(&format!("stacks/{name}/devfile.yaml"), text);
        }
    }
    for format in ["human", "json", "github", "sarif"] {
        let output = check(&registry, format);
        assert_eq!(output.status.code(), Some(1), "{format}");
        assert!(output.stdout.len() < 400_000, "{format}: {} bytes", output.stdout.len());
        let longest = String::from_utf8(output.stdout).unwrap().lines().map(str::len).max().unwrap_or_default();
        assert!(longest < 4_000, "{format}: a line of {longest} bytes");
    }
    let registry = registry.within_memory_limit();
    let report = registry.refresh().await.unwrap();
    assert_eq!(report["outcome"], "published");
    assert_eq!(report["quarantined"].as_array().unwrap().len(), 100, "none of them is published as it stands");
    let serve = registry.serve().await;
    assert_eq!(serve.get("/devfiles/loom").await.0, 200);
    let (status, body) = serve.get("/status").await;
    assert!(status == 200 && body.len() < 400_000, "{} bytes", body.len());
}

#[tokio::test]
async fn path_that_holds_workflow_commands_is_printed_escaped() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    let hostile = "stacks/kiln/x\n::error file=a::b ##[error]\u{1b}[2J\u{202e}";
    registry.write(hostile, "x");
    registry.write("stacks/::stop-commands::x/devfile.yaml", "schemaVersion: [\n");
    registry.write("stacks/##[error]y/devfile.yaml", "metadata: \"\\e[2J\"\n");
    for format in ["human", "json", "github", "sarif"] {
        let output = check(&registry, format);
        for text in [output.stdout, output.stderr] {
            let text = String::from_utf8(text).unwrap();
            for line in text.lines() {
                let is_ours = format == "github" && line.starts_with("::") && line.contains(" file=");
                assert!(is_ours || !line.trim_start().starts_with("::"), "{format}: {line}");
                assert!(!line.contains("##[") && !line.contains(['\u{1b}', '\u{202e}']), "{format}: {line}");
            }
        }
    }
}
