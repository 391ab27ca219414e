//! Devfiles with random mistakes: none crashes the checker, and none takes it long.

use std::time::{Duration, Instant};

use rayon::prelude::*;

use super::*;

/// Devfiles that use most of the fields.
const DEVFILES: [&str; 3] = [
    "schemaVersion: 2.2.2
metadata: {name: loom, version: 1.0.0, displayName: Loom, language: Go, projectType: go, tags: [Go], architectures: [amd64]}
variables: {tag: '1.25', mem: 1Gi}
attributes: {controller.example.org/x: {a: [1, two]}}
parent:
  uri: ../base.yaml
  components: [{name: box, attributes: {pod-overrides: {spec: x}}, container: {image: y}}]
  variables: {v: w}
components:
  - name: runtime
    container:
      image: 'registry.example.org/go:{{tag}}'
      memoryLimit: '{{mem}}'
      cpuRequest: 100m
      env: [{name: A, value: '{{tag}}'}]
      volumeMounts: [{name: data, path: /data}]
      endpoints:
        - {name: web, targetPort: 8080, exposure: public, attributes: {a: b}}
      annotation: {deployment: {a: b}, service: {c: d}}
  - name: data
    volume: {size: 2Gi}
  - name: deploy
    kubernetes: {uri: deploy/app.yaml}
  - name: image
    image:
      imageName: x
      dockerfile: {uri: Dockerfile, args: ['{{tag}}'], rootRequired: false}
commands:
  - id: build
    exec: {component: runtime, commandLine: go build, workingDir: '${PROJECT_SOURCE}', group: {kind: build, isDefault: true}}
  - id: all
    composite: {commands: [build, push], parallel: true}
  - id: push
    apply: {component: image}
events: {preStart: [push], postStart: [build]}
starterProjects:
  - name: hello
    git: {remotes: {'{{tag}}': 'https://example.org/a.git'}, checkoutFrom: {remote: '1.25', revision: main}}
  - name: zipped
    zip: {location: hello-offline.zip}
",
    "schemaVersion: 2.0.0
metadata:
  name: old
  displayName: Old
  language: Java
  projectType: maven
components:
  - name: p
    plugin: {uri: ../base.yaml, components: [{name: box, container: {memoryLimit: 1Gi}}]}
  - name: tools
    container: &tools {image: x, mountSources: true}
  - name: more
    container: *tools
commands:
  - id: run
    vscodeTask: {inlined: x}
projects:
  - {name: a, git: {remotes: {o: x, p: y}, checkoutFrom: {remote: o}}}
  - {name: b, github: {remotes: {o: x}}}
",
    "{\"schemaVersion\": \"2.3.0\", \"metadata\": {\"name\": \"j\", \"displayName\": \"J\", \"language\": \"l\", \"projectType\": \"p\"},
\"components\": [{\"name\": \"a\", \"openshift\": {\"inlined\": \"{{x}}\", \"endpoints\": [{\"name\": \"e\", \"targetPort\": 1}]}}],
\"dependentProjects\": [{\"name\": \"d\", \"git\": {\"remotes\": {\"o\": \"x\"}}}]}
",
];

/// Their parent.
const BASE: &str = "schemaVersion: 2.0.0
components: [{name: box, attributes: {pod-overrides: {a: b}}, container: {image: i}}]
variables: {v: x}
";

/// Values that may stand in the place of others.
const SCALARS: [&str; 24] = [
    "~",
    "true",
    "no",
    "0",
    "-1",
    "1e400",
    ".inf",
    "0x1f",
    "99999999999999999999",
    "''",
    "\"\\u0000\"",
    "[]",
    "{}",
    "[[[]]]",
    "{{x}}",
    "'{{x}}'",
    "*a",
    "&a b",
    "!!int x",
    "- x",
    "<<: {a: 1}",
    "|\n  text",
    "ünï€",
    "\u{2028}",
];

/// Changes one thing.
fn mutate(text: &mut Vec<u8>, random: &mut fastrand::Rng) {
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let line = random.usize(..lines.len());
    match random.u8(..9) {
        0 => drop(lines.remove(line)),
        1 => lines.insert(random.usize(..=lines.len()), lines[line].clone()),
        2 => {
            let other = random.usize(..lines.len());
            lines.swap(line, other);
        }
        3 => lines[line].insert(0, *random.choice(b" \t-?:#&*!|>'\"%@`{}[],").unwrap()),
        4 => {
            let blanks = lines[line].iter().take_while(|byte| **byte == b' ').count();
            lines[line].drain(..random.usize(..=blanks));
        }
        5 => {
            let end = lines[line].iter().position(|byte| *byte == b':').map_or(0, |at| at + 1);
            lines[line].truncate(end);
            lines[line].push(b' ');
            lines[line].extend_from_slice(random.choice(SCALARS).unwrap().as_bytes());
        }
        6 => {
            let at = random.usize(..=lines[line].len());
            let inserted = random.choice(SCALARS).unwrap().bytes();
            lines[line].splice(at..at, inserted);
        }
        7 if !lines[line].is_empty() => {
            let at = random.usize(..lines[line].len());
            lines[line][at] = random.u8(..);
        }
        _ => {
            let other = random.choice(DEVFILES).unwrap().as_bytes().split(|byte| *byte == b'\n');
            let other: Vec<&[u8]> = other.collect();
            lines[line] = random.choice(other).unwrap().to_vec();
        }
    }
    if lines.is_empty() {
        lines.push(Vec::new());
    }
    *text = lines.join(&b'\n');
}

/// Time that no devfile needs, however busy the machine is: usual are some milliseconds.
const LIMIT: Duration = Duration::from_secs(2);

/// Checks the devfile of a seed: how long that takes, and whether it is valid.
fn judge(seed: u64) -> (Duration, u64, bool) {
    const PATH: &str = "stacks/s/devfile.yaml";
    let mut random = fastrand::Rng::with_seed(seed);
    let mut text = random.choice(DEVFILES).unwrap().as_bytes().to_vec();
    let mut parent = BASE.as_bytes().to_vec();
    for _ in 0..=random.u8(..4) {
        mutate(&mut text, &mut random);
    }
    if random.bool() {
        mutate(&mut parent, &mut random);
    }
    let files = |path: &str| match path {
        "stacks/base.yaml" => Some(Bytes::from(parent.clone())),
        PATH => Some(Bytes::from(text.clone())),
        _ => None,
    };
    let around = Surroundings { files: &files, ..Surroundings::ALONE };
    let start = Instant::now();
    let checked = devfile(PATH, &text, &around);
    let time = start.elapsed();
    let is_placed = |problem: &Diagnostic| problem.position.is_some() && !problem.rule.is_empty();
    assert!(checked.diagnostics.iter().chain(&checked.of_parents).all(is_placed), "seed {seed}");
    if let Some(document) = &checked.document {
        let _ = crate::devfile::Devfile::new(PATH, document);
    }
    (time, seed, checked.is_valid())
}

#[test]
fn mutated_devfiles_never_crash_the_checker_and_are_judged_in_time() {
    judge(0);
    let judged: Vec<_> = (0..8_000).into_par_iter().map(judge).collect();
    let valid = judged.iter().filter(|(.., is_valid)| *is_valid).count();
    let (time, seed, _) = judged.into_iter().max().unwrap();
    assert!(time < LIMIT, "seed {seed} took {time:?}");
    assert!(valid > 100, "some changes do no harm");
}
