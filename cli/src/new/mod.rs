//! `new`: files for a new stack, or for a new version of a stack.
//!
//! The checker sees the result before anything is written.

mod answers;
mod dates;
mod stack;
mod version;

use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;
use devfile_registry::checker::{self, Form};
use devfile_registry::diagnostic::Diagnostic;
use devfile_registry::report::{Colour, Format};
use devfile_registry::terminal::print;
use devfile_registry::tree::{File, Mode, Tree};
use devfile_registry::upstream::UpstreamFetcher;

pub(crate) use self::stack::new_stack;
pub(crate) use self::version::new_version;

/// The first version of a stack.
const FIRST_VERSION: &str = "1.0.0";

/// Files by path below the registry repository.
type Files = BTreeMap<String, File>;

/// The checker would find problems in the result. Their report, which has a line for each and more, is printable.
#[derive(Debug, thiserror::Error)]
#[error("nothing is written, because the result would have problems:\n\n{report}")]
pub(crate) struct Refused {
    report: String,
}

/// Refuses problems that the checker finds in a stack with the new files, those for which `is_refused` says so. `others` are the files
/// of the stack that stay.
async fn check(files: &Files, others: &Files, is_refused: impl Fn(&Diagnostic) -> bool) -> anyhow::Result<()> {
    let mut tree = Tree::default();
    for (path, file) in others.iter().filter(|(path, _)| !files.contains_key(*path)).chain(files) {
        tree.add(path, file.clone());
    }
    let complete = UpstreamFetcher::without_fetches().complete(tree, None).await;
    let mut problems = checker::problems(&complete);
    problems.retain(is_refused);
    if problems.is_empty() {
        return Ok(());
    }
    let report = checker::report(
        ".",
        &complete,
        problems,
        Form { format: Format::Human, colour: Colour::Never, help_url: None },
    );
    Err(Refused { report }.into())
}

/// Writes files below a folder and names them.
fn write(root: &Path, files: &Files) -> anyhow::Result<()> {
    for (path, file) in files {
        let target = root.join(path);
        let written = target.parent().map_or(Ok(()), std::fs::create_dir_all);
        let written = written.and_then(|()| std::fs::write(&target, &file.content));
        written.with_context(|| format!("cannot write {}", target.display()))?;
        if file.mode == Mode::Executable {
            let made = std::fs::set_permissions(&target, Permissions::from_mode(0o755));
            made.with_context(|| format!("cannot make {} executable", target.display()))?;
        }
        print(&format!("wrote {}\n", target.display()))?;
    }
    Ok(())
}
