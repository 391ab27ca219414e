//! `new version`: a copy of the newest version of a stack under another number.

use std::path::Path;

use anyhow::{Context, bail};
use devfile_registry::diagnostic::{Diagnostic, Severity};
use devfile_registry::source::{LocalSource, Scope, Source};
use devfile_registry::terminal::print;
use devfile_registry::text::printable;
use devfile_registry::timestamp::Timestamp;
use devfile_registry::tree::{File, Tree};
use devfile_registry::version::Version;
use devfile_registry::yaml::{Data, Node, parse};

use super::dates::{DATES, add_date};
use super::stack::is_stack_name;
use super::{Files, check, write};
use crate::command::NewVersion;

/// Writes a new version.
///
/// # Errors
/// There is no such stack, it has the version already, or the checker would find problems.
pub(crate) async fn new_version(options: &NewVersion) -> anyhow::Result<()> {
    let stack = &options.stack;
    let source = LocalSource::new(&options.dir)?;
    let tree = source.files(&source.head().await?, &Scope::All).await?;
    let list = format!("stacks/{stack}/stack.yaml");
    let Some(text) = tree.get(&list) else {
        if tree.below(&format!("stacks/{stack}")).next().is_none() {
            let remedy = is_stack_name(stack).map(|()| format!("; `new stack {stack}` creates it"));
            bail!("there is no stack `{stack}`{}", remedy.unwrap_or_default());
        }
        let remedy = "write one, and move the devfile and its files into a folder that has the version as its name";
        let folder = options.dir.join("stacks").join(stack);
        bail!("cannot add a version: {} has no stack.yaml, which lists versions; {remedy}", folder.display());
    };
    let text = std::str::from_utf8(text).with_context(|| format!("cannot read {list}: it is not UTF-8"))?;
    let listed = versions(&list, text)?;
    let Some(newest) = listed.iter().max() else { bail!("cannot copy a version: {list} lists none") };
    let new = match &options.version {
        Some(version) => version.parse()?,
        None => next(newest)?,
    };
    if listed.contains(&new) {
        bail!("cannot add the version {new}: {list} has it already");
    }
    let from = format!("stacks/{stack}/{newest}");
    let mut files: Files =
        tree.below(&from).map(|(path, file)| (format!("stacks/{stack}/{new}/{path}"), file.clone())).collect();
    if files.is_empty() {
        bail!("cannot copy {}: there is no such folder", options.dir.join(&from).display());
    }
    for name in ["devfile.yaml", ".devfile.yaml"] {
        if let Some(devfile) = files.get_mut(&format!("stacks/{stack}/{new}/{name}")) {
            let text = renumbered(&format!("{from}/{name}"), &devfile.content, &new)?;
            devfile.content = text.into();
        }
    }
    let text = with_version(&list, text, &new, options.default)?;
    files.insert(list, File::plain(text));
    // Warnings, and errors of other versions, were there before.
    let is_new = |problem: &Diagnostic| problem.severity == Severity::Error && files.contains_key(&problem.path);
    check(&files, &of_stack(&tree, stack), is_new).await?;
    if let Some(dates) = tree.get(DATES) {
        add_date(&mut files, dates, stack, new.as_str(), &Timestamp::from_instant(jiff::Timestamp::now()));
    }
    write(&options.dir, &files)?;
    name_leftovers(&options.dir, &files, newest)
}

fn of_stack(tree: &Tree, stack: &str) -> Files {
    let folder = format!("stacks/{stack}");
    tree.below(&folder).map(|(path, file)| (format!("{folder}/{path}"), file.clone())).collect()
}

fn document(path: &str, content: &[u8]) -> anyhow::Result<Node> {
    parse(path, content).map_err(|problems| {
        let first = problems.first().map(ToString::to_string).unwrap_or_default();
        anyhow::format_err!("cannot read {path}: {first}")
    })
}

/// The versions that a `stack.yaml` lists.
fn versions(path: &str, text: &str) -> anyhow::Result<Vec<Version>> {
    let root = document(path, text.as_bytes())?;
    let mut listed = Vec::new();
    for row in root.items_of("versions") {
        match row.get("version").map(|version| &version.data) {
            Some(Data::Text(text)) => listed.push(text.parse()?),
            Some(Data::Number(number)) => listed.push(number.to_string().parse()?),
            _ => bail!("cannot read {path}: a version has no number"),
        }
    }
    Ok(listed)
}

/// The next minor version.
fn next(version: &Version) -> anyhow::Result<Version> {
    let core = version.as_str().split('-').next().unwrap_or_default();
    let numbers: Vec<&str> = core.split('.').collect();
    let [major, minor, ..] = numbers.as_slice() else {
        bail!("cannot raise the version {version}: give the new version as an argument")
    };
    let minor = minor.parse::<u64>()?.saturating_add(1);
    let patch = if numbers.len() > 2 { ".0" } else { "" };
    Ok(format!("{major}.{minor}{patch}").parse()?)
}

/// The index of a line or column, which count from 1.
fn index(number: u32) -> Option<usize> {
    usize::try_from(number).ok()?.checked_sub(1)
}

/// A devfile with another `metadata.version`, else as it is.
fn renumbered(path: &str, content: &[u8], new: &Version) -> anyhow::Result<String> {
    let text = std::str::from_utf8(content).with_context(|| format!("cannot read {path}: it is not UTF-8"))?;
    let root = document(path, content)?;
    let cannot = || anyhow::format_err!("cannot change metadata.version in {path}: write it on one line");
    let number = root.at_path(&["metadata", "version"]).ok_or_else(cannot)?;
    let position = number.at.position;
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let line = lines.get_mut(index(position.line).ok_or_else(cannot)?).ok_or_else(cannot)?;
    let old = number.text().ok_or_else(cannot)?;
    let column = index(position.column).ok_or_else(cannot)?;
    let start = line.char_indices().nth(column).map(|(start, _)| start).ok_or_else(cannot)?;
    let at = line[start..].find(old).map(|at| start + at).ok_or_else(cannot)?;
    line.replace_range(at..at + old.len(), new.as_str());
    let changed = lines.join("\n");
    let reread = document(path, changed.as_bytes())?;
    if reread.at_path(&["metadata", "version"]).and_then(Node::text) != Some(new.as_str()) {
        return Err(cannot());
    }
    Ok(changed)
}

/// A `stack.yaml` that lists one more version at the end; `default` makes it the default one.
fn with_version(path: &str, text: &str, new: &Version, default: bool) -> anyhow::Result<String> {
    let cannot =
        || anyhow::format_err!("cannot change {path}: write each version of the list on lines of its own, with `-`");
    let root = document(path, text.as_bytes())?;
    let rows = root.items_of("versions");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let last = rows.last().and_then(|row| index(row.at.position.line)).ok_or_else(cannot)?;
    let dash = lines.get(last).and_then(|line| line.find('-')).ok_or_else(cannot)?;
    let is_outside = |line: &String| line.len() - line.trim_start().len() <= dash;
    let end = lines[last + 1..].iter().position(is_outside).map_or(lines.len(), |at| last + 1 + at);
    let indent = " ".repeat(dash);
    lines.insert(end, format!("{indent}- version: {new}"));
    if default {
        lines.insert(end + 1, format!("{indent}  default: true"));
        let marks = rows.iter().filter_map(|row| index(row.get("default")?.key_at.position.line));
        // The last one first, so that the others keep their places.
        for mark in marks.collect::<Vec<_>>().into_iter().rev() {
            if !lines.get(mark).is_some_and(|line| line.trim_start().starts_with("default:")) {
                return Err(cannot());
            }
            lines.remove(mark);
        }
    }
    let changed = format!("{}\n", lines.join("\n"));
    let mut expected = versions(path, text)?;
    expected.push(new.clone());
    if versions(path, &changed).ok().as_ref() != Some(&expected) {
        return Err(cannot());
    }
    Ok(changed)
}

/// Names the lines of new files that still have the old number: only their author knows their meaning.
fn name_leftovers(root: &Path, files: &Files, old: &Version) -> anyhow::Result<()> {
    for (path, file) in files.iter().filter(|(path, _)| *path != DATES && !path.ends_with("/stack.yaml")) {
        let Ok(text) = std::str::from_utf8(&file.content) else { continue };
        for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains(old.as_str())) {
            let (path, line) = (root.join(path), printable(line.trim()));
            print(&format!("{}:{} still has {old}: {line}\n", path.display(), number + 1))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "name: kiln
versions:
  - version: 1.0.0
  # the newest
  - version: 1.1.0
    default: true
displayName: Kiln
";

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn version_is_listed_last_and_the_default_moves_only_when_asked() {
        let kept = with_version("stack.yaml", LIST, &version("1.2.0"), false).unwrap();
        assert_eq!(kept, LIST.replace("displayName", "  - version: 1.2.0\ndisplayName"));
        let moved = with_version("stack.yaml", LIST, &version("1.2.0"), true).unwrap();
        let expected = LIST.replace("    default: true\n", "  - version: 1.2.0\n    default: true\n");
        assert_eq!(moved, expected);
        let flow = "name: kiln\nversions: [{version: 1.0.0, default: true}]\n";
        assert!(with_version("stack.yaml", flow, &version("1.2.0"), false).is_err());
    }

    #[test]
    fn number_of_the_metadata_is_raised_and_no_other() {
        let devfile = b"schemaVersion: 2.2.2\nmetadata:\n  version: '1.1.0' # 1.1.0\nother: 1.1.0\n";
        let changed = renumbered("devfile.yaml", devfile, &version("1.2.0")).unwrap();
        assert_eq!(changed, "schemaVersion: 2.2.2\nmetadata:\n  version: '1.2.0' # 1.1.0\nother: 1.1.0\n");
    }

    #[test]
    fn next_version_is_the_next_minor_one() {
        for (old, new) in [("1.9.3", "1.10.0"), ("2.2", "2.3"), ("1.0.0-beta", "1.1.0")] {
            assert_eq!(next(&version(old)).unwrap().as_str(), new);
        }
    }
}
