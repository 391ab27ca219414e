//! Reads the modules of a crate and their imports from its source files.
//!
//! It knows as much of Rust as paths take: comments, literals, `use` trees and paths from `crate`, `self`, `super` and child
//! modules. Code for tests is left out. A re-export is followed to the module that has the item, and is an import of its own
//! only where the module uses the name as well.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module that is a file, by its path below the crate: `git::remote`.
pub(crate) type Module = String;

/// Modules and the modules that they import.
pub(crate) type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// A `use` declaration, one name of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Use {
    name: String,
    path: Vec<String>,
    is_public: bool,
}

/// The code of one module, as tokens: names, `::` and single characters.
#[derive(Debug, Default)]
struct Code {
    uses: Vec<Use>,
    /// Paths outside of `use` declarations.
    paths: Vec<Vec<String>>,
    /// Modules that are files and are compiled for tests alone.
    test_modules: Vec<String>,
}

/// Reads the imports of all modules below the folder `src`, binaries left out.
pub(crate) fn imports(src: &Path) -> Imports {
    let mut files = BTreeMap::new();
    read(src, "", &mut files);
    imports_of(&files)
}

fn read(folder: &Path, prefix: &str, files: &mut BTreeMap<Module, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let module = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}::{name}") };
        match (path.is_dir(), name) {
            (true, "bin") if prefix.is_empty() => {}
            (true, _) => read(&path, &module, files),
            (false, "mod") => drop(files.insert(prefix.to_owned(), std::fs::read_to_string(&path).unwrap())),
            (false, "lib") if prefix.is_empty() => {
                files.insert(String::new(), std::fs::read_to_string(&path).unwrap());
            }
            (false, _) => drop(files.insert(module, std::fs::read_to_string(&path).unwrap())),
        }
    }
}

/// Reads the imports of modules from their source; the crate's own is that of the empty path.
fn imports_of(files: &BTreeMap<Module, String>) -> Imports {
    let mut modules: BTreeMap<&str, Code> = files.iter().map(|(module, text)| (module.as_str(), code(text))).collect();
    let tests: Vec<String> =
        modules.iter().flat_map(|(module, code)| code.test_modules.iter().map(|test| child(module, test))).collect();
    let is_test = |module: &str| tests.iter().any(|test| module == test || module.starts_with(&format!("{test}::")));
    modules.retain(|module, _| !is_test(module));
    let mut imports = Imports::new();
    for (module, code) in &modules {
        let used = code.uses.iter().filter(|used| {
            let is_named = |path: &Vec<String>| path[0] == used.name;
            !used.is_public || code.paths.iter().any(is_named)
        });
        let paths = used.map(|used| &used.path).chain(&code.paths);
        let mut found: BTreeSet<Module> = paths.filter_map(|path| resolve(&modules, module, path, 0)).collect();
        found.remove(*module);
        found.remove("");
        imports.insert((*module).to_owned(), found);
    }
    imports.remove("");
    imports
}

/// The module that has the item of a path in a module; `None` when the path leads out of the crate or is no path of a module.
fn resolve(modules: &BTreeMap<&str, Code>, from: &str, path: &[String], depth: u32) -> Option<Module> {
    let (first, rest) = path.split_first()?;
    let (mut at, mut rest) = match first.as_str() {
        "crate" => (String::new(), rest),
        "self" => (from.to_owned(), rest),
        "super" => (parent(from), rest),
        name if modules.contains_key(child(from, name).as_str()) => (child(from, name), rest),
        _ => return None,
    };
    while let Some((name, more)) = rest.split_first() {
        if name == "super" {
            at = parent(&at);
        } else if name != "self" {
            let below = child(&at, name);
            if !modules.contains_key(below.as_str()) {
                let alias = modules.get(at.as_str())?.uses.iter().find(|used| used.name == *name);
                let Some(alias) = alias.filter(|_| depth < 8) else { break };
                let path: Vec<String> = alias.path.iter().chain(more).cloned().collect();
                return resolve(modules, &at, &path, depth + 1);
            }
            at = below;
        }
        rest = more;
    }
    Some(at)
}

fn child(module: &str, name: &str) -> Module {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

fn parent(module: &str) -> Module {
    module.rsplit_once("::").map(|(parent, _)| parent.to_owned()).unwrap_or_default()
}

/// Reads one file.
fn code(text: &str) -> Code {
    let tokens = without_tests(tokens(text));
    let mut code = Code { test_modules: tokens.1, ..Code::default() };
    let tokens: Vec<&str> = tokens.0.iter().map(String::as_str).collect();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" {
            let is_public = at > 0 && matches!(tokens[at - 1], "pub" | ")");
            let end = tokens[at..].iter().position(|token| *token == ";").map_or(tokens.len(), |length| at + length);
            tree(&tokens[at + 1..end], &mut vec![], is_public, &mut code.uses);
            at = end;
        } else if is_name(tokens[at]) && (at == 0 || !matches!(tokens[at - 1], "::" | "mod")) {
            let mut path = vec![tokens[at].to_owned()];
            while tokens.get(at + 1) == Some(&"::") && tokens.get(at + 2).is_some_and(|token| is_name(token)) {
                path.push(tokens[at + 2].to_owned());
                at += 2;
            }
            // Alone it says how far an item is visible, as in `pub(super)`.
            if !matches!(path[0].as_str(), "crate" | "self" | "super") || path.len() > 1 {
                code.paths.push(path);
            }
        }
        at += 1;
    }
    code
}

/// Reads a `use` tree, without its semicolon, below a prefix.
fn tree(tokens: &[&str], prefix: &mut Vec<String>, is_public: bool, uses: &mut Vec<Use>) {
    let length = prefix.len();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at] {
            "{" => {
                let mut depth = 0;
                let mut start = at + 1;
                for (index, token) in tokens.iter().enumerate().skip(at) {
                    match *token {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 || (depth == 1 && *token == ",") {
                        tree(&tokens[start..index], &mut prefix.clone(), is_public, uses);
                        start = index + 1;
                    }
                }
                return prefix.truncate(length);
            }
            "as" => {
                uses.push(Use { name: tokens[at + 1].to_owned(), path: prefix.clone(), is_public });
                return prefix.truncate(length);
            }
            "::" => {}
            name => prefix.push(name.to_owned()),
        }
        at += 1;
    }
    if prefix.len() > length {
        if prefix.last().is_some_and(|name| name == "self" || name == "*") {
            prefix.pop();
        }
        let name = prefix.last().cloned().unwrap_or_default();
        uses.push(Use { name, path: prefix.clone(), is_public });
    }
    prefix.truncate(length);
}

/// Leaves out the items behind `#[cfg(test)]`; the second are the modules among them that are files.
fn without_tests(tokens: Vec<String>) -> (Vec<String>, Vec<String>) {
    const TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules) = (vec![], vec![]);
    let mut rest = tokens.as_slice();
    while let Some(first) = rest.first() {
        if !(rest.len() >= TEST.len() && rest.iter().zip(TEST).all(|(token, test)| token == test)) {
            kept.push(first.clone());
            rest = &rest[1..];
            continue;
        }
        rest = &rest[TEST.len()..];
        // The item ends with a semicolon, a comma or its block, whichever comes first, or with the block around it.
        let (mut depth, mut item) = (0_u32, 0);
        for token in rest {
            match token.as_str() {
                "{" | "(" | "[" => depth += 1,
                "}" if depth == 0 => break,
                "}" | ")" | "]" => depth -= 1,
                _ => {}
            }
            item += 1;
            if depth == 0 && matches!(token.as_str(), "}" | ";" | ",") {
                break;
            }
        }
        if let Some(name) = rest[..item].iter().position(|token| token == "mod") {
            modules.extend(rest.get(name + 1).filter(|_| rest[item - 1] == ";").cloned());
        }
        rest = &rest[item..];
    }
    (kept, modules)
}

/// Splits source into names, `::` and other characters, without comments, literals and white space.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = vec![];
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(raw) = raw_string(rest) {
            raw
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' {
            let is_lifetime = rest[1..].starts_with(is_name_char) && rest.chars().nth(2) != Some('\'');
            if is_lifetime { 1 } else { quoted(rest, '\'') }
        } else if is_name_char(c) {
            let end = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            end
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of a raw string at the beginning of a text.
fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = text.len() - after.len() + hashes + 1;
    Some(text[start..].find(&end).map_or(text.len(), |length| start + length + end.len()))
}

/// The length of a literal in quotes at the beginning of a text.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        if c == quote && !is_escaped {
            return index + 1;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    text.len()
}

fn is_name(token: &str) -> bool {
    token.starts_with(is_name_char)
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[test]
fn imports_are_read_from_use_trees_and_paths() {
    let files = BTreeMap::from(
        [
            ("", "pub mod a; mod b; pub use b::Shown;"),
            ("a", "mod low; pub(crate) mod high; pub use low::{Low, Other as Alias}; pub use high::*;"),
            ("a::low", "use std::fmt; pub struct Low; /* crate::b::X */ pub(super) const C: &str = \"crate::b::X\"; // crate::b"),
            ("a::high", "use super::{Alias, Low}; fn f<'a>() -> char { crate::b::g(r#\"\"crate::c\"#); '\"' }"),
            ("b", "use crate::{a::{self, Low}, c}; #[cfg(test)] mod more; #[cfg(test)] mod tests { use crate::d::X; }"),
            ("b::more", "use crate::d;"),
            ("c", "mod part; fn f() { part::g(); self::part::h() } #[cfg(test)] use crate::a; pub struct C;"),
            ("c::part", "use super::C; use super::super::d::{X as Y};"),
            ("d", "pub(crate) use crate::c::part::P; struct X { a: P, #[cfg(test)] b: crate::a::Low }"),
        ]
        .map(|(module, text)| (module.to_owned(), text.to_owned())),
    );
    let found: Vec<String> = imports_of(&files)
        .into_iter()
        .map(|(module, imports)| format!("{module}: {}", Vec::from_iter(imports).join(" ")))
        .collect();
    assert_eq!(
        found,
        ["a: ", "a::high: a::low b", "a::low: ", "b: a a::low c", "c: c::part", "c::part: c d", "d: c::part"]
    );
}
