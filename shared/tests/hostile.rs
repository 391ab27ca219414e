//! Files made to cost as much as they can: each is refused, or checked, within a bound of memory. They are counted in bytes
//! because time says nothing on a busy machine; a check that takes long on a file of one MiB allocates much as well.

#![allow(clippy::unwrap_used, reason = "this is all a test")]

use bytes::Bytes;
use devfile_registry::diagnostic::Severity;
use devfile_registry::repository::Repository;
use devfile_registry::tree::{File, Tree, TreePath};
use devfile_registry::validate::{Surroundings, devfile};
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const MEBIBYTE: usize = 1 << 20;

/// Most memory for one file, in bytes.
const BOUND: usize = 64 * MEBIBYTE;

const HEAD: &str = "schemaVersion: 2.2.2\nmetadata: {name: m, displayName: d, language: l, projectType: p}\n";

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect()
}

fn bomb(levels: usize, wide: usize) -> String {
    let level = |level: usize| match level {
        0 => "a0: &a0 [x, x]\n".to_owned(),
        _ => format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); wide].join(", ")),
    };
    lines(levels, level)
}

/// Files that are wrong by their form.
fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let texts = [
        ("bomb", bomb(12, 10)),
        ("slow bomb", bomb(40, 2)),
        ("deep flow", "[".repeat(MEBIBYTE - 1)),
        ("deep block", "- ".repeat(MEBIBYTE / 2 - 1)),
        ("deep mapping", lines(1000, |level| format!("{}a:\n", " ".repeat(level)))),
        ("big scalar", format!("a: {}", "x".repeat(MEBIBYTE))),
        ("many nodes", format!("a: [{}]", "1,".repeat(500_000))),
        ("many keys", lines(100_000, |key| format!("k{key}: 1\n"))),
        ("duplicate keys", "a: 1\n".repeat(200_000)),
        ("tabs", "a:\n\t- b\n".repeat(100_000)),
        ("documents", "---\na: 1\n".repeat(100_000)),
        ("question marks", "? ".repeat(MEBIBYTE / 2 - 1)),
        ("open quotes", format!("a: \"{}", "x\n\n".repeat(300_000))),
        ("commas", format!("[{}", ",".repeat(MEBIBYTE / 2))),
        ("anchors", format!("a: {}", lines(400, |level| format!("&a{level} [")))),
    ];
    let mut files: Vec<_> = texts.into_iter().map(|(what, text)| (what, text.into_bytes())).collect();
    files.push(("not UTF-8", vec![0x80; MEBIBYTE - 1]));
    files.push(("nothing but zeros", vec![0; MEBIBYTE - 1]));
    files.push(("one byte over the limit", vec![b'#'; MEBIBYTE + 1]));
    files
}

/// Files that are read, and keep the checks busy.
fn busy() -> Vec<(&'static str, String)> {
    let many = |count, line: &dyn Fn(usize) -> String| lines(count, line);
    let variables = many(20_000, &|index| format!("v{index}: x, "));
    vec![
        (
            "metadata",
            format!("schemaVersion: 2.2.2\nmetadata: {{{}}}\n", many(40_000, &|index| format!("k{index}: 1, "))),
        ),
        (
            "variables",
            format!(
                "{HEAD}variables: {{{variables}}}\ncommands:\n- {{id: a, exec: {{component: b, commandLine: \"{}\"}}}}\n",
                "{{q}}".repeat(100_000)
            ),
        ),
        (
            "expansion",
            format!(
                "{HEAD}variables: {{a: {}}}\ncomponents:\n- {{name: b, container: {{image: x, args: [{}]}}}}\n",
                "x".repeat(20_000),
                "'{{a}}',".repeat(60_000)
            ),
        ),
        ("reference", format!("{HEAD}parent: {{uri: 'https://example.org/{}'}}\n", "x".repeat(900_000))),
        (
            "events",
            format!(
                "{HEAD}events: {{preStart: [{}]}}\ncommands:\n{}",
                many(30_000, &|index| format!("k{index}, ")),
                many(3000, &|index| format!("- {{id: k{index}, exec: {{component: b, commandLine: x}}}}\n")),
            ),
        ),
        (
            "composites",
            format!(
                "{HEAD}commands:\n{}",
                many(8000, &|index| format!("- {{id: k{index}, composite: {{commands: [k{}]}}}}\n", index + 1)),
            ),
        ),
        ("unknown fields", format!("{HEAD}{}", many(40_000, &|index| format!("x{index}: 1\n")))),
        ("unions", format!("{HEAD}commands:\n{}", "- {id: a, exe: 1}\n".repeat(20_000))),
        (
            "overrides",
            format!(
                "{HEAD}parent:\n  uri: base.yaml\n  components:\n{}",
                many(10_000, &|index| format!("  - {{name: c{}}}\n", 9999 - index)),
            ),
        ),
        ("deep", format!("{HEAD}attributes: {{a: {}{}}}\n", "[".repeat(450), "]".repeat(450))),
    ]
}

/// Devfiles whose parents and plugins name others: few bytes that ask for much reading.
fn branching() -> Vec<(&'static str, String)> {
    let plugins = |count, uri: &str| lines(count, |index| format!("- {{name: q{index}, plugin: {{uri: {uri}}}}}\n"));
    // The schema version that has plugins.
    let head = HEAD.replace("2.2.2", "2.0.0");
    vec![
        ("a tree of plugins", format!("{head}components:\n{}", plugins(3, "p0.yaml"))),
        ("one plugin many times", format!("{head}components:\n{}", plugins(10_000, "base.yaml"))),
    ]
}

/// The peak of memory while something is done, in bytes, beyond the memory in use before.
fn peak(work: impl FnOnce()) -> usize {
    HEAP.reset_peak_usage();
    let before = HEAP.current_usage();
    work();
    HEAP.peak_usage().saturating_sub(before)
}

fn base() -> String {
    format!("schemaVersion: 2.0.0\ncomponents:\n{}", lines(10_000, |index| format!("- {{name: c{index}}}\n")))
}

/// One test, since the peak is that of the process.
#[test]
fn hostile_files_are_bounded() {
    // Memory that is allocated once, such as compiled schemas, is not counted.
    devfile("d", HEAD.as_bytes(), &Surroundings::ALONE);
    let base = Bytes::from(base());
    let files =
        |path: &str| match path.strip_prefix('p').and_then(|name| name.strip_suffix(".yaml")?.parse::<u32>().ok()) {
            Some(level) => {
                let next = |index| format!("- {{name: q{index}, plugin: {{uri: p{}.yaml}}}}\n", (level + 1) % 20);
                Some(Bytes::from(format!("schemaVersion: 2.0.0\ncomponents:\n{}", lines(3, next))))
            }
            None => (path == "base.yaml").then(|| base.clone()),
        };
    let around = Surroundings { files: &files, ..Surroundings::ALONE };
    let malformed = malformed();
    let busy = busy();
    for (what, text) in branching() {
        let mut checked = None;
        let used = peak(|| checked = Some(devfile("d", text.as_bytes(), &around)));
        let checked = checked.unwrap();
        assert!(!checked.is_valid(), "{what} is accepted");
        assert!(used < BOUND, "{what}: {} MiB", used / MEBIBYTE);
    }
    let all = malformed.iter().map(|(what, bytes)| (what, bytes.as_slice(), true));
    for (what, bytes, refused) in all.chain(busy.iter().map(|(what, text)| (what, text.as_bytes(), false))) {
        let mut checked = None;
        let used = peak(|| checked = Some(devfile("d", bytes, &around)));
        let checked = checked.unwrap();
        assert!(used < BOUND, "{what}: {} MiB", used / MEBIBYTE);
        assert!(!refused || !checked.is_valid(), "{what} is accepted");
        println!("{what}: {} KiB", used / 1024);
    }
    for (what, bytes) in &malformed {
        for path in ["stacks/a/stack.yaml", "extraDevfileEntries.yaml", "last_modified.json", "samples/a/devfile.yaml"]
        {
            let mut tree = Tree::default();
            tree.insert(TreePath::parse(path).unwrap(), File::plain(bytes.clone())).unwrap();
            tree.insert(TreePath::parse("stacks/a/x").unwrap(), File::plain("x")).unwrap();
            let used = peak(|| {
                let repository = Repository::parse(&tree);
                assert!(repository.errors().iter().all(|error| error.severity == Severity::Error));
            });
            assert!(used < BOUND, "{what} as {path}: {} MiB", used / MEBIBYTE);
        }
    }
}
