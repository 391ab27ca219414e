use serde_json::{Value, json};

use super::read::Reading;
use super::*;
use crate::diagnostic::Position;

fn value(text: &str) -> Value {
    let Reading { node, faults } = read(0, text.as_bytes());
    assert!(faults.is_empty(), "{text:?}: {faults:?}");
    Value::from(&node.unwrap())
}

fn faults(text: &str) -> Vec<(&'static str, u32, u32)> {
    let faults = read(0, text.as_bytes()).faults;
    faults.iter().map(|fault| (fault.rule, fault.position.line, fault.position.column)).collect()
}

#[test]
fn document_is_read_as_its_value() {
    for (text, expected) in [
        ("", json!(null)),
        ("# nothing\n", json!(null)),
        ("a: 1\nb: [x, yes, ~]\n", json!({"a": 1, "b": ["x", true, null]})),
        ("1: a\n2.5: b\non: c\n'': d\n", json!({"1": "a", "2.5": "b", "true": "c", "": "d"})),
        ("a: &x {k: 1, l: 2}\nb: {<<: *x, k: 3}\n", json!({"a": {"k": 1, "l": 2}, "b": {"k": 3, "l": 2}})),
        (
            "a: &x {k: 1}\nb: &y {k: 2, m: 3}\nc: {<<: [*x, *y]}\n",
            json!({"a": {"k": 1}, "b": {"k": 2, "m": 3}, "c": {"k": 1, "m": 3}}),
        ),
        ("a: <<\n", json!({"a": "<<"})),
        ("a: !!str 5\nb: !own 6\n", json!({"a": "5", "b": "6"})),
        ("{\"a\": 80.0, \"b\": \"\\/\", \"c\": [true, null]}", json!({"a": 80.0, "b": "/", "c": [true, null]})),
        ("\n\t{\n\t\"a\":\t1\n\t}\n", json!({"a": 1})),
        ("a: x\n  \t\nb:\t|\n \ty\nc: [\n \t1,\n \t2]\n", json!({"a": "x", "b": "\ty\n", "c": [1, 2]})),
        ("a: 1\n---\n".trim_end_matches("---\n"), json!({"a": 1})),
    ] {
        assert_eq!(value(text), expected, "{text:?}");
    }
}

#[test]
fn every_node_has_the_position_of_its_value_and_its_key() {
    let node = read(0, "a:\n  - b: 1\n    ü: x\n".as_bytes()).node.unwrap();
    let positions = |pointer: &str| {
        let node = node.pointer(pointer).unwrap();
        let Position { line, column } = node.at.position;
        (line, column, node.key_at.position.line, node.key_at.position.column)
    };
    assert_eq!(positions("/a"), (2, 3, 1, 1));
    assert_eq!(positions("/a/0"), (2, 5, 2, 5));
    assert_eq!(positions("/a/0/b"), (2, 8, 2, 5));
    assert_eq!(positions("/a/0/ü"), (3, 8, 3, 5));
    assert!(node.pointer("/a/1").is_none() && node.pointer("/a/x").is_none() && node.pointer("a").is_none());
}

#[test]
fn document_with_a_mistake_is_refused_at_its_position() {
    for (text, expected) in [
        ("a: 1\nb: 2\na: 3\n'b': 4\n", vec![("yaml/duplicateKey", 3, 1), ("yaml/duplicateKey", 4, 1)]),
        ("{\"a\": 1, \"a\": 2}", vec![("yaml/duplicateKey", 1, 10)]),
        ("a: 1\n---\nb: 1\n", vec![("yaml/multiDocument", 2, 1)]),
        ("a: 1\n...\nb\n", vec![("yaml/multiDocument", 3, 1)]),
        ("%YAML 1.2\n---\na: 1\n", vec![("yaml/document", 2, 1)]),
        ("{a: 1}", vec![("yaml/json", 1, 2)]),
        ("{\"a\": 1,}", vec![("yaml/json", 1, 9)]),
        ("a: *b\n", vec![("yaml/anchor", 1, 4)]),
        ("a: &a\n  b: *a\n", vec![("yaml/anchor", 2, 6)]),
        ("a: {<<: 5}\n", vec![("yaml/merge", 1, 9)]),
        ("? [a]\n: b\n", vec![("yaml/key", 1, 3)]),
        ("~: b\n", vec![("yaml/key", 1, 1)]),
        ("a: .inf\n", vec![("yaml/int", 1, 4)]),
        ("a: !!int x\n", vec![("yaml/tag", 1, 10)]),
        ("a: b: c\n", vec![("yaml/syntax", 1, 5)]),
        ("a:\n\t- b\n", vec![("yaml/tab", 2, 1)]),
        ("a: 1\n\t\nb: 2\n", vec![("yaml/tab", 2, 1)]),
        ("a:\n  b: 1\n\t# c\n", vec![("yaml/tab", 3, 1)]),
        ("a: 'x'\n  \t\n", vec![("yaml/tab", 2, 3)]),
        ("\ta: 1\n", vec![("yaml/tab", 1, 1)]),
        ("{\"a\"\n: 1}x", vec![("yaml/json", 2, 5)]),
        ("x: {b\n c: 1}", vec![("yaml/key", 1, 5)]),
        ("a: \"\\/\"\n", vec![("yaml/syntax", 1, 4)]),
        ("a: x\u{2028}y\n", vec![("yaml/newline", 1, 4)]),
        ("a: @b\n", vec![("yaml/syntax", 1, 4)]),
    ] {
        assert_eq!(faults(text), expected, "{text:?}");
    }
}

/// `tests/hostile.rs` has their costs.
#[test]
fn hostile_files_are_refused() {
    let mebibyte = 1 << 20;
    let bomb = |levels: usize, wide: usize| {
        let mut text = "a0: &a0 [x, x]\n".to_owned();
        for level in 1..levels {
            let aliases = vec![format!("*a{}", level - 1); wide].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
        }
        text
    };
    let nested = (0..400).map(|level| format!("&a{level} [")).collect::<String>();
    for (what, text, rule) in [
        ("bomb", bomb(12, 10), "yaml/anchor"),
        ("slow bomb", bomb(40, 2), "yaml/anchor"),
        ("deep flow", "[".repeat(mebibyte - 1), "yaml/depth"),
        ("deep block", "- ".repeat(mebibyte / 2 - 1), "yaml/depth"),
        ("anchors in anchors", format!("a: {nested}{}", "x, ".repeat(20_000)), "yaml/syntax"),
        ("big scalar", format!("a: {}", "x".repeat(mebibyte)), "yaml/size"),
        ("many nodes", format!("a: [{}]", "1,".repeat(500_000)), "yaml/size"),
        ("many keys", (0..100_000).map(|key| format!("k{key}: 1\n")).collect(), "yaml/size"),
        ("big key", format!("{}: 1", "k".repeat(5000)), "yaml/syntax"),
        ("question marks", "? ".repeat(mebibyte / 2 - 1), "yaml/key"),
        ("open quotes", format!("a: \"{}", "x\n\n".repeat(300_000)), "yaml/syntax"),
        ("commas", format!("[{}", ",".repeat(mebibyte / 2)), "yaml/syntax"),
    ] {
        let found = faults(&text);
        assert_eq!(found.last().map(|fault| fault.0), Some(rule), "{what}: {:?}", &found[..found.len().min(3)]);
    }
}

#[test]
fn tab_in_indentation_is_where_the_fault_points() {
    let reading = read(0, b"a:\n  b: 1\n\tc: 2\n  d: 3\n");
    let fault = &reading.faults[0];
    assert_eq!((fault.rule, fault.position.line, fault.position.column), ("yaml/tab", 3, 1));
}

#[test]
fn variable_without_quotes_is_named_where_its_text_begins() {
    for text in ["a:\n  image: {{IMG}}\n", "a:\n  image: {{ IMG }}:latest\n"] {
        let fault = &read(0, text.as_bytes()).faults[0];
        assert_eq!((fault.rule, fault.position.line, fault.position.column), ("yaml/key", 2, 10), "{text}");
        assert!(fault.hint.contains("quote"), "{fault:?}");
    }
}
