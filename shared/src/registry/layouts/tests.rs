//! Layouts: their files, lost and damaged blobs, and writers that come at once.

use futures_util::future::join_all;
use serde_json::json;

use super::*;

const CONFIG: &[u8] = b"{}";

fn open() -> (tempfile::TempDir, ImageLayouts) {
    let folder = tempfile::tempdir().unwrap();
    let layouts = ImageLayouts::new(Directory::open(folder.path()).unwrap());
    (folder, layouts)
}

/// A manifest with one layer of this text.
fn manifest(text: &str) -> Bytes {
    let named =
        |content: &[u8]| json!({"mediaType": "text/plain", "digest": Digest::of(content), "size": content.len()});
    json!({"schemaVersion": 2, "config": named(CONFIG), "layers": [named(text.as_bytes())]}).to_string().into()
}

/// Pushes a manifest with its blobs.
async fn push(layouts: &ImageLayouts, repository: &str, tag: &str, text: &'static str) -> Digest {
    for content in [CONFIG, text.as_bytes()] {
        layouts.push_blob(repository, Digest::of(content), Bytes::from_static(content)).await.unwrap();
    }
    layouts.push_manifest(repository, Name::Tag(tag), manifest(text)).await.unwrap();
    Digest::of(&manifest(text))
}

#[tokio::test]
async fn repository_is_a_layout_of_its_own_with_plain_tags() {
    let (folder, layouts) = open();
    let digest = push(&layouts, "devfile-catalog/go", "1.2.0", "a devfile").await;
    let layout = folder.path().join("oci/devfile-catalog/go");
    let read = |name: &str| std::fs::read_to_string(layout.join(name)).unwrap();
    assert_eq!(read("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: Value = serde_json::from_str(&read("index.json")).unwrap();
    let expected = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest,
            "size": manifest("a devfile").len(),
            "annotations": {"org.opencontainers.image.ref.name": "1.2.0"},
        }],
    });
    assert_eq!(index, expected);
    assert_eq!(read(&format!("blobs/sha256/{}", digest.hex())), manifest("a devfile"));
}

#[tokio::test]
async fn tag_moves_and_what_other_programs_wrote_stays() {
    let (folder, layouts) = open();
    push(&layouts, "r", "latest", "old").await;
    let path = folder.path().join("oci/r/index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let other = json!({"digest": "sha512:ab", "size": 1, "artifactType": "text/plain", "annotations": {"a": "b"}});
    index["manifests"].as_array_mut().unwrap().insert(0, other.clone());
    index["annotations"] = json!({"c": "d"});
    std::fs::write(&path, index.to_string()).unwrap();
    let digest = push(&layouts, "r", "latest", "new").await;
    assert_eq!(layouts.manifest_digest("r", Name::Tag("latest")).await.unwrap(), Some(digest));
    assert_eq!(layouts.manifest("r", Name::Tag("latest")).await.unwrap(), Some(manifest("new")));
    let index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!((&index["annotations"], &index["manifests"][0]), (&json!({"c": "d"}), &other));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    let old = Digest::of(&manifest("old"));
    assert_eq!(layouts.manifest_digest("r", Name::Digest(old)).await.unwrap(), Some(old), "rollbacks name it");
}

#[tokio::test]
async fn missing_content_is_none_and_damaged_content_is_an_error() {
    let (folder, layouts) = open();
    let digest = push(&layouts, "r", "t", "text").await;
    let blob = Digest::of(b"text");
    assert_eq!(layouts.manifest_digest("r", Name::Tag("other")).await.unwrap(), None);
    assert_eq!(layouts.manifest_digest("other", Name::Tag("t")).await.unwrap(), None);
    assert_eq!(layouts.blob("other", blob, 10).await.unwrap(), None);
    assert_eq!(layouts.blob("r", blob, 10).await.unwrap().unwrap(), "text");
    assert!(layouts.blob("r", blob, 3).await.is_err(), "beyond the limit");
    assert!(layouts.has_blob("r", blob, 4).await.unwrap() && !layouts.has_blob("r", blob, 5).await.unwrap());
    let path = |digest: Digest| folder.path().join("oci/r/blobs/sha256").join(digest.hex());
    std::fs::write(path(blob), "texx").unwrap();
    let error = layouts.blob("r", blob, 10).await.unwrap_err().to_string();
    assert!(error.contains("its bytes do not have its digest"), "{error}");
    let into = folder.path().join("copy");
    assert!(layouts.blob_to_file("r", blob, 10, &into).await.is_err());
    layouts.push_blob("r", blob, Bytes::from("text")).await.unwrap();
    assert!(layouts.blob_to_file("r", blob, 10, &into).await.unwrap(), "a blob that is pushed again is whole");
    // A manifest that cannot be read counts as missing, so it is pushed again.
    std::fs::write(path(digest), "{").unwrap();
    assert_eq!(layouts.manifest_digest("r", Name::Tag("t")).await.unwrap(), None);
    std::fs::write(path(digest), manifest("texx")).unwrap();
    assert_eq!(layouts.manifest("r", Name::Digest(digest)).await.unwrap(), None);
}

#[tokio::test]
async fn bytes_of_another_digest_are_refused_and_what_is_there_stays() {
    let (folder, layouts) = open();
    push(&layouts, "r", "t", "text").await;
    let (blob, other) = (Digest::of(b"text"), Digest::of(b"other"));
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "texx").unwrap();
    for digest in [blob, other] {
        let pushed = [
            layouts.push_blob("r", digest, Bytes::from_static(b"texx")).await,
            layouts.push_file("r", digest, &wrong).await,
        ];
        for error in pushed.map(Result::unwrap_err) {
            assert!(error.to_string().ends_with(": its bytes do not have its digest"), "{error}");
        }
    }
    assert_eq!(layouts.blob("r", blob, 10).await.unwrap().unwrap(), "text");
    assert_eq!(layouts.blob("r", other, 10).await.unwrap(), None);
    assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn index_that_is_full_says_how_to_begin_anew() {
    let (folder, layouts) = open();
    push(&layouts, "r", "first", "text").await;
    let path = folder.path().join("oci/r/index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let room = usize::try_from(limits::LAYOUT_BYTES).unwrap() - index.to_string().len();
    index["annotations"] = json!({"a": "b".repeat(room - 300)});
    std::fs::write(&path, index.to_string()).unwrap();
    push(&layouts, "r", "second", "text").await;
    let error = layouts.push_manifest("r", Name::Tag("third"), manifest("text")).await.unwrap_err().to_string();
    let reason = format!("the tags of r would take more than {} bytes; ", limits::LAYOUT_BYTES);
    let advice = "move oci/r away and run reconcile, which writes those of the live release again";
    assert!(error.ends_with(&format!("{reason}{advice}")), "{error}");
}

#[tokio::test]
async fn manifest_is_taken_only_with_its_blobs() {
    let (_folder, layouts) = open();
    layouts.push_blob("r", Digest::of(CONFIG), Bytes::from_static(CONFIG)).await.unwrap();
    let error = layouts.push_manifest("r", Name::Tag("t"), manifest("text")).await.unwrap_err();
    assert!(error.lacks_blobs(), "{error}");
    assert_eq!(layouts.manifest_digest("r", Name::Tag("t")).await.unwrap(), None);
    let error = layouts.push_manifest("r", Name::Tag("t"), Bytes::from_static(b"[]")).await.unwrap_err();
    assert!(!error.lacks_blobs(), "{error}");
}

#[tokio::test]
async fn damaged_index_is_named_with_the_way_out() {
    let (folder, layouts) = open();
    push(&layouts, "r", "t", "text").await;
    std::fs::write(folder.path().join("oci/r/index.json"), "{").unwrap();
    let error = layouts.manifest_digest("r", Name::Tag("t")).await.unwrap_err().to_string();
    assert!(error.contains("oci/r/index.json is damaged") && error.contains("run reconcile"), "{error}");
}

/// Each writer has opened the directory for itself, as another process does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tags_that_are_written_at_once_are_all_there() {
    let (folder, layouts) = open();
    push(&layouts, "r", "first", "text").await;
    let writes = (0..16).map(|number| {
        let layouts = ImageLayouts::new(Directory::at(folder.path()));
        tokio::spawn(async move {
            layouts.push_manifest("r", Name::Tag(&format!("tag-{number}")), manifest("text")).await.unwrap();
        })
    });
    for written in join_all(writes).await {
        written.unwrap();
    }
    for number in 0..16 {
        let tag = format!("tag-{number}");
        assert!(layouts.manifest_digest("r", Name::Tag(&tag)).await.unwrap().is_some(), "{tag}");
    }
}
