//! Artifacts: the OCI manifest and layers of one stack version, byte for byte as the reference pushes them.
//!
//! Manifests follow the OCI image specification 1.0 ("Image Manifest"); the layer types are those of the devfile registry.

use std::collections::BTreeSet;
use std::io::Read;

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::index::to_compact_json;
use crate::limits;
use crate::tree::{File, Mode};

pub use crate::media_type::MANIFEST_MEDIA_TYPE;

/// Media type of a stack's config blob, which is always [`CONFIG`].
pub const CONFIG_MEDIA_TYPE: &str = "application/vnd.devfileio.devfile.config.v2+json";

/// The config blob of every stack.
pub const CONFIG: &[u8] = b"{}";

/// Name of the layer for all files without a layer of their own.
pub const ARCHIVE: &str = "archive.tar";

/// Prefix of the repositories that hold stacks.
pub const CATALOG: &str = "devfile-catalog";

/// Annotation of a layer with its file name (OCI image specification 1.1, "Pre-Defined Annotation Keys").
pub const TITLE: &str = "org.opencontainers.image.title";

/// A layer of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// Its media type.
    pub media_type: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Length in bytes.
    pub size: u64,
    /// Its file name.
    pub title: String,
}

/// The destination of the files of a version folder.
#[derive(Debug, PartialEq, Eq)]
enum Destination {
    /// A layer of its own with this media type.
    Layer(&'static str),
    /// Into [`ARCHIVE`].
    Archive,
    /// Nowhere.
    LeftOut,
}

fn destination(path: &str) -> Destination {
    match path {
        "devfile.yaml" | ".devfile.yaml" => Destination::Layer("application/vnd.devfileio.devfile.layer.v1"),
        "logo.svg" => Destination::Layer("image/svg+xml"),
        "logo.png" => Destination::Layer("image/png"),
        // Built anew from the other files; see `layers` for a folder that has only the finished one.
        "OWNERS" | "meta.yaml" | ARCHIVE => Destination::LeftOut,
        path if path.contains('/') => Destination::Archive,
        path if path.ends_with(".vsx") => Destination::Layer("application/vnd.devfileio.vsx.layer.v1.tar"),
        path if path.ends_with("-offline.zip") => Destination::LeftOut,
        _ => Destination::Archive,
    }
}

/// Content that needs no storage: the config, and no bytes at all.
pub(crate) fn known(blob: Digest) -> Option<Bytes> {
    [CONFIG, b""].into_iter().find(|content| Digest::of(content) == blob).map(Bytes::from_static)
}

/// Whether a file of a version folder, by its path there, is in the folder's [`ARCHIVE`].
pub fn is_archived(path: &str) -> bool {
    destination(path) == Destination::Archive
}

/// Whether a file directly in a version folder is a layer of its own, by its name.
pub(crate) fn has_own_layer(name: &str) -> bool {
    name == ARCHIVE || matches!(destination(name), Destination::Layer(_))
}

/// The files in an archive, with their paths as it has them.
///
/// # Errors
/// When it is no gzip-compressed tar, or unpacks to more than [`limits::TREE_BYTES`].
pub fn unpack(archive: &[u8]) -> std::io::Result<Vec<(String, Bytes)>> {
    unpack_within(archive, limits::TREE_BYTES)
}

fn unpack_within(archive: &[u8], limit: u64) -> std::io::Result<Vec<(String, Bytes)>> {
    let mut unpacked = flate2::read::GzDecoder::new(archive).take(limit + 1);
    let mut files = Vec::new();
    for entry in tar::Archive::new(&mut unpacked).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type().is_file() {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            files.push((path, content.into()));
        }
    }
    // Cut off between two files, an archive looks like a whole one.
    if unpacked.limit() == 0 {
        return Err(std::io::Error::other(format!("it unpacks to more than {limit} bytes")));
    }
    Ok(files)
}

/// Makes the layers of a version folder, in the order of their digests, as the reference's library pushes them.
///
/// `files` are the folder's files by relative path, in byte order. A file without bytes is no layer: Amazon ECR refuses an empty blob.
pub fn layers(files: &[(String, File)]) -> Vec<(Layer, Bytes)> {
    let layer = |title: &str, media_type: &str, content: Bytes| {
        let (digest, size) = (Digest::of(&content), content.len() as u64);
        (Layer { media_type: media_type.to_owned(), digest, size, title: title.to_owned() }, content)
    };
    let mut layers: Vec<(Layer, Bytes)> = files
        .iter()
        .filter_map(|(path, file)| match destination(path) {
            Destination::Layer(media_type) => Some(layer(path, media_type, file.content.clone())),
            Destination::Archive | Destination::LeftOut => None,
        })
        .collect();
    let archived: Vec<_> = files.iter().filter(|(path, _)| destination(path) == Destination::Archive).collect();
    let finished = files.iter().find(|(path, _)| path == ARCHIVE).map(|(_, file)| file.content.clone());
    let archive = if archived.is_empty() { finished } else { Some(archive(&archived)) };
    layers.extend(archive.map(|content| layer(ARCHIVE, "application/x-tar", content)));
    layers.retain(|(layer, _)| layer.size > 0);
    layers.sort_by(|(a, _), (b, _)| a.digest.cmp(&b.digest).then_with(|| a.title.cmp(&b.title)));
    layers
}

/// A gzip-compressed tar with an entry for every folder, sorted, without times and owners, so that the same files always give
/// the same bytes. Clients create folders only where there is an entry for them.
fn archive(files: &[&(String, File)]) -> Bytes {
    let folders: BTreeSet<String> =
        files.iter().flat_map(|(path, _)| path.match_indices('/').map(|(end, _)| path[..=end].to_owned())).collect();
    let mut entries: Vec<(&str, Option<&File>)> = folders.iter().map(|folder| (folder.as_str(), None)).collect();
    entries.extend(files.iter().map(|(path, file)| (path.as_str(), Some(file))));
    entries.sort_by_key(|(path, _)| *path);

    let gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(gzip);
    for (path, file) in entries {
        let mut header = tar::Header::new_gnu();
        let content: &[u8] = file.map_or(&[], |file| &file.content);
        header.set_entry_type(if file.is_some() { tar::EntryType::Regular } else { tar::EntryType::Directory });
        header.set_mode(if file.is_none_or(|file| file.mode == Mode::Executable) { 0o755 } else { 0o644 });
        header.set_size(content.len() as u64);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, path, content).expect("tree paths are relative and memory takes all bytes");
    }
    let gzip = tar.into_inner().expect("memory takes all bytes");
    gzip.finish().expect("memory takes all bytes").into()
}

/// The manifest's bytes: no `mediaType`, no annotations of its own, no newline.
pub fn manifest(layers: &[Layer]) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Manifest<'a> {
        schema_version: u8,
        config: Descriptor<'a>,
        layers: Vec<Descriptor<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Descriptor<'a> {
        media_type: &'a str,
        digest: Digest,
        size: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        annotations: Option<std::collections::BTreeMap<&'a str, &'a str>>,
    }
    let layers = layers.iter().map(|layer| Descriptor {
        media_type: &layer.media_type,
        digest: layer.digest,
        size: layer.size,
        annotations: Some([(TITLE, layer.title.as_str())].into()),
    });
    let config = Descriptor {
        media_type: CONFIG_MEDIA_TYPE,
        digest: Digest::of(CONFIG),
        size: CONFIG.len() as u64,
        annotations: None,
    };
    to_compact_json(&Manifest { schema_version: 2, config, layers: layers.collect() }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Vec<(String, File)> {
        list.iter().map(|(path, content)| ((*path).to_owned(), File::plain(content.as_bytes().to_vec()))).collect()
    }

    fn titles(list: &[(&str, &str)]) -> BTreeSet<String> {
        layers(&files(list)).into_iter().map(|(layer, _)| layer.title).collect()
    }

    fn content(list: &[(String, File)], title: &str) -> Bytes {
        layers(list).into_iter().find(|(layer, _)| layer.title == title).unwrap().1
    }

    #[test]
    fn every_resource_has_its_layer() {
        let found = titles(&[
            (".devfile.yaml", "x"),
            ("OWNERS", "x"),
            ("a.vsx", "x"),
            ("docker/Dockerfile", "x"),
            ("docker/OWNERS", "x"),
            ("go-offline.zip", "x"),
            ("logo.png", "x"),
            ("logo.svg", "x"),
            ("meta.yaml", "x"),
        ]);
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(found, set(&[".devfile.yaml", "a.vsx", "archive.tar", "logo.png", "logo.svg"]));
        assert_eq!(titles(&[("devfile.yaml", "x"), ("deploy.yaml", "x")]), set(&["archive.tar", "devfile.yaml"]));
        assert_eq!(titles(&[("devfile.yaml", "x"), ("OWNERS", "x")]), set(&["devfile.yaml"]));
    }

    #[test]
    fn file_without_bytes_is_no_layer() {
        let empty = [("devfile.yaml", "a"), ("logo.png", ""), ("logo.svg", ""), ("x.vsx", "")];
        assert_eq!(titles(&empty), ["devfile.yaml".to_owned()].into());
        assert_eq!(titles(&[("archive.tar", ""), ("devfile.yaml", "a")]), ["devfile.yaml".to_owned()].into());
    }

    #[test]
    fn layers_are_in_the_order_of_their_digests() {
        let list = files(&[("devfile.yaml", "a"), ("logo.png", "b"), ("logo.svg", "c")]);
        let (layers, _): (Vec<Layer>, Vec<Bytes>) = layers(&list).into_iter().unzip();
        let order: Vec<_> =
            layers.iter().map(|layer| (layer.digest.hex()[..4].to_owned(), layer.title.as_str())).collect();
        let expected = [("2e7d", "logo.svg"), ("3e23", "logo.png"), ("ca97", "devfile.yaml")];
        assert_eq!(order, expected.map(|(digest, title)| (digest.to_owned(), title)));
    }

    #[test]
    fn layers_of_one_digest_are_in_the_order_of_their_names() {
        let list = files(&[(".devfile.yaml", "a"), ("devfile.yaml", "a")]);
        let found: Vec<_> = layers(&list).into_iter().map(|(layer, _)| layer.title).collect();
        assert_eq!(found, [".devfile.yaml", "devfile.yaml"]);
    }

    #[test]
    fn a_finished_archive_is_taken_as_it_is() {
        let finished = files(&[("archive.tar", "bytes"), ("devfile.yaml", "x")]);
        assert_eq!(content(&finished, ARCHIVE), "bytes");
        let with_more = files(&[("archive.tar", "bytes"), ("deploy.yaml", ""), ("devfile.yaml", "x")]);
        assert_ne!(content(&with_more, ARCHIVE), "bytes");
    }

    #[test]
    fn archives_hold_folders_and_no_times() {
        let mut list = files(&[("Containerfile", "FROM x"), ("a/b/run.sh", "#!/bin/sh"), ("a/z", ""), ("ä b.txt", "")]);
        list[1].1.mode = Mode::Executable;
        let packed = content(&list, ARCHIVE);
        assert_eq!(packed, content(&list, ARCHIVE), "the same files give the same bytes");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        let mut archive = tar::Archive::new(&unpacked[..]);
        let entries: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
                format!("{:o} {}", header.mode().unwrap(), entry.path().unwrap().display())
            })
            .collect();
        assert_eq!(entries, ["644 Containerfile", "755 a/", "755 a/b/", "755 a/b/run.sh", "644 a/z", "644 ä b.txt"]);
    }

    #[test]
    fn manifests_are_byte_for_byte_the_references() {
        let layer = Layer {
            media_type: "application/vnd.devfileio.devfile.layer.v1".into(),
            digest: Digest::of(b"x"),
            size: 1,
            title: "devfile.yaml".into(),
        };
        let expected = r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.devfileio.devfile.config.v2+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":"application/vnd.devfileio.devfile.layer.v1","digest":"sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881","size":1,"annotations":{"org.opencontainers.image.title":"devfile.yaml"}}]}"#;
        assert_eq!(manifest(&[layer]), expected);
    }

    #[test]
    fn archive_that_unpacks_to_too_much_is_an_error_wherever_it_is_cut() {
        let list = files(&[("a", "x"), ("b", "y")]);
        let archive = archive(&list.iter().collect::<Vec<_>>());
        let length = 4 * 512 + 1024;
        let files = unpack_within(&archive, length).unwrap();
        assert_eq!(files.iter().map(|(_, content)| content).collect::<Vec<_>>(), ["x", "y"]);
        for limit in 0..4 * 512 {
            assert!(unpack_within(&archive, limit).is_err(), "{limit}");
        }
    }
}
