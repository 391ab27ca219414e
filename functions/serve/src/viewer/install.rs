//! How to use a version, as commands to copy.

use devfile_registry::index::EntryType;
use maud::{Markup, html};

use super::detail::Shown;
use super::page::{Glyph, Registry, glyph};

/// Longest commands of one way, in bytes: what one line of a terminal takes.
const COMMANDS_BYTES: usize = 4096;

/// A way to use a version.
#[derive(Debug, PartialEq, Eq)]
struct Way {
    id: &'static str,
    name: &'static str,
    commands: String,
}

/// The section with all ways; `rest` is the path of the devfile in the REST API.
pub(super) fn section(shown: &Shown<'_>, registry: Registry<'_>, rest: Option<&str>) -> Markup {
    html! {
        section aria-labelledby="install" {
            h2 #install { "Use it" }
            div.ways { @for way in ways(shown, registry, rest) { (snippet(&way)) } }
        }
    }
}

fn snippet(way: &Way) -> Markup {
    html! {
        div.snippet {
            div.snippet-head {
                h3 { (way.name) }
                button.plain.script type="button" data-copy={ "#" (way.id) } aria-label={ "Copy the commands for " (way.name) } {
                    (glyph(Glyph::Copy)) span { "Copy" }
                }
            }
            pre tabindex="0" role="region" aria-label={ "Commands for " (way.name) } { code id=(way.id) { (way.commands) } }
        }
    }
}

/// The ways of a version. A stack can be pulled as an artifact; a sample is a Git repository.
fn ways(shown: &Shown<'_>, registry: Registry<'_>, rest: Option<&str>) -> Vec<Way> {
    let entry = shown.entry;
    let (url, host) = match registry.origin {
        Some(origin) => (origin.to_string(), origin.authority().to_owned()),
        None => ("https://REGISTRY".to_owned(), "REGISTRY".to_owned()),
    };
    let (name, version) = (shell(&entry.name), shell(shown.name()));
    let mut ways = Vec::new();
    if entry.entry_type == EntryType::Stack {
        let version_option = if version.is_empty() { String::new() } else { format!(" --devfile-version {version}") };
        let registry_name = registry.slug;
        ways.push(Way {
            id: "use-odo",
            name: "odo",
            commands: format!(
                "odo preference add registry {registry_name} {url}\n\
                 odo init --name my-app --devfile {name}{version_option} --devfile-registry {registry_name}"
            ),
        });
        let tag = if version.is_empty() { String::new() } else { format!(":{version}") };
        ways.push(Way {
            id: "use-library",
            name: "registry-library",
            // Without the new index schema the client ignores the version and pulls the default one.
            commands: format!("registry pull {url} {name}{tag} --new-index-schema --all"),
        });
        if let Some(reference) = shown.version.and_then(|version| version.links.get("self")) {
            let plain = if registry.origin.is_some_and(|origin| !origin.is_secure()) { "--plain-http " } else { "" };
            let reference = shell(reference);
            ways.push(Way { id: "use-oras", name: "oras", commands: format!("oras pull {plain}{host}/{reference}") });
        }
    }
    let git = shown.version.and_then(|version| version.git.as_ref()).or(entry.git.as_ref());
    if let Some(git) = git {
        let remote = git.remotes.get(&git.remote_name).or_else(|| git.remotes.get("origin"));
        let remote = remote.or_else(|| git.remotes.values().next()).unwrap_or(&git.url);
        if let Some(commands) = git_commands(remote, &git.revision, &entry.name) {
            ways.push(Way { id: "use-git", name: "git", commands });
        }
    }
    if let Some(rest) = rest {
        let commands = format!("curl --fail --output devfile.yaml {}", shell(&format!("{url}{rest}")));
        ways.push(Way { id: "use-curl", name: "curl", commands });
    }
    // A command that is cut is none.
    ways.retain(|way| way.commands.len() <= COMMANDS_BYTES);
    ways
}

/// Clones a repository into a folder and checks a revision out. `git clone --branch` takes branches and tags alone, and a revision
/// may be a commit.
fn git_commands(remote: &str, revision: &str, folder: &str) -> Option<String> {
    // What begins with a hyphen would be an option.
    if !remote.starts_with("https://") || revision.starts_with('-') || folder.starts_with('-') {
        return None;
    }
    let clone = format!("git clone {} {}", shell(remote), shell(folder));
    Some(match revision {
        "" => clone,
        _ => format!("{clone}\ngit -C {} checkout {} --", shell(folder), shell(revision)),
    })
}

/// A text as one word of a shell command, quoted where it would be more than that.
fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/:@+%".contains(c);
    if text.chars().all(plain) && !text.starts_with('-') {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::viewer::{fixture, origin};
    use axum::http::HeaderValue;
    use axum::http::header::{HOST, HeaderMap};

    fn commands(name: &str, only: Option<EntryType>, host: Option<&'static str>) -> String {
        let snapshot = fixture::snapshot();
        let place = snapshot.shelf.place(name, only).unwrap();
        let shown = Shown::find(&snapshot, &snapshot.catalog.entries()[place], "").unwrap();
        let headers: HeaderMap = host.map(|host| (HOST, HeaderValue::from_static(host))).into_iter().collect();
        let origin = origin::of(&headers);
        let (name, slug, caching) = ("Clay", "clay", crate::http::body::Caching::Private);
        let registry = Registry { name, slug, origin: origin.as_ref(), caching };
        ways(&shown, registry, Some("/devfiles/x"))
            .into_iter()
            .map(|way| format!("{}:\n{}", way.name, way.commands))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn ways_to_use_a_version() {
        insta::assert_snapshot!(commands("kiln", None, Some("registry.example:8080")), @"
        odo:
        odo preference add registry clay http://registry.example:8080
        odo init --name my-app --devfile kiln --devfile-version 1.1.0 --devfile-registry clay
        registry-library:
        registry pull http://registry.example:8080 kiln:1.1.0 --new-index-schema --all
        oras:
        oras pull --plain-http registry.example:8080/devfile-catalog/kiln:1.1.0
        curl:
        curl --fail --output devfile.yaml http://registry.example:8080/devfiles/x
        ");
        insta::assert_snapshot!(commands("pot", None, None), @"
        git:
        git clone https://github.com/example/pot.git pot
        git -C pot checkout v1 --
        curl:
        curl --fail --output devfile.yaml https://REGISTRY/devfiles/x
        ");
    }

    #[test]
    fn git_commands_take_no_revision_for_an_option() {
        let remote = "https://github.com/example/pot.git";
        assert_eq!(git_commands(remote, "", "pot").unwrap(), format!("git clone {remote} pot"));
        for (remote, revision, folder) in
            [(remote, "--upload-pack=x", "pot"), (remote, "v1", "-x"), ("ext::sh -c x", "v1", "pot"), ("-x", "", "pot")]
        {
            assert!(git_commands(remote, revision, folder).is_none(), "{remote} {revision} {folder}");
        }
    }

    #[test]
    fn words_of_a_shell() {
        for (text, word) in [
            ("go", "go"),
            ("1.2.0-alpha", "1.2.0-alpha"),
            ("a b", "'a b'"),
            ("$(rm)", "'$(rm)'"),
            ("it's", r"'it'\''s'"),
            ("-x", "'-x'"),
            ("", ""),
        ] {
            assert_eq!(shell(text), word);
        }
    }
}
