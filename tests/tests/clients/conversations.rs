//! The requests that a client sends for a command, for machines without that client.
//!
//! `tests/fixtures/conversations` has a file for each kind of command, written down from the client's source. [`replay`] sends its
//! requests to `serve`, and checks that the answers have everything that the client needs.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use devfile_registry::digest::Digest;
use registry_tests::answer::Answer;
use registry_tests::registry::Serving;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
struct Conversation {
    /// The commands that it belongs to, with placeholders.
    commands: Vec<String>,
    requests: Vec<Exchange>,
}

#[derive(Debug, Deserialize)]
struct Exchange {
    /// Method and path, with placeholders. `{layer}` repeats the request for every layer of the manifest.
    request: String,
    headers: BTreeMap<String, String>,
    #[serde(default = "ok")]
    status: u16,
    content_type: Option<String>,
    learns: Option<Learns>,
    /// The media types of the layers that the client takes; none: all of them.
    #[serde(default)]
    types: Vec<String>,
}

fn ok() -> u16 {
    200
}

/// The part of an answer that later requests depend on.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Learns {
    /// An index: the link of the stack's version, as `{repository}` and `{tag}`.
    Link,
    /// A manifest's `{digest}`, from the header.
    Digest,
    /// The layers of a manifest.
    Layers,
}

#[derive(Debug)]
struct Layer {
    digest: String,
    media_type: String,
    title: String,
}

type Values = BTreeMap<String, String>;

/// Sends the requests of the client for a command, and puts the files that it pulls into `folder`.
///
/// # Errors
/// When no conversation has the command, or an answer lacks something that the client needs.
pub(crate) async fn replay(command: &str, serve: &Serving, folder: &Path) -> Result<(), String> {
    let host = serve.url.trim_start_matches("http://");
    let known = [("url".to_owned(), serve.url.clone()), ("host".to_owned(), host.to_owned())];
    let found = conversations().into_iter().find_map(|conversation| {
        let values =
            conversation.commands.iter().find_map(|template| bind(&fill(template, &known.clone().into()), command));
        Some((conversation, values?))
    });
    let (conversation, mut values) = found.ok_or_else(|| format!("the client has no such command: {command}"))?;
    let mut layers = Vec::new();
    for exchange in &conversation.requests {
        if !exchange.request.contains("{layer}") {
            let answer = exchange.send(serve, &values).await?;
            exchange.learn(&answer, &mut values, &mut layers)?;
            continue;
        }
        for layer in &layers {
            let Layer { digest, media_type, title } = layer;
            values.extend([("layer".to_owned(), digest.clone()), ("type".to_owned(), media_type.clone())]);
            let answer = exchange.send(serve, &values).await?;
            std::fs::write(folder.join(title), content(&answer)).map_err(|error| format!("{title}: {error}"))?;
        }
    }
    Ok(())
}

fn conversations() -> Vec<Conversation> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/conversations");
    let mut files: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path| {
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("{path:?}: {error}"))
    };
    files.into_iter().map(read).collect()
}

impl Exchange {
    async fn send(&self, serve: &Serving, values: &Values) -> Result<Answer, String> {
        let request = fill(&self.request, values);
        let (method, path) = request.split_once(' ').unwrap();
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), fill(value, values))).collect();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = serve.ask(method, path, &headers).await;
        let media_type = answer.header("content-type").split(';').next().unwrap_or_default();
        if answer.status != self.status || self.content_type.as_deref().is_some_and(|expected| expected != media_type) {
            return Err(format!("{request} is answered with {} and `{media_type}`, not {self:?}", answer.status));
        }
        let own = Digest::of(&content(&answer)).to_string();
        let named = path.rsplit('/').next().filter(|last| last.starts_with("sha256:"));
        if method == "GET" && named.is_some_and(|digest| digest != own) {
            return Err(format!("{request} is answered with {own}"));
        }
        // A client that finds no digest in the header, or no length, asks once more or gives up.
        if path.contains("/manifests/") {
            let (digest, length) = (answer.header("docker-content-digest"), answer.header("content-length"));
            if !digest.starts_with("sha256:") || length.parse::<u64>().is_err() || (method == "GET" && digest != own) {
                return Err(format!("{request} is answered with the digest `{digest}` and the length `{length}`"));
            }
        }
        Ok(answer)
    }

    fn learn(&self, answer: &Answer, values: &mut Values, layers: &mut Vec<Layer>) -> Result<(), String> {
        match self.learns {
            None => {}
            Some(Learns::Link) => {
                let link =
                    link(&json(answer), values).ok_or_else(|| format!("the index has no link for {values:?}"))?;
                let (repository, tag) = link.split_once(':').ok_or_else(|| format!("`{link}` has no tag"))?;
                values.extend([("repository".to_owned(), repository.to_owned()), ("tag".to_owned(), tag.to_owned())]);
            }
            Some(Learns::Digest) => {
                values.insert("digest".to_owned(), answer.header("docker-content-digest").to_owned());
            }
            Some(Learns::Layers) => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let all = json(answer)["layers"].as_array().cloned().unwrap_or_default();
                *layers = all
                    .iter()
                    .map(|layer| Layer {
                        digest: text(&layer["digest"]),
                        media_type: text(&layer["mediaType"]),
                        title: text(&layer["annotations"]["org.opencontainers.image.title"]),
                    })
                    .filter(|layer| self.types.is_empty() || self.types.contains(&layer.media_type))
                    .collect();
                if layers.is_empty() {
                    return Err("the manifest has no layer that the client takes".to_owned());
                }
            }
        }
        Ok(())
    }
}

/// The link of a stack in an index: of the asked version, else of the default one. The old index has one version only.
fn link(index: &Value, values: &Values) -> Option<String> {
    let entry =
        index.as_array()?.iter().find(|entry| entry["name"].as_str() == values.get("stack").map(String::as_str))?;
    let of = |part: &Value| Some(part["links"]["self"].as_str()?.to_owned());
    let Some(versions) = entry["versions"].as_array() else { return of(entry) };
    let wanted = |version: &&Value| match values.get("version") {
        Some(asked) => version["version"] == asked.as_str(),
        None => version["default"] == true,
    };
    of(versions.iter().find(wanted)?)
}

fn json(answer: &Answer) -> Value {
    serde_json::from_slice(&content(answer)).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The body, decoded as the client does.
fn content(answer: &Answer) -> Vec<u8> {
    if answer.header("content-encoding") != "gzip" {
        return answer.body.to_vec();
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(answer.body.as_ref()).read_to_end(&mut plain).unwrap();
    plain
}

/// A template with the placeholders filled that have a value.
fn fill(template: &str, values: &Values) -> String {
    values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// The values of the placeholders, if the text matches the template. Only `{repository}` may have a slash.
fn bind(template: &str, text: &str) -> Option<Values> {
    let Some((start, rest)) = template.split_once('{') else { return (template == text).then(Values::new) };
    let (name, rest) = rest.split_once('}').unwrap();
    let text = text.strip_prefix(start)?;
    let plain = |c: char| !c.is_whitespace() && c != ':' && (c != '/' || name == "repository");
    let end = text.find(|c| !plain(c)).unwrap_or(text.len());
    let mut values = bind(rest, &text[end..]).filter(|_| end > 0)?;
    values.insert(name.to_owned(), text[..end].to_owned());
    Some(values)
}

#[test]
fn command_is_bound_to_its_template() {
    let template = "registry pull http://h:1 {stack}:{version} --new-index-schema";
    let values = bind(template, "registry pull http://h:1 kiln:1.0.0 --new-index-schema").unwrap();
    assert_eq!((values["stack"].as_str(), values["version"].as_str()), ("kiln", "1.0.0"));
    for other in ["registry pull http://h:1 kiln --new-index-schema", "registry pull http://h:1 kiln:1.0.0"] {
        assert!(bind(template, other).is_none(), "{other}");
    }
    let values = bind("oras pull h:1/{repository}:{tag}", "oras pull h:1/devfile-catalog/kiln:1.0.0").unwrap();
    assert_eq!(values["repository"], "devfile-catalog/kiln");
}
