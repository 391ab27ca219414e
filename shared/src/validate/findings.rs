//! Collects the findings of the checks, of all files.

use super::suggest;
use crate::diagnostic::{Diagnostic, Severity};
use crate::limits;
use crate::text::shortened;
use crate::yaml::{Fault, FilePosition};

/// The files of one validation and the problems in them.
#[derive(Debug)]
pub(crate) struct Findings {
    files: Vec<ReadFile>,
    list: Vec<Diagnostic>,
    of_parents: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

/// A file that was read.
#[derive(Debug)]
pub(crate) struct ReadFile {
    path: String,
    /// For a file outside the tree: the reference to it, where its problems are shown.
    shown_at: Option<FilePosition>,
}

impl Findings {
    /// For a devfile at a path; it is file 0.
    pub(crate) fn new(path: &str) -> Self {
        Self {
            files: vec![ReadFile { path: path.to_owned(), shown_at: None }],
            list: Vec::new(),
            of_parents: Vec::new(),
            errors: 0,
            warnings: 0,
        }
    }

    /// Adds a file and gives its number. Problems of a file with `shown_at` are shown there instead.
    pub(crate) fn add_file(&mut self, path: &str, shown_at: Option<FilePosition>) -> u16 {
        self.files.push(ReadFile { path: path.to_owned(), shown_at });
        u16::try_from(self.files.len() - 1).unwrap_or(u16::MAX)
    }

    /// Adds the files of another validation, the first of which is shown at a position, and returns the number of that one.
    pub(crate) fn add_files(&mut self, files: &[ReadFile], shown_at: Option<FilePosition>) -> u16 {
        let first = u16::try_from(self.files.len()).unwrap_or(u16::MAX);
        for (index, file) in files.iter().enumerate() {
            let shown_at = if index == 0 { shown_at } else { file.shown_at.map(|position| position.shifted(first)) };
            self.add_file(&file.path, shown_at);
        }
        first
    }

    /// The files, when there is nothing to say about them.
    pub(crate) fn into_faultless_files(self) -> Option<Vec<ReadFile>> {
        (self.errors + self.warnings == 0).then_some(self.files)
    }

    /// Returns the number of files that were added, the devfile itself included.
    pub(crate) fn files(&self) -> usize {
        self.files.len()
    }

    /// Adds an error, a reason not to publish.
    pub(crate) fn error(&mut self, at: FilePosition, rule: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.add(at, Diagnostic::error("", rule, message, hint), at.file != 0);
    }

    /// A parent or plugin that could not be read: nothing about the devfile, and the same for all that refer to it.
    pub(crate) fn unreachable(&mut self, at: FilePosition, rule: &str, message: String, hint: &str) {
        self.add(at, Diagnostic::warning("", rule, message, hint), true);
    }

    /// Adds a warning.
    pub(crate) fn warning(
        &mut self,
        at: FilePosition,
        rule: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(at, Diagnostic::warning("", rule, message, hint), at.file != 0);
    }

    /// A problem with a file's bytes.
    pub(crate) fn fault(&mut self, file: u16, fault: Fault) {
        self.error(FilePosition { file, position: fault.position }, fault.rule, fault.message, fault.hint);
    }

    /// Adds the problems of a file that was read before.
    pub(crate) fn repeat(&mut self, file: u16, problems: &[Diagnostic]) {
        for problem in problems {
            if let Some(position) = problem.position {
                self.add(FilePosition { file, position }, problem.clone(), file != 0);
            }
        }
    }

    /// The problems of the devfile itself, and those of its parents and plugins, each in the order of files and lines.
    pub(crate) fn into_sorted(self) -> [Vec<Diagnostic>; 2] {
        [self.list, self.of_parents].map(|mut list| {
            list.sort();
            list.dedup();
            list
        })
    }

    /// The paths of the files, by their numbers.
    pub(crate) fn into_paths(self) -> Vec<String> {
        self.files.into_iter().map(|file| file.path).collect()
    }

    /// Returns whether further errors would be left out, so that a check may stop.
    pub(crate) fn is_full(&self) -> bool {
        self.errors >= limits::REPORTED_PROBLEMS
    }

    /// A hint for a name that is not known, unless there are enough problems already.
    pub(crate) fn hint<'a>(&self, written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
        if self.errors + self.warnings < limits::REPORTED_PROBLEMS {
            suggest::hint(written, known)
        } else {
            String::new()
        }
    }

    /// The known name nearest to a written one, unless there are enough problems already.
    pub(crate) fn nearest<'a>(&self, written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        if self.errors + self.warnings < limits::REPORTED_PROBLEMS { suggest::nearest(written, known) } else { None }
    }

    fn add(&mut self, mut at: FilePosition, mut diagnostic: Diagnostic, of_parent: bool) {
        let is_error = diagnostic.severity == Severity::Error;
        let alike = if is_error { &mut self.errors } else { &mut self.warnings };
        if *alike >= limits::REPORTED_PROBLEMS {
            return;
        }
        *alike += 1;
        while let Some(file) = self.files.get(usize::from(at.file)) {
            let Some(shown_at) = file.shown_at else {
                diagnostic.path.clone_from(&file.path);
                break;
            };
            let line = at.position.line;
            let path = shortened(&file.path, limits::DIAGNOSTIC_TEXT_BYTES / 2);
            let message = format!("{} (line {line} of {path})", diagnostic.message);
            diagnostic = diagnostic.because(message);
            at = shown_at;
        }
        let list = if of_parent { &mut self.of_parents } else { &mut self.list };
        list.push(diagnostic.at(at.position));
    }
}
