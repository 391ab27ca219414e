//! The commands of the documentation, run as a reader would.
//!
//! A fenced block marked `sh` is run as a whole and must succeed. In one marked `console`, a line that begins with `$ ` is a command,
//! continued by a backslash at its end. The lines below, up to the next command, are its output, where `...` stands for anything
//! in a line and, alone, for any number of lines. A command without such lines must succeed.

use std::path::Path;

use registry_tests::registry::TestRegistry;

use crate::shell::{Ran, Shell};

const ACCOUNT: &str = "needs an AWS account; scripts/lib/test_aws.py runs scripts/deploy against a stand-in for AWS";
const ENGINE: &str = "needs a container engine, or a cluster; scripts/lib/test_selfhosting.py checks the manifests";
const RUNS: &str = "runs a registry and does not end; tests/tests/store/running.rs runs it";
const ENDLESS: &str = "starts servers and does not end";
const BUILD: &str = "builds or tests the whole workspace";
const PLACEHOLDER: &str = "names a folder, repository or commit of the reader";

/// The `sh` blocks that are not run: page, beginning of the block, reason.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("README.md", "cargo run -p cli -- preview", ENDLESS),
    ("README.md", "STORE=registry-data", RUNS),
    ("CONTRIBUTING.md", "cargo build --workspace\nscripts/dev", ENDLESS),
    ("CONTRIBUTING.md", "DEV_SOURCE=path/to/registry scripts/dev", ENDLESS),
    ("CONTRIBUTING.md", ". .dev/env", "needs a running scripts/dev; tests/tests/dynamic/triggers.rs delivers pushes"),
    ("CONTRIBUTING.md", "scripts/test", BUILD),
    ("docs/contributors/testing.md", "cargo nextest run", BUILD),
    (
        "docs/contributors/testing.md",
        ". .dev/env",
        "needs a running scripts/dev; tests/tests/dynamic/walk.rs calls the same stand-in",
    ),
    ("docs/contributors/profile.md", "CARGO_PROFILE_RELEASE_STRIP", BUILD),
    ("docs/stack-authors/commands.md", "cargo install --path cli", BUILD),
    (
        "docs/stack-authors/commands.md",
        "release=https://github.com/",
        "downloads a release; tests/tests/check.rs runs the action that does so",
    ),
    (
        "docs/stack-authors/commands.md",
        "pip install ./devfile_registry-",
        "scripts/lib/test_release.py installs a wheel",
    ),
    ("docs/stack-authors/get-started.md", "devfile-registry preview", ENDLESS),
    ("docs/stack-authors/preview-and-check.md", "devfile-registry check", PLACEHOLDER),
    ("docs/stack-authors/preview-and-check.md", "devfile-registry diff", PLACEHOLDER),
    ("docs/stack-authors/preview-and-check.md", "devfile-registry preview", ENDLESS),
    (
        "docs/operators/migrate.md",
        "devfile-registry compare",
        "asks registries on the internet; tests/tests/cli/comparing.rs runs it",
    ),
    (
        "docs/stack-authors/create-a-stack.md",
        "devfile-registry new stack",
        "needs the built command on PATH; tests/tests/cli/creating.rs runs it",
    ),
    (
        "docs/stack-authors/versions.md",
        "devfile-registry new version",
        "needs the built command on PATH; tests/tests/cli/creating.rs runs it",
    ),
    ("docs/operators/self-host.md", "STORE=registry-data", RUNS),
    ("docs/contributors/conformance.md", "../shared/conformance/check", "its files are not part of the project"),
    ("docs/operators/deploy-on-aws.md", "aws secretsmanager create-secret", ACCOUNT),
    ("docs/operators/deploy-on-aws.md", "scripts/deploy OidcAudience", ACCOUNT),
    (
        "docs/operators/deploy-on-aws.md",
        "scripts/deploy --dry-run",
        "fetches tools; scripts/lib/test_deploy.py runs it",
    ),
    ("docs/operators/deploy-on-aws.md", "scripts/deploy --packages", ACCOUNT),
    ("docs/operators/deploy-on-aws.md", "scripts/deploy --remove-failed", ACCOUNT),
    ("docs/operators/deploy-on-aws.md", "scripts/deploy DomainName", ACCOUNT),
    ("docs/operators/deploy-on-aws.md", ".tools/bin/sam delete", ACCOUNT),
    ("docs/operators/self-host.md", "export AWS_SECRET_ACCESS_KEY", ENGINE),
    ("docs/operators/self-host.md", "export WEBHOOK_SECRET", ENGINE),
    ("docs/operators/self-host.md", "podman build", ENGINE),
    (
        "docs/operators/self-host.md",
        "install devfile-registry",
        "needs systemd; scripts/lib/test_selfhosting.py checks the units",
    ),
    ("docs/operators/observe.md", "cargo build --release -p serve", BUILD),
    ("docs/operators/offline.md", "refresh invoke", "needs OFFLINE; tests/tests/starters/offline.rs runs it"),
    ("docs/operators/operate.md", "refresh=devfile-registry-refresh", ACCOUNT),
    ("docs/operators/operate.md", "aws sqs receive-message", ACCOUNT),
    ("docs/operators/operate.md", "systemctl stop", "needs systemd; tests/tests/store/running.rs copies a directory"),
    ("docs/operators/operate.md", "skopeo copy oci:", "names a deployed folder; tests/tests/store/programs.rs runs it"),
    ("docs/operators/operate.md", "act '{\"action\":\"rollback\"", PLACEHOLDER),
    ("docs/contributors/performance.md", "cargo build --release --workspace", BUILD),
    ("docs/contributors/performance.md", "scripts/bench", "takes ten minutes"),
    ("docs/stack-authors/validation.md", "devfile-registry check DIR", PLACEHOLDER),
    (
        "docs/operators/follow-a-repository.md",
        "BODY=",
        "needs a running registry; tests/tests/dynamic/hosts.rs runs it",
    ),
];

/// A fenced block of a page.
#[derive(Debug, PartialEq, Eq)]
struct Block {
    line: usize,
    language: String,
    text: String,
}

/// A command, with the output that the page shows.
#[derive(Debug, PartialEq, Eq)]
struct Example<'b> {
    command: String,
    output: Vec<&'b str>,
}

#[tokio::test]
async fn documented_commands_do_as_their_pages_show() {
    let registry = TestRegistry::of(&TestRegistry::example()).await;
    registry.refresh().await.unwrap();
    let serve = registry.serve().await;
    let mut unused = NOT_RUN.to_vec();
    let mut wrong = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(project().join(&page)).unwrap();
        for block in &blocks(&text) {
            let listed = |(of, start, _): &(&str, &str, &str)| *of == page && block.text.starts_with(start);
            if NOT_RUN.iter().any(listed) {
                unused.retain(|row| !listed(row));
                continue;
            }
            let place = format!("{page}:{}", block.line);
            let shell = Shell::new(&registry, &serve);
            let text = &block.text;
            let parts = match block.language.as_str() {
                "console" => examples(text),
                "sh" => vec![Example { command: text.clone(), output: Vec::new() }],
                "yaml" | "text" => Vec::new(),
                other => {
                    wrong.push(format!("{place}: mark commands `sh` or `console`, not `{other}`"));
                    continue;
                }
            };
            for Example { command, output } in parts {
                let fault = fault(&shell.run(&command).await, &output);
                wrong.extend(fault.map(|fault| format!("{place}: {command}\n{fault}")));
            }
        }
    }
    wrong.extend(unused.iter().map(|row| format!("no block is like {row:?}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned(), "CONTRIBUTING.md".to_owned()];
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in project().join(&folder).read_dir().unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().into_string().unwrap());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else if path.ends_with(".md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The fenced blocks of a page. One in a list is indented as its fence is.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut fence: Option<usize> = None;
    for (number, line) in page.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match (line.trim_start().strip_prefix("```"), fence) {
            (Some(_), Some(_)) => fence = None,
            (Some(language), None) => {
                fence = Some(indent);
                blocks.push(Block { line: number + 1, language: language.to_owned(), text: String::new() });
            }
            (None, Some(indent)) => {
                let text = &mut blocks.last_mut().unwrap().text;
                text.push_str(line.get(indent..).unwrap_or_default());
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

fn examples(block: &str) -> Vec<Example<'_>> {
    let mut found: Vec<Example<'_>> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), found.last_mut()) {
            (Some(command), _) => found.push(Example { command: command.to_owned(), output: Vec::new() }),
            (None, Some(last)) if last.output.is_empty() && last.command.ends_with('\\') => {
                last.command = format!("{}\n{line}", last.command);
            }
            (None, Some(last)) => last.output.push(line),
            (None, None) => {}
        }
    }
    found
}

/// Returns the difference of a command from its page.
fn fault(ran: &Ran, output: &[&str]) -> Option<String> {
    let printed: Vec<&str> = ran.printed.lines().map(str::trim_end).collect();
    match output {
        [] => (!ran.succeeded).then(|| format!("fails:\n{}", ran.printed)),
        _ => (!fits(output, &printed)).then(|| format!("shows\n{}\nand prints\n{}", output.join("\n"), ran.printed)),
    }
}

fn fits(expected: &[&str], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        [dots, rest @ ..] if dots.trim() == "..." => (0..=printed.len()).any(|start| fits(rest, &printed[start..])),
        [line, rest @ ..] => {
            printed.split_first().is_some_and(|(first, others)| fits_line(line, first) && fits(rest, others))
        }
    }
}

fn fits_line(expected: &str, printed: &str) -> bool {
    match expected.split_once("...") {
        None => expected == printed,
        Some((start, rest)) => printed.strip_prefix(start).is_some_and(|printed| {
            let ends = printed.char_indices().map(|(index, _)| index).chain([printed.len()]);
            ends.into_iter().any(|end| fits_line(rest, &printed[end..]))
        }),
    }
}

#[test]
fn blocks_have_their_language_and_line() {
    let page = "```sh\n$ rm x\n```\n```console\n$ echo a \\\n    b\na b\n\n$ true\n```\n$ false\n1. x\n\n   ```sh\n   a\n     b\n   ```\n";
    let found = blocks(page);
    let (lines, texts): (Vec<_>, Vec<_>) = found.iter().map(|block| (block.line, block.text.as_str())).unzip();
    assert_eq!(lines, [1, 4, 14]);
    assert_eq!((texts[0], texts[2]), ("$ rm x\n", "a\n  b\n"));
    let shown = examples(texts[1]);
    assert_eq!(shown[0], Example { command: "echo a \\\n    b".to_owned(), output: vec!["a b", ""] });
    assert_eq!(shown[1], Example { command: "true".to_owned(), output: vec![] });
}

#[test]
fn dots_stand_for_any_text_or_lines() {
    for (expected, printed, fitting) in [
        (["a...c", "...", "z"].as_slice(), ["abc", "1", "2", "z"].as_slice(), true),
        (&["...", "z"], &["z"], true),
        (&["a...c"], &["ab", "c"], false),
        (&["a.c"], &["abc"], false),
        (&["a"], &["a", "b"], false),
    ] {
        assert_eq!(fits(expected, printed), fitting, "{expected:?} {printed:?}");
    }
}

#[test]
fn command_that_fails_or_prints_something_else_is_a_fault() {
    let ran = |succeeded, printed: &str| Ran { succeeded, printed: printed.to_owned() };
    assert!(fault(&ran(true, "a\n"), &["a"]).is_none() && fault(&ran(true, "b\n"), &[]).is_none());
    assert!(fault(&ran(true, "a\n"), &["b"]).is_some() && fault(&ran(false, ""), &[]).is_some());
}
