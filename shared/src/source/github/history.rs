//! When folders and files were last touched.

use std::collections::BTreeMap;
use std::fmt::Write;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::api::Api;
use super::call::{Call, unavailable};
use super::repository::encode_value;
use crate::digest::CommitSha;
use crate::source::SourceError;
use crate::timestamp::Timestamp;

/// Paths in one query. GitHub ends queries after ten seconds, and each path is a walk through the history.
const BATCH: usize = 50;

/// Queries, or calls of an anonymous source, at a time.
const AT_ONCE: usize = 4;

/// Most calls of an anonymous source for dates: GitHub answers 60 calls an hour, and a refresh needs some for the rest.
const ANONYMOUS_CALLS: usize = 30;

/// The author date of the newest commit, up to `commit`, that touched each path.
pub(super) async fn last_modified(
    api: &Api,
    commit: &CommitSha,
    paths: &[String],
) -> Result<BTreeMap<String, Timestamp>, SourceError> {
    if api.is_anonymous() {
        let paths = &paths[..paths.len().min(ANONYMOUS_CALLS)];
        let calls: Vec<_> = paths.iter().map(|path| newest(api, commit, path)).collect();
        let dates = stream::iter(calls).buffered(AT_ONCE).try_collect::<Vec<_>>().await?;
        let dated = paths.iter().cloned().zip(dates);
        return Ok(dated.filter_map(|(path, date)| Some((path, date?))).collect());
    }
    let queries: Vec<_> = paths.chunks(BATCH).map(|paths| batch(api, commit, paths)).collect();
    let batches = stream::iter(queries).buffered(AT_ONCE).try_collect::<Vec<_>>().await?;
    Ok(batches.into_iter().flatten().collect())
}

/// API: GraphQL, `Commit.history(path:)` (<https://docs.github.com/en/graphql/reference/objects#commit>). `author.date` is a
/// `GitTimestamp`, which keeps the author's offset; `authoredDate` would not.
async fn batch(api: &Api, commit: &CommitSha, paths: &[String]) -> Result<BTreeMap<String, Timestamp>, SourceError> {
    #[derive(Deserialize)]
    struct Answer {
        data: Option<Data>,
        #[serde(default)]
        errors: Vec<GraphqlError>,
    }
    #[derive(Deserialize)]
    struct Data {
        repository: Option<Repository>,
    }
    #[derive(Deserialize)]
    struct Repository {
        object: Option<BTreeMap<String, Option<History>>>,
    }
    #[derive(Deserialize)]
    struct GraphqlError {
        #[serde(default)]
        r#type: String,
        message: String,
    }
    let repository = api.repository();
    let what = format!("the history of {} at {}", repository.url(), commit.short());
    let call = Call::post(&what, api.graphql_route(), query(repository.owner(), repository.name(), commit, paths));
    let answer: Answer = api.call(call).await?.json(&what)?;
    if let Some(error) = answer.errors.first() {
        return Err(match error.r#type.as_str() {
            "NOT_FOUND" => SourceError::NotFound(what),
            _ => unavailable(&what, format!("GitHub answered: {}", error.message)),
        });
    }
    let object = answer.data.and_then(|data| data.repository).and_then(|repository| repository.object);
    let mut histories = object.ok_or_else(|| SourceError::NotFound(what.clone()))?;
    let mut dates = BTreeMap::new();
    for (index, path) in paths.iter().enumerate() {
        let history = histories.remove(&alias(index)).flatten();
        let history = history.ok_or_else(|| unavailable(&what, "the answer leaves out a path"))?;
        if let Some(newest) = history.nodes.into_iter().next() {
            let date = newest.author.date.parse().map_err(|error| unavailable(&what, format!("{error}")))?;
            dates.insert(path.clone(), date);
        }
    }
    Ok(dates)
}

#[derive(Deserialize)]
struct History {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    author: Author,
}

#[derive(Deserialize)]
struct Author {
    date: String,
}

fn alias(index: usize) -> String {
    format!("p{index}")
}

/// Paths go into variables, never into the text of the query.
fn query(owner: &str, name: &str, commit: &CommitSha, paths: &[String]) -> Value {
    let mut declared = String::new();
    let mut histories = String::new();
    let mut variables = Map::new();
    for (index, path) in paths.iter().enumerate() {
        let alias = alias(index);
        // Writing to a string cannot fail.
        let _ = write!(declared, ", ${alias}: String!");
        let _ = write!(histories, " {alias}: history(first: 1, path: ${alias}) {{ nodes {{ author {{ date }} }} }}");
        variables.insert(alias, json!(path));
    }
    variables.insert("owner".to_owned(), json!(owner));
    variables.insert("name".to_owned(), json!(name));
    variables.insert("commit".to_owned(), json!(commit.as_str()));
    let query = format!(
        "query LastModified($owner: String!, $name: String!, $commit: GitObjectID!{declared}) \
         {{ repository(owner: $owner, name: $name) {{ object(oid: $commit) {{ ... on Commit {{{histories} }} }} }} }}"
    );
    json!({ "query": query, "variables": variables })
}

/// API: "List commits" (<https://docs.github.com/en/rest/commits/commits>), for callers to whom GraphQL is closed. Its dates
/// are in UTC.
async fn newest(api: &Api, commit: &CommitSha, path: &str) -> Result<Option<Timestamp>, SourceError> {
    #[derive(Deserialize)]
    struct Listed {
        commit: Node,
    }
    let what = format!("the history of {path} in {} at {}", api.repository().url(), commit.short());
    let route = api.repository_route(&format!("/commits?sha={commit}&path={}&per_page=1", encode_value(path)));
    let listed: Vec<Listed> = api.call(Call::get(&what, route)).await?.json(&what)?;
    let date = listed.into_iter().next().map(|newest| newest.commit.author.date.parse());
    date.transpose().map_err(|error| unavailable(&what, format!("{error}")))
}
