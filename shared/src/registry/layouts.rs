//! The artifacts in a directory on disk: an OCI image layout for each repository (OCI image specification 1.1, "Image Layout").
//!
//! The layout of a repository is the folder of its name, `oci/devfile-catalog/go`, and its tags are plain tags, as skopeo reads them:
//! `oci:DIR/oci/devfile-catalog/go:1.2.0`. One layout for all would need references with the repository in them,
//! `devfile-catalog/go:1.2.0`, which some tools cut at the last colon, and its `index.json` would be written anew, as a whole, for
//! each tag of a registry.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{Name, Registry, RegistryError};
use crate::context;
use crate::digest::Digest;
use crate::directory::{BlobSource, Directory, aside, digest_of, wrong_digest};
use crate::limits;
use crate::media_type::MANIFEST_MEDIA_TYPE;

/// The folder of the layouts.
const FOLDER: &str = "oci";

/// The file that makes a folder a layout.
const MARK: &str = "oci-layout";

/// The annotation with the tag of a manifest.
const TAG: &str = "org.opencontainers.image.ref.name";

/// Image layouts in a directory.
#[derive(Debug, Clone)]
pub struct ImageLayouts(Directory);

/// The `index.json` of a layout. Additions of other programs stay.
#[derive(Debug, Serialize, Deserialize)]
struct Index {
    manifests: Vec<TaggedManifest>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// A manifest with its tag.
#[derive(Debug, Serialize, Deserialize)]
struct TaggedManifest {
    digest: String,
    size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The blobs that a manifest names.
#[derive(Debug, Deserialize)]
struct ManifestBlobs {
    config: BlobRef,
    layers: Vec<BlobRef>,
}

#[derive(Debug, Deserialize)]
struct BlobRef {
    digest: Digest,
    size: u64,
}

/// Why a manifest was not taken.
enum NotTaken {
    Io(io::Error),
    Malformed(serde_json::Error),
    Missing(Digest),
}

impl Default for Index {
    fn default() -> Self {
        let others = [
            ("schemaVersion".to_owned(), json!(2)),
            ("mediaType".to_owned(), json!("application/vnd.oci.image.index.v1+json")),
        ];
        Self { manifests: Vec::new(), others: Map::from_iter(others) }
    }
}

impl Index {
    /// The manifest with a tag.
    fn tagged(&self, tag: &str) -> Option<&TaggedManifest> {
        self.manifests.iter().find(|manifest| manifest.has_tag(tag))
    }

    /// Gives a tag to a manifest.
    fn tag(&mut self, tag: &str, manifest: &Bytes) {
        self.manifests.retain(|manifest| !manifest.has_tag(tag));
        self.manifests.push(TaggedManifest {
            digest: Digest::of(manifest).to_string(),
            size: manifest.len() as u64,
            annotations: [(TAG.to_owned(), tag.to_owned())].into(),
            others: Map::from_iter([("mediaType".to_owned(), json!(MANIFEST_MEDIA_TYPE))]),
        });
    }
}

impl TaggedManifest {
    fn has_tag(&self, tag: &str) -> bool {
        self.annotations.get(TAG).is_some_and(|own| own == tag)
    }
}

/// The name of a file of a layout.
fn file(repository: &str, name: &str) -> String {
    format!("{FOLDER}/{repository}/{name}")
}

fn blob(repository: &str, digest: Digest) -> String {
    file(repository, &format!("blobs/sha256/{}", digest.hex()))
}

fn has_blob(directory: &Directory, repository: &str, digest: Digest, size: u64) -> io::Result<bool> {
    Ok(directory.metadata(&blob(repository, digest))?.is_some_and(|metadata| metadata.len() == size))
}

fn read_index(directory: &Directory, repository: &str) -> io::Result<Index> {
    let name = file(repository, "index.json");
    let Some(bytes) = directory.read(&name, limits::LAYOUT_BYTES)? else { return Ok(Index::default()) };
    serde_json::from_slice(&bytes).map_err(|error| {
        let advice = "remove it, and run reconcile to write the tags of the live release again";
        io::Error::new(ErrorKind::InvalidData, format!("{name} is damaged: {error}; {advice}"))
    })
}

/// Whether a blob has its length and its digest.
fn is_intact(directory: &Directory, repository: &str, digest: Digest, size: u64) -> io::Result<bool> {
    let has_length = has_blob(directory, repository, digest, size)?;
    Ok(has_length && directory.digest(&blob(repository, digest))? == Some(digest))
}

/// Reads a manifest. A damaged one counts as missing, so that a publisher pushes it again.
fn read_manifest(directory: &Directory, repository: &str, name: Name<'_>) -> io::Result<Option<(Digest, Bytes)>> {
    let digest = match name {
        Name::Digest(digest) => Some(digest),
        Name::Tag(tag) => read_index(directory, repository)?.tagged(tag).and_then(|tagged| tagged.digest.parse().ok()),
    };
    let Some(digest) = digest else { return Ok(None) };
    let manifest = match directory.read(&blob(repository, digest), limits::MANIFEST_BYTES) {
        Ok(None) => return Ok(None),
        Ok(Some(bytes)) => Some(bytes).filter(|bytes| Digest::of(bytes) == digest),
        Err(error) if error.kind() == ErrorKind::FileTooLarge => None,
        Err(error) => return Err(error),
    };
    if manifest.is_none() {
        tracing::warn!(repository, %digest, "a manifest in the directory is damaged");
    }
    Ok(manifest.map(|bytes| (digest, bytes.into())))
}

/// Writes a manifest whose blobs are there, and then its tag.
fn write_manifest(
    directory: &Directory,
    repository: &str,
    tag: Option<&str>,
    manifest: &Bytes,
) -> Result<(), NotTaken> {
    let parsed: ManifestBlobs = serde_json::from_slice(manifest).map_err(NotTaken::Malformed)?;
    for named in parsed.layers.iter().chain([&parsed.config]) {
        if !has_blob(directory, repository, named.digest, named.size)? {
            return Err(NotTaken::Missing(named.digest));
        }
    }
    directory.write(&blob(repository, Digest::of(manifest)), BlobSource::Bytes(manifest))?;
    let Some(tag) = tag else { return Ok(()) };
    let _lock = directory.lock(&format!("{FOLDER}/{repository}"))?;
    let mark = file(repository, MARK);
    if directory.metadata(&mark)?.is_none() {
        directory.write(&mark, BlobSource::Bytes(br#"{"imageLayoutVersion":"1.0.0"}"#))?;
    }
    let mut index = read_index(directory, repository)?;
    index.tag(tag, manifest);
    let bytes = serde_json::to_vec(&index).map_err(NotTaken::Malformed)?;
    if bytes.len() as u64 > limits::LAYOUT_BYTES {
        let reason = format!("the tags of {repository} would take more than {} bytes", limits::LAYOUT_BYTES);
        let advice = "and run reconcile, which writes those of the live release again";
        let reason = format!("{reason}; move {FOLDER}/{repository} away {advice}");
        return Err(io::Error::new(ErrorKind::FileTooLarge, reason).into());
    }
    Ok(directory.write(&file(repository, "index.json"), BlobSource::Bytes(&bytes))?)
}

impl From<io::Error> for NotTaken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl ImageLayouts {
    /// The layouts of a directory.
    pub fn new(directory: Directory) -> Self {
        Self(directory)
    }

    fn error(&self, operation: String, reason: String) -> RegistryError {
        RegistryError::new(format!("the store {}", self.0.root().join(FOLDER).display()), operation, reason)
    }

    async fn run<T: Send + 'static>(
        &self,
        operation: impl Fn() -> String,
        work: impl FnOnce(&Directory) -> io::Result<T> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let directory = self.0.clone();
        aside(move || work(&directory)).await.map_err(|error| self.error(operation(), error.to_string()))
    }

    async fn write_blob(&self, repository: &str, digest: Digest, content: WriteSource) -> Result<(), RegistryError> {
        let name = blob(repository, digest);
        let write = move |directory: &Directory| match &content {
            WriteSource::Bytes(bytes) => directory.write_blob(&name, BlobSource::Bytes(bytes), digest),
            WriteSource::File(path) => directory.write_blob(&name, BlobSource::File(path), digest),
        };
        let length = self.run(|| format!("take the blob {repository}@{digest}"), write).await?;
        context::count_bytes(usize::try_from(length).unwrap_or_default());
        Ok(())
    }
}

/// The content of a blob.
enum WriteSource {
    Bytes(Bytes),
    File(PathBuf),
}

/// A name that outlives its caller.
enum OwnName {
    Tag(String),
    Digest(Digest),
}

impl From<Name<'_>> for OwnName {
    fn from(name: Name<'_>) -> Self {
        match name {
            Name::Tag(tag) => Self::Tag(tag.to_owned()),
            Name::Digest(digest) => Self::Digest(digest),
        }
    }
}

impl OwnName {
    fn as_name(&self) -> Name<'_> {
        match self {
            Self::Tag(tag) => Name::Tag(tag),
            Self::Digest(digest) => Name::Digest(*digest),
        }
    }
}

fn described(verb: &str, repository: &str, name: Name<'_>) -> String {
    match name {
        Name::Tag(tag) => format!("{verb} the manifest {repository}:{tag}"),
        Name::Digest(digest) => format!("{verb} the manifest {repository}@{digest}"),
    }
}

impl Registry for ImageLayouts {
    fn address(&self) -> String {
        self.0.root().display().to_string()
    }

    async fn manifest_digest(&self, repository: &str, name: Name<'_>) -> Result<Option<Digest>, RegistryError> {
        let (own, of) = (OwnName::from(name), repository.to_owned());
        let find = move |directory: &Directory| read_manifest(directory, &of, own.as_name());
        let found = self.run(|| described("check", repository, name), find).await?;
        Ok(found.map(|(digest, _)| digest))
    }

    async fn manifest(&self, repository: &str, name: Name<'_>) -> Result<Option<Bytes>, RegistryError> {
        let (own, of) = (OwnName::from(name), repository.to_owned());
        let read = move |directory: &Directory| read_manifest(directory, &of, own.as_name());
        let found = self.run(|| described("read", repository, name), read).await?;
        Ok(found.map(|(_, manifest)| manifest))
    }

    async fn blob(&self, repository: &str, digest: Digest, limit: u64) -> Result<Option<Bytes>, RegistryError> {
        let name = blob(repository, digest);
        let read = move |directory: &Directory| -> io::Result<Option<Bytes>> {
            match directory.read(&name, limit)? {
                Some(bytes) if Digest::of(&bytes) != digest => Err(wrong_digest()),
                found => Ok(found.map(Bytes::from)),
            }
        };
        self.run(|| format!("read the blob {repository}@{digest}"), read).await
    }

    async fn has_blob(&self, repository: &str, digest: Digest, size: u64) -> Result<bool, RegistryError> {
        let of = repository.to_owned();
        let find = move |directory: &Directory| has_blob(directory, &of, digest, size);
        self.run(|| format!("check the blob {repository}@{digest}"), find).await
    }

    async fn is_intact(&self, repository: &str, digest: Digest, size: u64) -> Result<bool, RegistryError> {
        let of = repository.to_owned();
        let read = move |directory: &Directory| is_intact(directory, &of, digest, size);
        self.run(|| format!("read the blob {repository}@{digest}"), read).await
    }

    async fn push_blob(&self, repository: &str, digest: Digest, content: Bytes) -> Result<(), RegistryError> {
        self.write_blob(repository, digest, WriteSource::Bytes(content)).await
    }

    async fn blob_to_file(
        &self,
        repository: &str,
        digest: Digest,
        limit: u64,
        into: &Path,
    ) -> Result<bool, RegistryError> {
        let (name, into) = (blob(repository, digest), into.to_owned());
        let read = move |directory: &Directory| -> io::Result<bool> {
            let Some(stored) = directory.open_file(&name, limit)? else { return Ok(false) };
            io::copy(&mut stored.into_file(), &mut File::create(&into)?)?;
            if digest_of(File::open(&into)?)? == digest { Ok(true) } else { Err(wrong_digest()) }
        };
        self.run(|| format!("read the blob {repository}@{digest}"), read).await
    }

    async fn push_file(&self, repository: &str, digest: Digest, file: &Path) -> Result<(), RegistryError> {
        self.write_blob(repository, digest, WriteSource::File(file.to_owned())).await
    }

    async fn push_manifest(&self, repository: &str, name: Name<'_>, manifest: Bytes) -> Result<(), RegistryError> {
        let operation = || described("take", repository, name);
        let (own, of, length) = (OwnName::from(name), repository.to_owned(), manifest.len());
        let directory = self.0.clone();
        let write = move || {
            let tag = match &own {
                OwnName::Tag(tag) => Some(tag.as_str()),
                OwnName::Digest(_) => None,
            };
            Ok(write_manifest(&directory, &of, tag, &manifest))
        };
        match aside(write).await.unwrap_or_else(|error| Err(NotTaken::Io(error))) {
            Ok(()) => {
                context::count_bytes(length);
                Ok(())
            }
            Err(NotTaken::Io(error)) => Err(self.error(operation(), error.to_string())),
            Err(NotTaken::Malformed(error)) => Err(self.error(operation(), error.to_string())),
            Err(NotTaken::Missing(digest)) => {
                let reason = format!("the blob {digest} is not there, or not in its length");
                Err(self.error(operation(), reason).lacking_blobs())
            }
        }
    }
}

#[cfg(test)]
mod tests;
