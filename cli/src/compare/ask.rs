//! The requests of one question, to both registries.

use std::collections::BTreeSet;

use devfile_registry::artifact::ARCHIVE;
use devfile_registry::diff::FileDigests;
use devfile_registry::digest::Digest;
use devfile_registry::limits;

use super::answers::{Outcome, bytes, heads, indexes, named, zips};
use super::plan::{Area, Question};
use crate::live::{Answer, Failure, Layer, Registry, layers, path_of, segment, unpacked};

/// Largest blob that is read, in bytes. Larger ones are compared by their digest and length.
const READ_BYTES: u64 = limits::REDIRECT_BYTES;

/// Both registries.
#[derive(Debug)]
pub(super) struct Registries {
    pub(super) old: Registry,
    pub(super) new: Registry,
}

/// A registry that gave no answer.
#[derive(Debug, thiserror::Error)]
#[error("{url}: {failure}")]
pub(super) struct NoAnswer {
    url: String,
    failure: Failure,
}

impl NoAnswer {
    /// Whether the registry did not answer at all.
    pub(super) fn is_silence(&self) -> bool {
        self.failure.is_silence()
    }
}

impl Registries {
    /// Asks both and compares their answers.
    pub(super) async fn ask(&self, question: &Question) -> Result<Outcome, NoAnswer> {
        let mut outcome = Outcome::default();
        let subject = &question.subject;
        let (limit, compare): (u64, fn(&Answer, &Answer, &mut Outcome)) = match question.area {
            Area::Index | Area::Filters => (limits::RELEASE_BYTES, indexes),
            Area::Devfiles => (limits::DEVFILE_BYTES as u64, bytes),
            Area::Files => (limits::FILE_BYTES, bytes),
            Area::Starters => (limits::STARTER_BYTES, zips),
            Area::Artifacts => {
                let (repository, tag) = subject.rsplit_once(':').unwrap_or((subject, "latest"));
                self.artifact(repository, tag, &mut outcome).await?;
                return Ok(outcome);
            }
        };
        let (old, new) = self.both(|registry| registry.get(subject, limit)).await?;
        compare(&old, &new, &mut outcome);
        if question.has_changed_filter() && is_reference(&old) != is_reference(&new) {
            outcome.take_as_deliberate("a filter that the reference server answers in another way");
        }
        Ok(outcome)
    }

    /// The answers of both to a request.
    async fn both<'r, F>(&'r self, ask: impl Fn(&'r Registry) -> F) -> Result<(Answer, Answer), NoAnswer>
    where
        F: Future<Output = Result<Answer, Failure>>,
    {
        self.answers(ask(&self.old), ask(&self.new)).await
    }

    /// The answers of both, each to a request of its own.
    async fn answers(
        &self,
        old: impl Future<Output = Result<Answer, Failure>>,
        new: impl Future<Output = Result<Answer, Failure>>,
    ) -> Result<(Answer, Answer), NoAnswer> {
        let (old, new) = tokio::join!(old, new);
        let answered = |registry: &Registry, answer: Result<Answer, Failure>| {
            answer.map_err(|failure| NoAnswer { url: registry.url().to_owned(), failure })
        };
        Ok((answered(&self.old, old)?, answered(&self.new, new)?))
    }

    /// Compares an artifact by tag and by digest, and its blobs.
    async fn artifact(&self, repository: &str, tag: &str, outcome: &mut Outcome) -> Result<(), NoAnswer> {
        let (old, new) = self.both(|registry| registry.manifest(repository, tag)).await?;
        if !heads(&old, &new, outcome) {
            return Ok(());
        }
        for (word, answer) in [("old", &old), ("new", &new)] {
            let (named, found) = (answer.header("docker-content-digest"), Digest::of(&answer.body).to_string());
            if !named.is_empty() && named != found {
                outcome.differs(format!("the {word} manifest has the digest {found}, and the registry says {named}"));
            }
        }
        let (Ok(layers_of_old), Ok(layers_of_new)) = (layers(&old.body), layers(&new.body)) else {
            outcome.differs("a manifest cannot be read");
            return Ok(());
        };
        if old.body != new.body {
            self.layers(repository, (&layers_of_old, &layers_of_new), outcome).await?;
            return Ok(());
        }
        let digest = Digest::of(&old.body).to_string();
        let (by_digest, other) = self.both(|registry| registry.manifest(repository, &digest)).await?;
        if heads(&by_digest, &other, outcome) && (by_digest.body != old.body || other.body != new.body) {
            outcome.differs("the manifest by its digest is not that of the tag");
        }
        let mut seen = BTreeSet::new();
        for layer in layers_of_old.iter().filter(|layer| seen.insert(layer.digest)) {
            let path = blob(repository, layer);
            let (old, new) = self.both(|registry| registry.head(&path)).await?;
            if heads(&old, &new, outcome) && old.header("content-length") != new.header("content-length") {
                let lengths = [&old, &new].map(|answer| answer.header("content-length").to_owned());
                outcome.differs(format!("HEAD of {}: length {} became {}", layer.title, lengths[0], lengths[1]));
            }
            if layer.size <= READ_BYTES {
                let (old, new) = self.both(|registry| registry.get(&path, READ_BYTES)).await?;
                heads(&old, &new, outcome);
                for (word, answer) in [("old", &old), ("new", &new)] {
                    if answer.status == 200 && Digest::of(&answer.body) != layer.digest {
                        outcome.differs(format!("the {word} blob of {} does not have its digest", layer.title));
                    }
                }
            }
        }
        Ok(())
    }

    /// Compares the layers of manifests that differ. Archives of the same files, packed in another way, differ deliberately.
    async fn layers(
        &self,
        repository: &str,
        (old, new): (&[Layer], &[Layer]),
        outcome: &mut Outcome,
    ) -> Result<(), NoAnswer> {
        let files = |layers: &[Layer]| -> FileDigests {
            layers.iter().map(|layer| (layer.title.clone(), layer.digest)).collect()
        };
        let (mut before, mut after) = (files(old), files(new));
        let archive = |layers: &[Layer]| layers.iter().find(|layer| layer.title == ARCHIVE).cloned();
        if let (Some(one), Some(other)) = (archive(old), archive(new))
            && one.digest != other.digest
        {
            let (one, other) = (blob(repository, &one), blob(repository, &other));
            let limit = limits::TREE_BYTES;
            let (one, other) = self.answers(self.old.get(&one, limit), self.new.get(&other, limit)).await?;
            if let (Ok(one), Ok(other)) = (unpacked(&one.body), unpacked(&other.body)) {
                for (files, unpacked) in [(&mut before, one), (&mut after, other)] {
                    files.remove(ARCHIVE);
                    files.extend(unpacked);
                }
            }
        }
        if before == after {
            outcome.note_deliberate("archive.tar packed in another way");
            return Ok(());
        }
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let differs = names.into_iter().filter(|name| before.get(*name) != after.get(*name)).collect();
        outcome.differs(format!("files differ: {}", named(differs)));
        Ok(())
    }
}

/// Whether an answer is that of a reference server: ours have a header with the commit of their release.
fn is_reference(answer: &Answer) -> bool {
    answer.header("devfile-registry-commit").is_empty()
}

fn blob(repository: &str, layer: &Layer) -> String {
    format!("/v2/{}/blobs/{}", path_of(repository), segment(&layer.digest.to_string()))
}
