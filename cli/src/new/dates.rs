//! The row of a new version in `last_modified.json`, where a registry has this file.

use std::collections::BTreeMap;

use devfile_registry::timestamp::Timestamp;
use devfile_registry::tree::File;
use devfile_registry::yaml::parse;
use serde_json::{Map, Value};

use super::Files;

/// The file with the dates of all versions.
pub(super) const DATES: &str = "last_modified.json";

/// Rows by list, `stacks` and `samples`.
type Rows = BTreeMap<String, Vec<Map<String, Value>>>;

/// Adds the file with one more row to the files, written like the first row of its `stacks`. A file
/// without such a row stays as it is: the checker warns of the missing date.
pub(super) fn add_date(files: &mut Files, dates: &[u8], name: &str, version: &str, now: &Timestamp) {
    if let Some(text) = std::str::from_utf8(dates).ok().and_then(|text| with_row(text, name, version, now)) {
        files.insert(DATES.to_owned(), File::plain(text));
    }
}

fn with_row(text: &str, name: &str, version: &str, now: &Timestamp) -> Option<String> {
    let mut expected: Rows = serde_json::from_str(text).ok()?;
    let position = parse(DATES, text.as_bytes()).ok()?.items_of("stacks").first()?.at.position;
    let line = usize::try_from(position.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(position.column).ok()?.checked_sub(1)?;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let indent = text[before..].char_indices().nth(column)?.0;
    let start = before + indent;
    let first = &text[start..=start + text[start..].find('}')?];

    let values = [("name", name), ("version", version), ("lastModified", now.as_str())];
    let mut row = first.to_owned();
    for (key, new) in values {
        let old = expected.get("stacks")?.first()?.get(key)?.to_string();
        let key_end = row.find(&format!("\"{key}\""))? + key.len() + 2;
        let value = key_end + row[key_end..].find(&old)?;
        row.replace_range(value..value + old.len(), &Value::from(new).to_string());
    }
    let is_on_its_own_line = text[before..start].trim().is_empty();
    let gap = if is_on_its_own_line { format!("\n{}", &text[before..start]) } else { " ".to_owned() };
    let changed = format!("{}{row},{gap}{}", &text[..start], &text[start..]);

    let added = values.map(|(key, value)| (key.to_owned(), Value::from(value))).into_iter().collect();
    expected.get_mut("stacks")?.insert(0, added);
    (serde_json::from_str::<Rows>(&changed).ok()? == expected).then_some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(dates: &str) -> Option<String> {
        let now = "2026-02-18T16:55:18Z".parse().unwrap();
        let mut files = Files::new();
        add_date(&mut files, dates.as_bytes(), "loom", "1.0.0", &now);
        files.remove(DATES).map(|file| String::from_utf8(file.content.to_vec()).unwrap())
    }

    #[test]
    fn new_row_is_written_like_the_first_one() {
        for (dates, expected) in [
            (
                "{\"stacks\": [{\"name\": \"a\", \"version\": \"2.0.0\", \"lastModified\": \"2025-01-01T00:00:00Z\"}]}",
                "{\"stacks\": [{\"name\": \"loom\", \"version\": \"1.0.0\", \"lastModified\": \"2026-02-18T16:55:18Z\"}, \
                 {\"name\": \"a\", \"version\": \"2.0.0\", \"lastModified\": \"2025-01-01T00:00:00Z\"}]}",
            ),
            (
                "{\n  \"samples\": [],\n  \"stacks\": [\n    {\n      \"lastModified\": \"2025-01-01T00:00:00Z\",\n      \
                 \"name\": \"version\",\n      \"version\": \"1\"\n    }\n  ]\n}\n",
                "{\n  \"samples\": [],\n  \"stacks\": [\n    {\n      \"lastModified\": \"2026-02-18T16:55:18Z\",\n      \
                 \"name\": \"loom\",\n      \"version\": \"1.0.0\"\n    },\n    {\n      \
                 \"lastModified\": \"2025-01-01T00:00:00Z\",\n      \"name\": \"version\",\n      \"version\": \"1\"\n    }\n  ]\n}\n",
            ),
        ] {
            assert_eq!(added(dates).as_deref(), Some(expected));
        }
    }

    #[test]
    fn file_without_a_row_to_copy_stays_as_it_is() {
        for dates in
            ["", "[]", "{}", "{\"stacks\": []}", "{\"stacks\": [{}]}", "{\"stacks\": [{\"name\": \"}\"}]}", "\u{feff}x"]
        {
            assert_eq!(added(dates), None, "{dates}");
        }
    }
}
