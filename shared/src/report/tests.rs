use bytes::Bytes;

use super::*;
use crate::diagnostic::Position;
use crate::validate::{Surroundings, devfile};

const DEVFILE: &str = "\
schemaVersion: 2.2.2
metadata:
  name: nodejs
  displayName: Node.js
  language: JavaScript
  projectTpye: Express
components:
  - name: runtime
    container:
      image: registry.example.org/node:22
      memoryLimt: 1Gi
commands:
  - id: build
    exec: {component: runtme, commandLine: npm install}
  - id: build
    exec: {component: runtime, commandLine: \"npm run {{what}}\"}
";

fn diagnostics() -> Vec<Diagnostic> {
    devfile("stacks/nodejs/1.0.0/devfile.yaml", DEVFILE.as_bytes(), &Surroundings::ALONE).diagnostics
}

fn report(format: Format, colour: Colour) -> String {
    let sources = |_: &str| Some(Bytes::from_static(DEVFILE.as_bytes()));
    let help_url = Some("https://example.org/validation.md");
    render(format, &diagnostics(), Options { sources: &sources, colour, help_url })
}

#[test]
fn report_for_people_has_lines_carets_and_help() {
    insta::assert_snapshot!(report(Format::Human, Colour::Never));
}

#[test]
fn report_for_programs_has_every_problem() {
    insta::assert_snapshot!("json", report(Format::Json, Colour::Never));
    insta::assert_snapshot!("github", report(Format::Github, Colour::Never));
    insta::assert_snapshot!("sarif", report(Format::Sarif, Colour::Never));
}

#[test]
fn colours_are_used_only_when_asked_for() {
    assert!(report(Format::Human, Colour::Always).contains("\x1b[1;31merror[command/duplicate]\x1b[0m"));
    assert!(!report(Format::Human, Colour::Never).contains('\x1b'));
}

#[test]
fn report_without_problems_says_so() {
    assert_eq!(human(&[], &|_| None, Colour::Never), "no problems\n");
    assert_eq!(github(&[]), "");
}

#[test]
fn texts_of_a_devfile_stay_texts() {
    let hostile =
        Diagnostic::error("a,b:c%.yaml", "x/y", "100%\n::error::\x1b[2J", "\r").at(Position { line: 1, column: 2 });
    let hostile = [hostile];
    assert_eq!(
        github(&hostile),
        "::error file=a%2Cb%3Ac%25.yaml,line=1,col=2,title=x/y::100%25\\u000a::error::\\u001b[2J%0A\\u000d\n"
    );
    let shown = human(&hostile, &|_| Some(Bytes::from_static(b"\x1b[2Jx")), Colour::Never);
    assert!(!shown.contains('\x1b'), "{shown}");
}

/// A place far out in a long line, beyond the line, beyond the file, and in a file that is gone.
#[test]
fn problem_at_an_odd_position_has_short_lines() {
    for (line, column) in [(1, 100_000), (1, 1_000_000), (2, 5), (9, 1), (0, 0), (u32::MAX, u32::MAX)] {
        let diagnostic = [Diagnostic::error("f", "r", "m", "").at(Position { line, column })];
        let long = Bytes::from("x ".repeat(100_000));
        let shown = human(&diagnostic, &|_| Some(long.clone()), Colour::Never);
        assert!(shown.lines().all(|line| line.chars().count() < 200), "{line}:{column}");
        human(&diagnostic, &|_| None, Colour::Never);
    }
    assert_eq!(
        "xml".parse::<Format>().unwrap_err().to_string(),
        "`xml` is not a format: use human, json, github or sarif"
    );
}

/// No line of any form begins a command of a workflow, and none controls a terminal.
#[test]
fn hostile_text_is_printable_in_every_format() {
    let hostile =
        "x\n::error file=a::b\r\n::stop-commands::t\n##[add-mask]s ##[error]\u{1b}[2J\u{9b}2J\u{202e}\u{2066}\u{7f}";
    let problem = Diagnostic::error(hostile, "x/y", hostile, hostile).at(Position { line: 1, column: 1 });
    let source = Bytes::from(format!("{}\n", hostile.replace('\n', " ")));
    for format in [Format::Human, Format::Json, Format::Github, Format::Sarif] {
        let sources = |_: &str| Some(source.clone());
        let options = Options { sources: &sources, colour: Colour::Never, help_url: None };
        let shown = render(format, std::slice::from_ref(&problem), options);
        assert!(!shown.contains("##["), "{format:?}: {shown}");
        for line in shown.lines() {
            assert!(!line.contains(crate::text::is_control), "{format:?}: {line:?}");
            let is_ours = format == Format::Github && line.starts_with("::error file=");
            assert!(is_ours || !line.trim_start().starts_with("::"), "{format:?}: {line}");
        }
        if let Format::Json | Format::Sarif = format {
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
            assert!(read.to_string().contains("[add-mask]s"), "it means the same");
        }
        assert_eq!(
            shown.matches("\n::").count() + usize::from(shown.starts_with("::")),
            usize::from(format == Format::Github)
        );
    }
}

#[test]
fn warnings_of_one_rule_are_one_paragraph_with_three_places() {
    let warning = |number: u32, message: &str, hint: &str| {
        Diagnostic::warning(format!("f{number}"), "index/tags", message, hint).at(Position { line: number, column: 1 })
    };
    let alike: Vec<Diagnostic> = (1..6).map(|number| warning(number, "no tags are given", "add some")).collect();
    insta::assert_snapshot!("alike", human(&alike, &|_| None, Colour::Never));
    let mut crowded = alike.clone();
    crowded.extend((0..8).map(|_| Diagnostic::warning("g", "uri/missing", "there is no file", "")));
    crowded.push(Diagnostic::warning("g", "index/icon", "no icon", "add one"));
    crowded.push(Diagnostic::error("g", "yaml/tab", "a line begins with a tab", "indent with spaces"));
    insta::assert_snapshot!("crowded", human(&crowded, &|_| None, Colour::Never));
    let unlike = [warning(1, "one", "this"), warning(2, "two\n", "that"), warning(2, "three", "")];
    insta::assert_snapshot!("unlike", human(&unlike, &|_| None, Colour::Never));
}
