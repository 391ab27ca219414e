//! "Use it": one client at a time, each with the form that gets the version shown.
//!
//! The clients are radio buttons, and the style sheet shows the commands of the chosen one, so no script is needed. With a script, the
//! choice is remembered.

use devfile_registry::index::EntryType;
use devfile_registry::open_in::Values;
use maud::{Markup, html};

use super::detail::Detail;
use super::link::safe_link;
use super::page::{Glyph, RegistryInfo, glyph};
use super::shown::Shown;
use super::source::{git_of, remote_of};

/// Longest commands of one client, in bytes: a line of a terminal takes no more.
const COMMANDS_BYTES: usize = 4096;

/// A client, with the steps in it.
#[derive(Debug, PartialEq, Eq)]
struct Client {
    id: &'static str,
    name: &'static str,
    /// The use of the text.
    about: &'static str,
    /// The commands, or the address.
    text: String,
}

/// The section; `rest` is the path of the devfile in the REST API.
pub(super) fn section(detail: &Detail<'_>, rest: Option<&str>) -> Markup {
    let clients = clients(&detail.shown, detail.visit.registry, rest);
    html! {
        section.use aria-labelledby="install" {
            div.section-head {
                h2 #install { "Use it" }
                @if let Some(rest) = rest { (open_in(detail, rest)) }
            }
            fieldset.clients {
                legend.hidden { "Client" }
                @for (position, client) in clients.iter().enumerate() {
                    input.hidden type="radio" name="client" id={ "client-" (client.id) } value=(client.id) checked[position == 0];
                    label for={ "client-" (client.id) } { (client.name) }
                }
                @for client in &clients { (snippet(client)) }
            }
        }
    }
}

/// The links to the development environments that the operator configured.
fn open_in(detail: &Detail<'_>, rest: &str) -> Markup {
    let environments = detail.visit.viewer.open_in.environments();
    let Some(origin) = detail.visit.registry.origin.filter(|_| !environments.is_empty()) else { return html! {} };
    let (registry, name, version) = (origin.to_string(), detail.shown.entry.name.as_str(), detail.shown.name());
    let devfile = format!("{registry}{rest}");
    let values = Values { devfile: &devfile, registry: &registry, name, version };
    html! {
        div.actions {
            @for environment in environments {
                @if let Some(link) = safe_link(&environment.link(&values)) {
                    a.primary href=(link) rel="noopener noreferrer nofollow" { "Open in " (environment.name()) }
                }
            }
        }
    }
}

fn snippet(client: &Client) -> Markup {
    html! {
        div class={ "snippet way-" (client.id) } {
            div.snippet-head {
                p { (client.about) }
                button.plain.script type="button" data-copy={ "#use-" (client.id) } aria-label={ "Copy for " (client.name) } {
                    (glyph(Glyph::Copy)) span { "Copy" }
                }
            }
            pre tabindex="0" role="region" aria-label={ "For " (client.name) } { code id={ "use-" (client.id) } { (client.text) } }
        }
    }
}

/// The clients of a version. A stack can be pulled as an artifact; a sample is a Git repository.
fn clients(shown: &Shown<'_>, registry: RegistryInfo<'_>, rest: Option<&str>) -> Vec<Client> {
    let entry = shown.entry;
    let is_live = registry.is_live();
    let (url, host) = match registry.origin {
        Some(origin) => (origin.to_string(), origin.authority().to_owned()),
        None => ("https://REGISTRY".to_owned(), "REGISTRY".to_owned()),
    };
    let (name, version) = (shell(&entry.name), shell(shown.name()));
    let is_stack = entry.entry_type == EntryType::Stack;
    let mut clients = Vec::new();
    let mut add = |id, name, about, text| clients.push(Client { id, name, about, text });
    let shell_commands = "In a terminal, in an empty folder:";
    if let Some(rest) = rest.filter(|_| is_stack && !is_live) {
        // Clients that add a registry leave its path out, and would ask the live one.
        let devfile = shell(&format!("{url}{}", registry.below(rest)));
        add("odo", "odo", shell_commands, format!("odo init --name my-app --devfile-path {devfile}"));
    } else if is_stack {
        let version_option = if version.is_empty() { String::new() } else { format!(" --devfile-version {version}") };
        let registry_name = registry.slug;
        let commands = format!(
            "odo preference add registry {registry_name} {url}\n\
             odo init --name my-app --devfile {name}{version_option} --devfile-registry {registry_name}"
        );
        add("odo", "odo", shell_commands, commands);
        let about = "In the extension OpenShift Toolkit, add this address to the devfile registries. Then create a component and choose the stack and its version:";
        add("vscode", "VS Code", about, url.clone());
    } else if let Some(git) = git_of(shown)
        && let Some(commands) = git_commands(remote_of(git), &git.revision, &entry.name)
    {
        add("git", "git", "In a terminal:", commands);
    }
    if let Some(rest) = rest {
        let about = "Open this address, with the host of your Eclipse Che or OpenShift Dev Spaces:";
        add("che", "Che or Dev Spaces", about, format!("https://CHE_HOST/#{url}{}", registry.below(rest)));
    }
    if is_stack && is_live {
        if let Some(reference) = shown.version.and_then(|version| version.links.get("self")) {
            let plain = if registry.origin.is_some_and(|origin| !origin.is_secure()) { "--plain-http " } else { "" };
            let reference = shell(reference);
            add("oras", "oras", shell_commands, format!("oras pull {plain}{host}/{reference}"));
        }
        let tag = if version.is_empty() { String::new() } else { format!(":{version}") };
        // Without the new index schema the client ignores the version and pulls the default one.
        let command = format!("registry pull {url} {name}{tag} --new-index-schema --all");
        add("library", "registry-library", shell_commands, command);
    }
    if let Some(rest) = rest {
        let command = format!("curl --fail --output devfile.yaml {}", shell(&format!("{url}{}", registry.below(rest))));
        add("curl", "curl", shell_commands, command);
    }
    // A command that is cut is none.
    clients.retain(|client| client.text.len() <= COMMANDS_BYTES);
    clients
}

/// Clones a repository into a folder and checks a revision out. `git clone --branch` takes branches and tags alone, and a revision
/// may be a commit.
fn git_commands(remote: &str, revision: &str, folder: &str) -> Option<String> {
    // A word that begins with a hyphen would be an option.
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
        let position = snapshot.viewer_index.position(name, only).unwrap();
        let entry = snapshot.catalog.entry(position);
        let shown = Shown::find(&snapshot, &entry, "").unwrap();
        let headers: HeaderMap = host.map(|host| (HOST, HeaderValue::from_static(host))).into_iter().collect();
        let origin = origin::of(&headers);
        let (name, slug, caching) = ("Clay", "clay", crate::http::body::Caching::Private);
        let registry = RegistryInfo { name, slug, origin: origin.as_ref(), caching, frame: None };
        clients(&shown, registry, Some("/devfiles/x"))
            .into_iter()
            .map(|client| format!("{}:\n{}", client.name, client.text))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn version_has_a_way_for_each_client() {
        insta::assert_snapshot!(commands("kiln", None, Some("registry.example:8080")), @"
        odo:
        odo preference add registry clay http://registry.example:8080
        odo init --name my-app --devfile kiln --devfile-version 1.1.0 --devfile-registry clay
        VS Code:
        http://registry.example:8080
        Che or Dev Spaces:
        https://CHE_HOST/#http://registry.example:8080/devfiles/x
        oras:
        oras pull --plain-http registry.example:8080/devfile-catalog/kiln:1.1.0
        registry-library:
        registry pull http://registry.example:8080 kiln:1.1.0 --new-index-schema --all
        curl:
        curl --fail --output devfile.yaml http://registry.example:8080/devfiles/x
        ");
        insta::assert_snapshot!(commands("pot", None, None), @"
        git:
        git clone https://github.com/example/pot.git pot
        git -C pot checkout v1 --
        Che or Dev Spaces:
        https://CHE_HOST/#https://REGISTRY/devfiles/x
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
    fn text_with_special_characters_is_quoted_for_the_shell() {
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
