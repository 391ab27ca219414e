//! The file of finished comparisons, so that an interrupted run goes on.
//!
//! It has a line of JSON for the comparison, then one for each answered question. A line is written at once, so at most the last one
//! is broken.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use devfile_registry::digest::Digest;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use super::answers::Outcome;
use super::plan::Question;

/// Largest file that is read, in bytes: a line of a few hundred bytes for each of a hundred thousand questions.
const FILE_BYTES: u64 = 64 << 20;

/// The subject of a comparison. Other indexes are another comparison.
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

/// The outcomes so far, and the file that further ones are added to.
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
        let content = read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut answered = Vec::new();
        if !content.is_empty() {
            let mut lines = content.split(|byte| *byte == b'\n');
            let first = lines.next().unwrap_or_default();
            let Ok(before) = serde_json::from_slice::<Comparison>(first) else {
                bail!("cannot resume from {}: it is not the file of a comparison", path.display());
            };
            if before == *comparison {
                // A broken line is that of a question which is asked again.
                answered.extend(lines.filter_map(|line| serde_json::from_slice::<Line>(line).ok()));
            } else {
                eprintln!("{} is of another comparison, or a registry has changed; starting anew", path.display());
            }
        }
        let file = rewrite(path, comparison, &answered).with_context(|| format!("cannot write {}", path.display()))?;
        let known = answered.into_iter().map(|line| ((line.area, line.subject), line.outcome)).collect();
        Ok(Self { known, file: Some((path.to_owned(), file)) })
    }

    /// The outcome of a question that was answered before.
    pub(super) fn outcome(&self, question: &Question) -> Option<&Outcome> {
        self.known.get(&(question.area.name().to_owned(), question.subject.clone()))
    }

    /// Keeps the outcome of a question.
    pub(super) fn keep(&mut self, question: &Question, outcome: Outcome) -> anyhow::Result<()> {
        let line = Line { area: question.area.name().to_owned(), subject: question.subject.clone(), outcome };
        if let Some((path, file)) = &mut self.file {
            write_line(file, &line).with_context(|| format!("cannot write {}", path.display()))?;
        }
        self.known.insert((line.area, line.subject), line.outcome);
        Ok(())
    }

    /// Removes the file: the comparison is complete.
    pub(super) fn finish(self) {
        if let Some((path, _)) = self.file {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Puts a file without broken lines in the place of the one that there may be, as a whole: whenever the process ends, one of them is
/// there.
fn rewrite(path: &Path, comparison: &Comparison, answered: &[Line]) -> anyhow::Result<File> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(folder)?;
    write_line(&mut file, comparison)?;
    answered.iter().try_for_each(|line| write_line(&mut file, line))?;
    file.as_file().sync_all()?;
    Ok(file.persist(path)?)
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string(line)?;
    text.push('\n');
    Ok(out.write_all(text.as_bytes())?)
}

/// The bytes of a file; none when there is no file.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = Vec::new();
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        bail!("it has more than {FILE_BYTES} bytes");
    }
    Ok(bytes)
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
        let outcome = Outcome { differences: vec!["x".to_owned()], deliberate: Vec::new() };
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
