//! The comparison of two answers, apart from all requests.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::live::Answer;

/// Most things that one difference names.
const NAMED: usize = 5;

/// The outcome of a question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    /// The difference.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) differences: Vec<String>,
    /// Deliberate differences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) deliberate: Vec<String>,
}

impl Outcome {
    pub(super) fn differs(&mut self, difference: impl Into<String>) {
        self.differences.push(difference.into());
    }

    pub(super) fn note_deliberate(&mut self, reason: &str) {
        self.deliberate.push(reason.to_owned());
    }

    /// Counts the differences, if there are any, as one that is deliberate.
    pub(super) fn take_as_deliberate(&mut self, reason: &str) {
        if !self.differences.is_empty() {
            self.differences.clear();
            self.note_deliberate(reason);
        }
    }
}

/// Compares status and media type. Returns whether the bodies are compared as well: errors have words of their own.
pub(super) fn heads(old: &Answer, new: &Answer, outcome: &mut Outcome) -> bool {
    if old.status != new.status {
        outcome.differs(format!("status {} became {}", old.status, new.status));
        return false;
    }
    if old.status >= 300 {
        return false;
    }
    if old.media_type() != new.media_type() {
        outcome.differs(format!("media type `{}` became `{}`", old.media_type(), new.media_type()));
    }
    true
}

/// Compares two lists of entries.
pub(super) fn indexes(old: &Answer, new: &Answer, outcome: &mut Outcome) {
    if !heads(old, new, outcome) || old.body == new.body {
        return;
    }
    let read = |answer: &Answer| serde_json::from_slice::<Vec<Value>>(&answer.body);
    let (old, new) = match (read(old), read(new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(_), Err(_)) => return outcome.differs("neither answer is a list in JSON, and they differ"),
        (Err(_), Ok(_)) => return outcome.differs("the old answer is no list in JSON"),
        (Ok(_), Err(_)) => return outcome.differs("the new answer is no list in JSON"),
    };
    if old == new {
        return;
    }
    let (before, after) = (by_name(&old), by_name(&new));
    let missing = before.keys().filter(|name| !after.contains_key(*name)).collect();
    let added = after.keys().filter(|name| !before.contains_key(*name)).collect();
    let differences = [("missing", named(missing)), ("added", named(added)), ("different", different(&before, &after))];
    let differences = differences.into_iter().filter(|(_, names)| !names.is_empty());
    let differences: Vec<_> = differences.map(|(word, names)| format!("{word}: {names}")).collect();
    if differences.is_empty() {
        outcome.note_deliberate("entries in another order");
    }
    outcome.differences.extend(differences);
}

/// Entries by kind, name and, of several with one name, number.
fn by_name(entries: &[Value]) -> BTreeMap<String, &Value> {
    let (mut named, mut counts) = (BTreeMap::new(), BTreeMap::<String, usize>::new());
    for entry in entries {
        let text = |field: &str| entry[field].as_str().unwrap_or_default();
        let name = format!("{} {}", text("type"), text("name"));
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        named.insert(if *count == 1 { name } else { format!("{name} ({count})") }, entry);
    }
    named
}

fn different(before: &BTreeMap<String, &Value>, after: &BTreeMap<String, &Value>) -> String {
    let changed = before.iter().filter_map(|(name, old)| {
        let new = *after.get(name)?;
        (*old != new).then(|| format!("{name} ({})", fields(old, new)))
    });
    named(changed.collect::<Vec<_>>().iter().collect())
}

/// The names of the fields that differ.
fn fields(old: &Value, new: &Value) -> String {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else { return "not an object".to_owned() };
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let field = |name: &String| {
        let versions = (name == "versions").then(|| versions(old.get(name)?, new.get(name)?)).flatten();
        versions.unwrap_or_else(|| name.clone())
    };
    named(differs.map(field).collect::<Vec<_>>().iter().collect())
}

/// The versions that differ, with their fields; `None` when the lists are not of the same versions.
fn versions(old: &Value, new: &Value) -> Option<String> {
    let [old, new] = [old, new].map(|versions| {
        let versions = versions.as_array()?.iter();
        versions.map(|version| Some((version["version"].as_str()?, version))).collect::<Option<Vec<_>>>()
    });
    let (old, new) = (old?, new?);
    let is_same = old.iter().map(|(number, _)| number).eq(new.iter().map(|(number, _)| number));
    let changed = old.iter().zip(&new).filter(|((_, old), (_, new))| old != new);
    let changed = changed.map(|((number, old), (_, new))| format!("version {number}: {}", fields(old, new)));
    is_same.then(|| named(changed.collect::<Vec<_>>().iter().collect()))
}

/// The first few names, and how many more there are.
pub(super) fn named(names: Vec<&String>) -> String {
    let more = names.len().saturating_sub(NAMED);
    let mut text = names.into_iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Compares two texts or files byte by byte.
pub(super) fn bytes(old: &Answer, new: &Answer, outcome: &mut Outcome) {
    if heads(old, new, outcome) && old.body != new.body {
        let at = old.body.iter().zip(&new.body).take_while(|(one, other)| one == other).count();
        let line = old.body.iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        outcome.differs(format!(
            "the content differs from line {line} on ({} and {} bytes)",
            old.body.len(),
            new.body.len()
        ));
    }
}

/// Compares two zips by the names, sizes and checksums of their files: every server packs them in its own way.
pub(super) fn zips(old: &Answer, new: &Answer, outcome: &mut Outcome) {
    if !heads(old, new, outcome) || old.body == new.body {
        return;
    }
    match (zipped(&old.body), zipped(&new.body)) {
        (Some(old), Some(new)) if old == new => outcome.note_deliberate("zip packed in another way"),
        (Some(old), Some(new)) => {
            let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let differs = names.into_iter().filter(|name| old.get(*name) != new.get(*name)).collect();
            outcome.differs(format!("files differ: {}", named(differs)));
        }
        (None, _) => outcome.differs("the old answer is no zip"),
        (_, None) => outcome.differs("the new answer is no zip"),
    }
}

/// The files of a zip with their sizes and checksums; `None` when it cannot be read.
fn zipped(zip: &[u8]) -> Option<BTreeMap<String, (u64, u32)>> {
    let archive = rawzip::ZipArchive::from_slice(zip).ok()?;
    let mut files = BTreeMap::new();
    for entry in archive.entries() {
        let entry = entry.ok()?;
        if !entry.is_dir() {
            let name = String::from_utf8_lossy(entry.file_path().as_bytes()).into_owned();
            files.insert(name, (entry.uncompressed_size_hint(), entry.crc32()));
        }
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

    use super::*;

    fn answer(status: u16, media_type: &'static str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        Answer { status, headers, body: body.to_owned().into() }
    }

    fn json(body: &str) -> Answer {
        answer(200, "application/json", body)
    }

    fn compared(compare: fn(&Answer, &Answer, &mut Outcome), old: &Answer, new: &Answer) -> Outcome {
        let mut outcome = Outcome::default();
        compare(old, new, &mut outcome);
        outcome
    }

    #[test]
    fn indexes_differ_by_entries_and_fields_and_not_by_order() {
        let old = json(r#"[{"type": "stack", "name": "a", "tags": ["x"]}, {"name": "b"}, {"name": "c"}]"#);
        let same = answer(200, "application/json; charset=utf-8", std::str::from_utf8(&old.body).unwrap());
        assert_eq!(compared(indexes, &old, &same), Outcome::default());
        let order = json(r#"[{"name": "b"}, {"type": "stack", "name": "a", "tags": ["x"]}, {"name": "c"}]"#);
        assert_eq!(compared(indexes, &old, &order).deliberate, ["entries in another order"]);
        let other = json(r#"[{"type": "stack", "name": "a", "tags": []}, {"name": "b"}, {"name": "d"}]"#);
        let outcome = compared(indexes, &old, &other);
        assert_eq!(outcome.differences, ["missing:  c", "added:  d", "different: stack a (tags)"]);
        let lie = compared(indexes, &old, &json("<html>"));
        assert_eq!(lie.differences, ["the new answer is no list in JSON"]);
    }

    #[test]
    fn errors_are_alike_by_their_status_alone() {
        let old = answer(404, "text/plain", "not found");
        assert_eq!(compared(bytes, &old, &answer(404, "application/json", "{}")), Outcome::default());
        assert_eq!(compared(bytes, &old, &answer(200, "text/plain", "x")).differences, ["status 404 became 200"]);
    }

    #[test]
    fn texts_differ_from_a_line_on() {
        let outcome = compared(bytes, &answer(200, "text/plain", "a\nb\nc"), &answer(200, "text/plain", "a\nb\nd"));
        assert_eq!(outcome.differences, ["the content differs from line 3 on (5 and 5 bytes)"]);
    }
}
