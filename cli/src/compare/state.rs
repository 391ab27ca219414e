//! The file with what was compared, so that an interrupted comparison goes on.
//!
//! It has a line of JSON for the comparison, then one for each question that was answered. A line is written at once, so at most the
//! last one is broken.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use devfile_registry::digest::Digest;
use serde::{Deserialize, Serialize};

use super::answers::Outcome;
use super::plan::Question;

/// Largest file that is read, in bytes: a line of a few hundred bytes for each of a hundred thousand questions.
const FILE_BYTES: u64 = 64 << 20;

/// What is compared. Other indexes are another comparison.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Comparison {
    /// The URLs.
    pub(super) compare: [String; 2],
    /// Digests of the entries.
    pub(super) entries: [Digest; 2],
    /// Whether starter projects are asked for.
    pub(super) starters: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Line {
    area: String,
    subject: String,
    outcome: Outcome,
}

/// The outcomes so far, and where further ones are written.
#[derive(Debug)]
pub(super) struct State {
    known: BTreeMap<(String, String), Outcome>,
    file: Option<(PathBuf, File)>,
}

impl State {
    /// Reads the file of an earlier run, if there is one, and goes on with it.
    ///
    /// # Errors
    /// The file is not one of a comparison, or cannot be read or written.
    pub(super) fn open(path: Option<&Path>, comparison: &Comparison) -> anyhow::Result<Self> {
        let Some(path) = path else { return Ok(Self { known: BTreeMap::new(), file: None }) };
        let text = read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut known = BTreeMap::new();
        if let Some(text) = &text {
            let mut lines = text.lines();
            let first = lines.next().unwrap_or_default();
            let Ok(before) = serde_json::from_str::<Comparison>(first) else {
                bail!("cannot resume from {}: it is not the file of a comparison", path.display());
            };
            if before == *comparison {
                let lines = lines.filter_map(|line| serde_json::from_str::<Line>(line).ok());
                known.extend(lines.map(|line| ((line.area, line.subject), line.outcome)));
            } else {
                eprintln!("{} is of another comparison, or a registry has changed; starting anew", path.display());
            }
        }
        // Written anew, so that no broken line stays.
        let cannot = || format!("cannot write {}", path.display());
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path).with_context(cannot)?;
        let mut state = Self { known: BTreeMap::new(), file: Some((path.to_owned(), file)) };
        state.write(comparison).with_context(cannot)?;
        for ((area, subject), outcome) in known {
            state.add(Line { area, subject, outcome })?;
        }
        Ok(state)
    }

    /// The outcome of a question that was answered before.
    pub(super) fn outcome(&self, question: &Question) -> Option<&Outcome> {
        self.known.get(&(question.area.name().to_owned(), question.subject.clone()))
    }

    /// Keeps the outcome of a question.
    pub(super) fn keep(&mut self, question: &Question, outcome: Outcome) -> anyhow::Result<()> {
        self.add(Line { area: question.area.name().to_owned(), subject: question.subject.clone(), outcome })
    }

    /// Removes the file: the comparison is complete.
    pub(super) fn finish(self) {
        if let Some((path, _)) = self.file {
            let _ = std::fs::remove_file(path);
        }
    }

    fn add(&mut self, line: Line) -> anyhow::Result<()> {
        self.write(&line).context("cannot write what was compared")?;
        self.known.insert((line.area, line.subject), line.outcome);
        Ok(())
    }

    fn write(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        if let Some((_, file)) = &mut self.file {
            let mut text = serde_json::to_string(line)?;
            text.push('\n');
            file.write_all(text.as_bytes())?;
        }
        Ok(())
    }
}

/// The text of a file; `None` when there is none, or nothing in it.
fn read(path: &Path) -> anyhow::Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut text = String::new();
    file.take(FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES {
        bail!("it has more than {FILE_BYTES} bytes");
    }
    Ok(Some(text).filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::os::unix::fs::MetadataExt;

    use super::super::plan::Area;
    use super::*;

    fn comparison(entries: &str) -> Comparison {
        let entries = [Digest::of(entries.as_bytes()); 2];
        Comparison { compare: ["https://a".to_owned(), "https://b".to_owned()], entries, starters: false }
    }

    #[test]
    fn outcomes_are_known_after_an_interruption_and_forgotten_when_an_index_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let question = |number: u32| Question { area: Area::Devfiles, subject: format!("/devfiles/{number}") };
        let outcome = Outcome { differences: vec!["x".to_owned()], known: Vec::new() };
        let mut state = State::open(Some(&path), &comparison("one")).unwrap();
        state.keep(&question(1), outcome.clone()).unwrap();
        drop(state);
        // A line that was being written.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"area\": \"dev").unwrap();
        let state = State::open(Some(&path), &comparison("one")).unwrap();
        assert_eq!((state.outcome(&question(1)), state.outcome(&question(2))), (Some(&outcome), None));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        let state = State::open(Some(&path), &comparison("two")).unwrap();
        assert_eq!(state.outcome(&question(1)), None);
        state.finish();
        assert!(!path.exists());
    }

    #[test]
    fn line_that_ends_inside_a_character_is_dropped_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let question = |subject: &str| Question { area: Area::Devfiles, subject: subject.to_owned() };
        let mut state = State::open(Some(&path), &comparison("one")).unwrap();
        state.keep(&question("/devfiles/a"), Outcome::default()).unwrap();
        drop(state);
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(&"{\"area\": \"devfiles\", \"subject\": \"é".as_bytes()[..34]).unwrap();
        let state = State::open(Some(&path), &comparison("one")).unwrap();
        assert_eq!(state.outcome(&question("/devfiles/a")), Some(&Outcome::default()));
        assert_eq!(std::fs::read(&path).unwrap().split(|byte| *byte == b'\n').count(), 3);
    }

    #[test]
    fn file_is_replaced_as_a_whole_and_never_truncated() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let question = Question { area: Area::Devfiles, subject: "/devfiles/a".to_owned() };
        let mut state = State::open(Some(&path), &comparison("one")).unwrap();
        state.keep(&question, Outcome::default()).unwrap();
        drop(state);
        let before = std::fs::metadata(&path).unwrap();
        let state = State::open(Some(&path), &comparison("one")).unwrap();
        // Another file has taken its place: at no time was there less in it.
        assert_ne!(std::fs::metadata(&path).unwrap().ino(), before.ino());
        assert_eq!(state.outcome(&question), Some(&Outcome::default()));
        drop(state);
        let names = folder.path().read_dir().unwrap().count();
        assert_eq!(names, 1, "no temporary file stays");
    }

    #[test]
    fn file_of_something_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "my notes\n").unwrap();
        let error = State::open(Some(&path), &comparison("one")).unwrap_err().to_string();
        assert!(error.contains("it is not the file of a comparison"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "my notes\n");
    }
}
