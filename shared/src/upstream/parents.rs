//! Parents that are not in the tree, as far as they have been fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use url::Url;

use super::run::{Run, each};
use crate::fetch::Reason;
use crate::limits;
use crate::validate::{self, Found, Parents};

/// Answers from the fetched parents, and records the missing ones.
#[derive(Debug, Default)]
pub(super) struct FetchedParents {
    found: BTreeMap<validate::ExternalParent, Found>,
    asked: Mutex<BTreeSet<validate::ExternalParent>>,
}

impl Parents for FetchedParents {
    fn fetch(&self, parent: &validate::ExternalParent) -> Found {
        if let Some(found) = self.found.get(parent) {
            return found.clone();
        }
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(parent.clone());
        Found::Unreachable("nothing is fetched here".to_owned())
    }
}

impl FetchedParents {
    /// All that was fetched.
    pub(super) fn into_found(self) -> BTreeMap<validate::ExternalParent, Found> {
        self.found
    }

    /// Fetches the recorded parents; returns false when there are none.
    pub(super) async fn fetch_asked(&mut self, run: &Run<'_>) -> bool {
        let asked = std::mem::take(self.asked.get_mut().unwrap_or_else(PoisonError::into_inner));
        if asked.is_empty() || run.client.is_none() {
            return false;
        }
        let found = each(&asked, |parent| fetch(run, parent)).await;
        self.found.extend(asked.into_iter().zip(found));
        true
    }
}

pub(super) async fn fetch(run: &Run<'_>, parent: &validate::ExternalParent) -> Found {
    let url = match parent {
        validate::ExternalParent::Uri(uri) => Some(uri.clone()),
        validate::ExternalParent::Stack { id, version, registry } => {
            registry.as_deref().and_then(|registry| of_registry(registry, id, version.as_deref()))
        }
    };
    let Some(url) = url else { return Found::Missing };
    match run.get(&url, limits::DEVFILE_BYTES as u64, None).await {
        Ok(Some((bytes, _))) => Found::Devfile(bytes),
        Ok(None) => Found::Unreachable("the answer was empty".to_owned()),
        Err(error) if error.reason == Reason::NotFound => Found::Missing,
        Err(error) => Found::Unreachable(error.public()),
    }
}

/// The URL of a stack's devfile in a devfile registry.
fn of_registry(registry: &str, id: &str, version: Option<&str>) -> Option<String> {
    let mut url = Url::parse(registry).ok()?;
    url.set_query(None);
    url.set_fragment(None);
    url.path_segments_mut().ok()?.pop_if_empty().extend(["devfiles", id]).extend(version);
    Some(url.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_of_a_parent_by_id_is_below_its_registry() {
        let url = |registry, version| of_registry(registry, "go", version).unwrap();
        assert_eq!(url("https://r.example.org", None), "https://r.example.org/devfiles/go");
        assert_eq!(url("https://r.example.org/base/?q", Some("1.0.0")), "https://r.example.org/base/devfiles/go/1.0.0");
        assert_eq!(
            of_registry("https://r.example.org", "../x/y", None).unwrap(),
            "https://r.example.org/devfiles/..%2Fx%2Fy"
        );
    }
}
