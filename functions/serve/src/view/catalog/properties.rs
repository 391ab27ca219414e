//! Properties of all queries.

use std::collections::BTreeMap;

use devfile_registry::index::{Entry, EntryType};
use proptest::prelude::*;

use super::fixture::{self, catalog, parse};
use super::parameter::PARAMETERS;
use super::{IndexKind, IndexSchema};

/// Values that the fixture meets in part, by parameter.
fn values(parameter: &str) -> &'static [&'static str] {
    match parameter {
        "arch" => &["amd64", "arm64", "ppc64le", "s390x"],
        "commandGroups" => &["build", "deploy", "test"],
        "deploymentScopes" => &["innerloop", "outerloop"],
        "icon" => &["base64"],
        "deprecated" | "default" => &["true", "false"],
        "minVersion" | "maxVersion" => &["0.5", "1.0.0", "1.2", "2.0.0", "2.9", "3.0"],
        "minSchemaVersion" | "maxSchemaVersion" => &["2.1", "2.2.0-alpha", "2.2.0", "2.2.2"],
        "minLastModified" | "maxLastModified" => &["2024-01-01", "2024-01-02", "2024-03-01", "2026-02-17"],
        _ => &["go", "a", "1.", "deprecated", "%20", "example", "origin", "devfile", "main", "e", "nosuch"],
    }
}

/// A parameter with a value.
fn condition() -> impl Strategy<Value = (usize, String)> {
    (0..PARAMETERS.len(), any::<prop::sample::Index>()).prop_map(|(parameter, value)| {
        let name = PARAMETERS[parameter].name;
        (parameter, format!("{name}={}", value.get(values(name))))
    })
}

type Matches = BTreeMap<(bool, String), Vec<String>>;

fn answer(schema: IndexSchema, query: &str) -> Vec<Entry> {
    let body = fixture::answer(catalog(), schema, IndexKind::All, &parse(schema, query)).body;
    serde_json::from_slice(&body).unwrap()
}

/// The matching versions of each matching entry.
fn matches(schema: IndexSchema, query: &str) -> Matches {
    let versions = |entry: &Entry| entry.versions.iter().map(|version| version.version.clone()).collect();
    let key = |entry: &Entry| (entry.entry_type == EntryType::Sample, entry.name.clone());
    answer(schema, query).iter().map(|entry| (key(entry), versions(entry))).collect()
}

fn is_subsequence<T: PartialEq>(part: &[T], whole: &[T]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|wanted| rest.any(|item| item == wanted))
}

proptest! {
    #[test]
    fn answers_are_parts_of_the_index_in_its_order((_, query) in condition()) {
        let whole = answer(IndexSchema::V2, "");
        let without_versions = |entry: &Entry| Entry { versions: Vec::new(), icon: String::new(), ..entry.clone() };
        let part = answer(IndexSchema::V2, &query);
        let own = |entries: &[Entry]| -> Vec<Entry> { entries.iter().map(without_versions).collect() };
        prop_assert!(is_subsequence(&own(&part), &own(&whole)), "{}", query);
        let all = matches(IndexSchema::V2, "");
        for (entry, versions) in matches(IndexSchema::V2, &query) {
            prop_assert!(is_subsequence(&versions, &all[&entry]), "{}", query);
        }
    }

    #[test]
    fn two_filters_keep_the_intersection_of_each(a in condition(), b in condition()) {
        // A scalar is given once, so only different parameters can be asked together.
        prop_assume!(a.0 != b.0);
        for schema in [IndexSchema::V1, IndexSchema::V2] {
            let (of_a, of_b) = (matches(schema, &a.1), matches(schema, &b.1));
            let common = |(entry, versions): (&(bool, String), &Vec<String>)| {
                let other = of_b.get(entry)?;
                let both: Vec<_> = versions.iter().filter(|version| other.contains(version)).cloned().collect();
                (versions.is_empty() || !both.is_empty()).then(|| (entry.clone(), both))
            };
            let expected: Matches = of_a.iter().filter_map(common).collect();
            prop_assert_eq!(matches(schema, &format!("{}&{}", a.1, b.1)), expected.clone());
            prop_assert_eq!(matches(schema, &format!("{}&{}", b.1, a.1)), expected);
        }
    }

    #[test]
    fn asking_for_more_texts_keeps_less(first in "[a-z.]{1,2}", second in "[a-z.]{1,2}") {
        let both = matches(IndexSchema::V1, &format!("tags={first}&tags={second}"));
        let one = matches(IndexSchema::V1, &format!("tags={first}"));
        prop_assert!(both.keys().all(|entry| one.contains_key(entry)));
    }

    #[test]
    fn equal_bodies_have_equal_tags(a in condition(), b in condition()) {
        let catalog = catalog();
        let ask = |query: &str| fixture::answer(catalog, IndexSchema::V2, IndexKind::All, &parse(IndexSchema::V2, query));
        let (a, b) = (ask(&a.1), ask(&b.1));
        prop_assert_eq!(a.body == b.body, a.etag == b.etag);
    }
}
