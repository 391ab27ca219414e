//! The objects of a pack.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gix_hash::{Kind, oid};
use gix_pack::Bundle;
use gix_pack::bundle::write::Options;
use gix_pack::cache::Never;
use gix_utils::progress::Discard;
use gix_zlib::Inflate;
use tempfile::TempDir;
use tokio::time::Instant;

use super::error::GitError;
use super::objects::Objects;
use crate::limits;

/// Objects that were fetched. The pack is on disk, and goes when this is dropped.
pub struct Pack {
    /// None when the host had nothing to send.
    bundle: Option<Bundle>,
    _scratch: TempDir,
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let objects = self.bundle.as_ref().map_or(0, |bundle| bundle.index.num_objects());
        f.debug_struct("Pack").field("objects", &objects).finish_non_exhaustive()
    }
}

impl Pack {
    /// Reads the pack in a file of the folder `scratch`.
    pub(super) async fn open(path: PathBuf, scratch: TempDir, deadline: Instant) -> Result<Self, GitError> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let reading = tokio::task::spawn_blocking(move || {
            let bundle = bundle(&path, scratch.path(), &stopped)?;
            Ok(Self { bundle, _scratch: scratch })
        });
        let read = tokio::time::timeout_at(deadline, reading).await;
        stop.store(true, Ordering::Relaxed);
        read.map_err(|_| GitError::Slow)?.unwrap_or_else(|panic| Err(GitError::object("of the pack", panic)))
    }
}

impl Objects for Pack {
    fn find(&self, id: &oid, kind: gix_object::Kind) -> Result<Option<Vec<u8>>, GitError> {
        let Some(bundle) = &self.bundle else { return Ok(None) };
        let mut content = Vec::new();
        match bundle.find(id, &mut content, &mut Inflate::default(), &mut Never) {
            Ok(Some((object, _))) if object.kind == kind => Ok(Some(content)),
            Ok(Some((object, _))) => Err(GitError::object(id, format!("it is a {}, not a {kind}", object.kind))),
            Ok(None) => Ok(None),
            Err(error) => Err(GitError::object(id, error)),
        }
    }
}

fn bundle(path: &std::path::Path, scratch: &std::path::Path, stop: &AtomicBool) -> Result<Option<Bundle>, GitError> {
    let damaged = |error: &dyn std::fmt::Display| GitError::object("of the pack", error.to_string());
    let options =
        Options { thread_limit: Some(1), alloc_limit_bytes: Some(limits::GIT_OBJECT_BYTES), ..Options::default() };
    let mut reader = BufReader::new(File::open(path).map_err(|error| GitError::temporary(&error))?);
    let no_base = None::<gix_object::find::Never>;
    let written =
        Bundle::write_to_directory(&mut reader, Some(scratch), &mut Discard, stop, no_base, Kind::Sha1, options);
    let bundle = written.and_then(|written| written.to_bundle().transpose()).map_err(|error| damaged(&error))?;
    Ok(bundle.map(|mut bundle| {
        bundle.pack = bundle.pack.with_alloc_limit_bytes(Some(limits::GIT_OBJECT_BYTES));
        bundle
    }))
}
