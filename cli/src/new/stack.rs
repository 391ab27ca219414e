//! `new stack`: a stack with one version that builds and runs a project in a container.

use anyhow::bail;
use devfile_registry::terminal::print;
use devfile_registry::timestamp::Timestamp;
use devfile_registry::tree::File;
use url::Url;

use super::answers::Answers;
use super::dates::{DATES, add_date};
use super::{FIRST_VERSION, Files, check, write};
use crate::PROGRAM;
use crate::command::NewStack;

/// The icon of a stack that has none of its own yet: the one of the devfile project.
const ICON: &str =
    "https://raw.githubusercontent.com/devfile/devfile-web/main/apps/landing-page/public/pwa-192x192.png";

/// A square with rounded corners.
const LOGO: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\" width=\"64\" height=\"64\">\
                    <rect width=\"64\" height=\"64\" rx=\"12\" fill=\"#4a6785\"/></svg>\n";

/// Writes a new stack.
///
/// # Errors
/// There is no such folder, the stack exists, facts are missing, or the checker would find problems.
pub(crate) async fn new_stack(options: &NewStack) -> anyhow::Result<()> {
    if !options.dir.is_dir() {
        bail!("cannot write to {}: there is no such folder", options.dir.display());
    }
    let mut answers = Answers::about::<NewStack>();
    let name = &answers.take("name", options.name.as_deref(), None, is_stack_name);
    let folder = options.dir.join("stacks").join(name);
    if is_stack_name(name).is_ok() && folder.exists() {
        let remedy = match folder.join("stack.yaml").exists() {
            true => format!("`new version {name}` adds a version"),
            false => "choose another name".to_owned(),
        };
        bail!("cannot create {}: it exists; {remedy}", folder.display());
    }
    let facts = facts(options, name, answers)?;
    let version = options.version.as_deref().unwrap_or(FIRST_VERSION);
    let path = |file: &str| format!("stacks/{name}/{file}");
    let mut files = Files::from([
        (path("stack.yaml"), File::plain(stack_yaml(name, version, &facts))),
        (path(&format!("{version}/devfile.yaml")), File::plain(devfile(name, version, &facts))),
        (path(&format!("{version}/logo.svg")), File::plain(LOGO)),
    ]);
    check(&files, &Files::new(), |_| true).await?;
    if let Ok(dates) = std::fs::read(options.dir.join(DATES)) {
        add_date(&mut files, &dates, name, version, &Timestamp::from_instant(jiff::Timestamp::now()));
    }
    write(&options.dir, &files)?;
    let devfile = options.dir.join(path(&format!("{version}/devfile.yaml")));
    let dir = options.dir.display();
    print(&format!(
        "\nReplace both command lines and the icon in {}, then see the stack: {PROGRAM} preview {dir}\n",
        devfile.display()
    ))
}

/// Accepts the name of a stack.
pub(super) fn is_stack_name(name: &str) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !name.is_empty() && name.chars().all(plain) { Ok(()) } else { Err("use lower-case letters, digits and hyphens") }
}

/// Accepts the URL of a page or a picture.
fn is_web_url(text: &str) -> Result<(), &'static str> {
    let is_web = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_web { Ok(()) } else { Err("use a URL that begins with https://") }
}

/// Accepts any text.
fn is_text(_: &str) -> Result<(), &'static str> {
    Ok(())
}

/// The facts by which people know a stack.
#[derive(Debug)]
struct Facts {
    display_name: String,
    description: String,
    language: String,
    project_type: String,
    provider: String,
    support_url: String,
    image: String,
    icon: String,
}

fn facts(options: &NewStack, name: &str, mut answers: Answers) -> anyhow::Result<Facts> {
    let display_name = answers.take("display_name", options.display_name.as_deref(), Some(&title(name)), is_text);
    let language = answers.take("language", options.language.as_deref(), None, is_text);
    let description = format!("Builds and runs {display_name} projects");
    let facts = Facts {
        description: answers.take("description", options.description.as_deref(), Some(&description), is_text),
        project_type: answers.take("project_type", options.project_type.as_deref(), Some(&language), is_text),
        provider: answers.take("provider", options.provider.as_deref(), None, is_text),
        support_url: answers.take("support_url", options.support_url.as_deref(), None, is_web_url),
        image: answers.take("image", options.image.as_deref(), None, is_text),
        icon: answers.take("icon", options.icon.as_deref(), Some(ICON), is_web_url),
        display_name,
        language,
    };
    answers.finish()?;
    Ok(facts)
}

/// `my-stack` as `My Stack`.
fn title(name: &str) -> String {
    let words = name.split('-').filter_map(|word| {
        let mut letters = word.chars();
        letters.next().map(|first| format!("{}{}", first.to_ascii_uppercase(), letters.as_str()))
    });
    words.collect::<Vec<_>>().join(" ")
}

/// A text as a scalar that means just this text: JSON strings are YAML.
fn scalar(text: &str) -> String {
    let may_stand = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '/' | ':');
    let is_word = |word: &str| word.chars().all(may_stand) && !word.ends_with(':');
    let first_is_letter = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let means_other = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let is_plain = first_is_letter
        && text.split(' ').all(|word| !word.is_empty() && is_word(word))
        && !means_other.iter().any(|other| text.eq_ignore_ascii_case(other));
    if is_plain { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn stack_yaml(name: &str, version: &str, facts: &Facts) -> String {
    let (display_name, description, icon) =
        (scalar(&facts.display_name), scalar(&facts.description), scalar(&facts.icon));
    format!(
        "name: {name}
displayName: {display_name}
description: {description}
icon: {icon}
versions:
  - version: {version}
    default: true
"
    )
}

fn devfile(name: &str, version: &str, facts: &Facts) -> String {
    let [display_name, description, icon, language, project_type, provider, support_url, image] = [
        &facts.display_name,
        &facts.description,
        &facts.icon,
        &facts.language,
        &facts.project_type,
        &facts.provider,
        &facts.support_url,
        &facts.image,
    ]
    .map(|text| scalar(text));
    format!(
        "schemaVersion: 2.2.2
metadata:
  name: {name}
  version: {version}
  displayName: {display_name}
  description: {description}
  icon: {icon}
  language: {language}
  projectType: {project_type}
  tags:
    - {language}
  architectures:
    - amd64
    - arm64
  provider: {provider}
  supportUrl: {support_url}
components:
  - name: runtime
    container:
      image: {image}
      args: [tail, -f, /dev/null]
      memoryLimit: 1024Mi
      mountSources: true
      endpoints:
        - name: http
          targetPort: 8080
commands:
  # Replace both command lines.
  - id: build
    exec:
      component: runtime
      commandLine: echo build
      workingDir: ${{PROJECT_SOURCE}}
      group:
        kind: build
        isDefault: true
  - id: run
    exec:
      component: runtime
      commandLine: echo run
      workingDir: ${{PROJECT_SOURCE}}
      group:
        kind: run
        isDefault: true
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_are_quoted_where_yaml_would_read_something_else() {
        for (text, expected) in [
            ("Go", "Go"),
            ("Clay Guild", "Clay Guild"),
            ("docker.io/library/golang:1.25", "docker.io/library/golang:1.25"),
            ("yes", "\"yes\""),
            ("1.0", "\"1.0\""),
            ("a: b", "\"a: b\""),
            ("two  spaces", "\"two  spaces\""),
            ("say \"hi\" #1", "\"say \\\"hi\\\" #1\""),
            ("", "\"\""),
        ] {
            assert_eq!(scalar(text), expected);
        }
        assert_eq!(title("my-stack"), "My Stack");
    }
}
