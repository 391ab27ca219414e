use super::fixture::{self, IndexAnswer, catalog, entries, parse};
use super::*;
use serde_json::Value;

fn ask(schema: IndexSchema, kind: IndexKind, query: &str) -> IndexAnswer {
    fixture::answer(catalog(), schema, kind, &parse(schema, query))
}

#[test]
fn kinds_are_named_by_paths() {
    for (segment, kind) in
        [("stack", Some(IndexKind::Stack)), ("Stack", None), ("all ", None), ("", None), ("..", None)]
    {
        assert_eq!(IndexKind::from_path(segment), kind, "{segment}");
    }
}

#[test]
fn a_stack_and_a_sample_may_share_a_name() {
    let catalog = catalog();
    let read: Vec<Entry> = (0..catalog.len()).map(|position| catalog.entry(position)).collect();
    assert_eq!(read, entries());
    for (position, entry) in read.into_iter().enumerate() {
        assert_eq!(
            (catalog.versions(position), catalog.is_deprecated(position)),
            (entry.versions.len(), is_deprecated(&entry))
        );
        assert_eq!(catalog.head(position), Entry { versions: Vec::new(), ..entry });
    }
}

#[test]
fn an_entry_keeps_its_own_fields_with_some_of_its_versions() {
    let answer = ask(IndexSchema::V2, IndexKind::All, "description=1.19");
    let mut expected = entries().remove(0);
    expected.versions.remove(2);
    expected.versions.remove(0);
    assert_eq!(answer.body, serde_json::to_vec(&[expected]).unwrap());
}

#[test]
fn icons_of_entries_are_shown_as_data_where_it_is_known() {
    for (schema, kind) in [(IndexSchema::V1, IndexKind::All), (IndexSchema::V2, IndexKind::All)] {
        let urls: Value = serde_json::from_slice(&ask(schema, kind, "").body).unwrap();
        let data: Value = serde_json::from_slice(&ask(schema, kind, "icon=base64").body).unwrap();
        assert_eq!(data, with_icon_data(urls));
    }
}

/// `icon` replaced in entries, and nowhere else.
fn with_icon_data(mut index: Value) -> Value {
    let icons = fixture::icons();
    let replace = |object: &mut Value| {
        if let Some(data) = object["icon"].as_str().and_then(|url| icons.get(url)) {
            object["icon"] = data.as_str().into();
        }
    };
    for entry in index.as_array_mut().unwrap() {
        if entry.get("icon").is_some() {
            replace(entry);
        }
    }
    index
}

#[test]
fn schema_1_shows_and_filters_tags_and_architectures_of_the_default_version() {
    let of = |name: &str, own: Value, default: Value| {
        let (mut entry, mut version) = (own, default);
        version["default"] = true.into();
        entry["name"] = name.into();
        entry["versions"] =
            serde_json::json!([{"version": "0.1.0", "tags": ["old"], "architectures": ["s390x"]}, version]);
        entry
    };
    let both = serde_json::json!({"tags": ["new", "old"], "architectures": ["amd64", "s390x"]});
    let sample = {
        let mut sample = both.clone();
        sample["type"] = "sample".into();
        sample
    };
    let default = serde_json::json!({"tags": ["new"], "architectures": ["amd64"]});
    let entries = serde_json::json!([
        of("stack", both.clone(), default.clone()),
        of("sample", sample, default),
        of("silent", both, serde_json::json!({})),
    ]);
    let mut entries: Vec<Entry> = serde_json::from_value(entries).unwrap();
    let catalog = Catalog::new(&mut entries, &BTreeMap::new());
    let ask = |schema, query| fixture::answer(&catalog, schema, IndexKind::All, &parse(schema, query)).body;
    let shown: Vec<Entry> = serde_json::from_slice(&ask(IndexSchema::V1, "")).unwrap();
    let shown: Vec<_> = shown.iter().map(|entry| (entry.tags.join(" "), entry.architectures.join(" "))).collect();
    let of_default = ("new".to_owned(), "amd64".to_owned());
    assert_eq!(shown, [of_default.clone(), of_default, ("new old".to_owned(), "amd64 s390x".to_owned())]);
    let names = |schema, query| -> String {
        let matches: Vec<Entry> = serde_json::from_slice(&ask(schema, query)).unwrap();
        matches.iter().map(fixture::label).collect::<Vec<_>>().join(" ")
    };
    for (query, expected) in [("arch=s390x", "silent"), ("arch=amd64", "stack sample silent"), ("tags=old", "silent")] {
        assert_eq!(names(IndexSchema::V1, query), expected, "{query}");
    }
    assert_eq!(names(IndexSchema::V2, "tags=old"), "stack@0.1.0 sample@0.1.0 silent@0.1.0");
}

#[test]
fn the_whole_index_is_not_copied() {
    let catalog = catalog();
    let query = Query::default();
    let answer = |kind| fixture::answer(catalog, IndexSchema::V2, kind, &query).body;
    assert_eq!(answer(IndexKind::All).as_ptr(), answer(IndexKind::All).as_ptr());
    assert_ne!(answer(IndexKind::Stack), answer(IndexKind::All));
}

#[test]
fn tags_follow_the_answer_and_nothing_else() {
    let etag = |schema, query| ask(schema, IndexKind::All, query).etag;
    let go = etag(IndexSchema::V2, "tags=maven");
    assert_eq!((go.len(), go.matches('"').count()), (34, 2));
    assert_eq!(go, etag(IndexSchema::V2, "bogus=1&resources=devfile.yaml&tags=MAVEN"));
    assert_ne!(go, etag(IndexSchema::V2, "tags=maven&icon=base64"));
    assert_ne!(etag(IndexSchema::V2, "default=true"), etag(IndexSchema::V2, "default=false"));
    assert_ne!(etag(IndexSchema::V1, ""), etag(IndexSchema::V2, ""));

    let mut changed = entries();
    changed[0].versions.remove(2);
    let changed = Catalog::new(&mut changed, &fixture::icons());
    let again = |query| fixture::answer(&changed, IndexSchema::V2, IndexKind::All, &parse(IndexSchema::V2, query)).etag;
    for same in ["tags=maven", "minVersion=2.9&name=go", "name=nosuch"] {
        assert_eq!(again(same), etag(IndexSchema::V2, same), "{same}");
    }
    assert_ne!(again("name=go"), etag(IndexSchema::V2, "name=go"));
}

#[test]
fn a_large_index_is_answered_whole_and_in_part() {
    let catalog = Catalog::new(&mut fixture::many(1_000, 10), &BTreeMap::new());
    let count = |query| {
        let answer = fixture::answer(&catalog, IndexSchema::V2, IndexKind::Stack, &parse(IndexSchema::V2, query));
        let entries: Vec<Entry> = serde_json::from_slice(&answer.body).unwrap();
        (entries.len(), entries.iter().map(|entry| entry.versions.len()).sum::<usize>())
    };
    assert_eq!(count(""), (1_000, 10_000));
    assert_eq!(count("default=true"), (1_000, 1_000));
    assert_eq!(count("language=language%207"), (100, 1_000));
    assert_eq!(count("minVersion=9.0&maxVersion=9.0"), (1_000, 1_000));
}

#[test]
fn openapi_lists_every_parameter() {
    let names = |schema| -> Vec<_> { openapi_parameters(schema).iter().map(|p| p["name"].clone()).collect() };
    assert_eq!(names(IndexSchema::V2).len(), 32);
    assert_eq!(names(IndexSchema::V1).len(), 23);
    assert_eq!(openapi_devfile_parameters().len(), 2);
}
