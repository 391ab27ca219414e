//! The devfile with everything that it takes from its parents, each line marked with the devfile that it is from.

use axum::body::Body;
use axum::http::Response;
use bytes::Bytes;
use devfile_registry::index::EntryType;
use devfile_registry::validate::{self, ExternalParent, Parents, Surroundings};
use devfile_registry::yaml::{self, Data, Node};
use maud::{Markup, PreEscaped, html};

use super::budget::{CODE_BYTES, LIST_BYTES, PageBudget, brief};
use super::detail::{Detail, Tab};
use super::files::folder_of;
use super::highlight::yaml_lines;
use super::shown::Shown;
use super::visit::Visit;
use crate::release::snapshot::Snapshot;
use crate::view::versions::Wanted;

/// Colours of origins; further ones begin again.
const COLOURS: usize = 4;

/// Answers with the flattened devfile of a version.
pub(super) fn answer(visit: Visit<'_>, (registry, name): (String, String)) -> Response<Body> {
    let detail = match Detail::find(visit, &registry, &name) {
        Ok(detail) => detail,
        Err(missing) => return *missing,
    };
    let key = (visit.snapshot.about.release, format!("flattened {}", detail.shown.key()));
    let shown = visit.viewer.rendered.section(key, || flattened(&detail).into_string());
    let page = detail.page(
        Tab::Devfile,
        html! {},
        html! {
            section.tab-body aria-labelledby="devfile" {
                div.section-head {
                    h2 #devfile { "Flattened devfile" }
                    div.actions {
                        button.plain.script type="button" data-copy="#code" {
                            (super::page::glyph(super::page::Glyph::Copy)) span { "Copy" }
                        }
                        a.plain href=(detail.path.below("/devfile", detail.version())) { "As published" }
                    }
                }
                (PreEscaped(shown.as_str()))
            }
        },
    );
    visit.found(&super::page::Page { canonical: None, title: format!("Flattened {}", detail.title()), ..page })
}

/// The devfile with a legend of its origins.
fn flattened(detail: &Detail<'_>) -> Markup {
    let path = devfile_path(detail.visit.snapshot, &detail.shown);
    let around = Release { snapshot: detail.visit.snapshot, public_url: detail.visit.viewer.own_url() };
    let files = |path: &str| around.file(path);
    let surroundings = Surroundings { files: &files, external: &around, known_parents: None };
    let flat = detail.shown.text().and_then(|text| validate::flatten(&path, text.as_bytes(), &surroundings));
    let Some(flat) = flat else {
        return html! { p.empty-note { "The devfile cannot be read as one, so it cannot be flattened." } };
    };
    let mut lines = Vec::new();
    for (key, node) in flat.root.entries() {
        emit(key, node, 0, &mut lines);
    }
    let names: Vec<String> = flat.files.iter().map(|file| around.name_of(file)).collect();
    let text: String = lines.iter().map(|line| format!("{}\n", line.text)).collect();
    let (coloured, is_cut) = yaml_lines(&text);
    let mut before = 0;
    let rows = coloured.into_iter().zip(&lines).map(|(html, line)| {
        let begins = line.file != 0 && line.file != before;
        before = line.file;
        (html, line.file, begins)
    });
    let rows = PageBudget(CODE_BYTES).fit(rows.collect::<Vec<_>>(), |(line, file, begins)| {
        let label = names.get(usize::from(file)).filter(|_| begins);
        let class = if file == 0 { String::new() } else { format!(" from from-{}", usize::from(file) % COLOURS) };
        html! { span class={ "line" (class) } data-from=[label] { (PreEscaped(line)) "\n" } }
    });
    let legend = PageBudget(LIST_BYTES).fit(names.iter().enumerate().skip(1), |(file, name)| {
        html! { li { span class={ "swatch from-" (file % COLOURS) } {} "From " code { (brief(name)) } } }
    });
    html! {
        @if !flat.is_complete {
            p.notice { "A parent is not in this registry or cannot be read. Its content is missing here; clients fetch it." }
        }
        @if names.len() > 1 {
            ul.legend aria-label="Origins of the lines" { li { "Unmarked lines are this devfile's own." } (legend.rows) }
        } @else if flat.is_complete {
            p.side-note { "This devfile has no parent, so it is complete as it is." }
        }
        pre.code tabindex="0" role="region" aria-label={ "Flattened devfile of " (detail.title()) } { code #code { (rows.rows) } }
        @if is_cut || rows.is_cut { p.notice { "The lines after line " (rows.count) " are not shown here." } }
    }
}

/// The path of the devfile in the registry repository; parents are found from there.
fn devfile_path(snapshot: &Snapshot, shown: &Shown<'_>) -> String {
    match folder_of(snapshot, shown) {
        Some(folder) => format!("{folder}/devfile.yaml"),
        None => format!("samples/{}/{}/devfile.yaml", shown.entry.name, shown.name()),
    }
}

/// The devfiles of a release, as parents.
struct Release<'a> {
    snapshot: &'a Snapshot,
    /// The configured URL of the registry.
    public_url: Option<String>,
}

impl Release<'_> {
    /// The devfile at a path of the tree.
    fn file(&self, path: &str) -> Option<Bytes> {
        if let Some(name) = path.strip_prefix("samples/") {
            let mut names = name.split('/');
            let (name, version) = (names.next()?, names.next()?);
            let devfiles = self.snapshot.devfiles_of(EntryType::Sample, name)?;
            return devfiles.iter().find(|devfile| devfile.version == version).map(|found| found.body.bytes().clone());
        }
        let (folder, _) =
            path.rsplit_once('/').filter(|(_, name)| matches!(*name, "devfile.yaml" | ".devfile.yaml"))?;
        let (name, version) = self.snapshot.version_in(folder)?;
        let devfiles = self.snapshot.devfiles_of(EntryType::Stack, name)?;
        devfiles.iter().find(|devfile| devfile.version == version).map(|found| found.body.bytes().clone())
    }

    /// The name of a file for people: the stack and its version.
    fn name_of(&self, path: &str) -> String {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        match self.snapshot.version_in(folder) {
            Some((name, version)) => format!("{name} {version}"),
            None => path.to_owned(),
        }
    }
}

impl Parents for Release<'_> {
    fn in_tree(&self, parent: &ExternalParent) -> Option<String> {
        let ExternalParent::Stack { id, version, registry } = parent else { return None };
        let is_own = |url: &str| self.snapshot.is_own_url(url, self.public_url.as_deref());
        if !registry.as_deref().is_none_or(is_own) {
            return None;
        }
        let devfiles = self.snapshot.devfiles_of(EntryType::Stack, id)?;
        let found = Wanted::named(version.as_deref().unwrap_or_default()).choose(devfiles, |_| true)?;
        Some(format!("{}/devfile.yaml", self.snapshot.folder(id, &found.version)?))
    }
}

/// A line of the flattened devfile.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// The number of the file that it is from.
    file: u16,
    text: String,
}

/// Writes an entry of a mapping.
fn emit(key: &str, node: &Node, depth: usize, lines: &mut Vec<Line>) {
    value(&format!("{}{}:", "  ".repeat(depth), scalar(key)), node, depth + 1, node.key_at.file, lines);
}

/// Writes a value after the text before it; its own lines are at `depth`.
fn value(before: &str, node: &Node, depth: usize, file: u16, lines: &mut Vec<Line>) {
    let mut one = |text: String, file: u16| lines.push(Line { file, text });
    match &node.data {
        Data::Null => one(before.to_owned(), file),
        Data::Bool(truth) => one(format!("{before} {truth}"), node.at.file),
        Data::Number(number) => one(format!("{before} {number}"), node.at.file),
        Data::Text(text) => match block(text) {
            Some(indicator) => {
                one(format!("{before} {indicator}"), node.at.file);
                let indent = "  ".repeat(depth);
                for line in text.trim_end_matches('\n').split('\n') {
                    let line = if line.is_empty() { String::new() } else { format!("{indent}{line}") };
                    one(line, node.at.file);
                }
            }
            None => one(format!("{before} {}", scalar(text)), node.at.file),
        },
        Data::List(items) if items.is_empty() => one(format!("{before} []"), node.at.file),
        Data::Map(entries) if entries.is_empty() => one(format!("{before} {{}}"), node.at.file),
        Data::List(items) => {
            one(before.to_owned(), file);
            let indent = "  ".repeat(depth);
            for item in items {
                match &item.data {
                    Data::Map(entries) if !entries.is_empty() => {
                        for (position, (key, node)) in entries.iter().enumerate() {
                            let start = if position == 0 { "- " } else { "  " };
                            let before = format!("{indent}{start}{}:", scalar(key));
                            value(&before, node, depth + 2, node.key_at.file, lines);
                        }
                    }
                    _ => value(&format!("{indent}-"), item, depth + 1, item.at.file, lines),
                }
            }
        }
        Data::Map(entries) => {
            one(before.to_owned(), file);
            for (key, node) in entries {
                emit(key, node, depth, lines);
            }
        }
    }
}

/// The indicator of a block scalar for a text of several lines that can be one.
fn block(text: &str) -> Option<&'static str> {
    let body = text.strip_suffix('\n').unwrap_or(text);
    let is_plain = |line: &str| !line.chars().any(|c| c.is_control()) && !line.ends_with(' ');
    let fits = body.contains('\n')
        && !body.ends_with('\n')
        && !body.starts_with([' ', '\n'])
        && body.split('\n').all(is_plain);
    fits.then_some(if body.len() == text.len() { "|-" } else { "|" })
}

/// A scalar, quoted where it would be read as something else.
fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || " ._/@+$(){}=,;:-".contains(c);
    let looks_plain = text.starts_with(|c: char| c.is_alphabetic() || "/$(".contains(c))
        && text.chars().all(is_plain)
        && !text.contains(": ")
        && !text.ends_with([':', ' ']);
    // The reader itself says whether the plain text is a text.
    let is_text = || yaml::parse("", text.as_bytes()).is_ok_and(|node| node.text() == Some(text));
    if looks_plain && is_text() { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::fixture;
    use proptest::prelude::*;
    use serde_json::Value;

    fn written(root: &Node) -> String {
        let mut lines = Vec::new();
        root.entries().iter().for_each(|(key, node)| emit(key, node, 0, &mut lines));
        lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    #[test]
    fn written_devfile_means_the_same() {
        for text in [
            fixture::KILN,
            "a: {b: [1, [2, 3], {c: d}], e: []}\nf: \"x: y\"\ng: 'yes'\nh: '010'\ni: |\n  one\n\n  two\nj: ~\n",
            "a:\n- - 1\n  - 2\n- {}\n- |-\n  x\n  y\n",
        ] {
            let root = yaml::parse("", text.as_bytes()).unwrap();
            let again = written(&root);
            let read = yaml::parse("", again.as_bytes()).unwrap_or_else(|error| panic!("{again}\n{error:?}"));
            assert_eq!(Value::from(&read), Value::from(&root), "{again}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_written_so_that_it_is_read_again(text in "[a-z0-9 :#'\"|>\\-\\[{}&*!%@\n\t.,é~=]{0,24}") {
            let document = format!("a: {}\nb: [{}]\n", Value::from(text.as_str()), Value::from(text.as_str()));
            let root = yaml::parse("", document.as_bytes()).unwrap();
            let again = written(&root);
            let read = yaml::parse("", again.as_bytes());
            prop_assert!(read.is_ok(), "{}", again);
            prop_assert_eq!(Value::from(&read.unwrap()), Value::from(&root), "{}", again);
        }
    }
}
