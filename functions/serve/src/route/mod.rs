//! Declarations of routes. Each API declares each of its routes once; the router, `/openapi.json` and the pattern in logs and
//! metrics follow from that.

mod answer;
mod schema;

use std::sync::Arc;

use axum::body::Body;
use axum::handler::Handler;
use axum::http::Response;
use axum::middleware::map_response;
use axum::routing::{MethodRouter, Router, get};
use serde_json::Value;

pub(crate) use self::answer::{Answer, OciAnswers, RestAnswers};
pub(crate) use self::schema::{name_schema, parameter, query_parameter, range_parameter, schema_of};

use crate::http::path::without_slash;
use crate::state::App;

/// A route: its declaration and its handler.
#[derive(Debug)]
pub(crate) struct Route {
    /// The declaration of the route.
    pub(crate) declaration: Declaration,
    handler: MethodRouter<Arc<App>>,
}

/// The kind of a route.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Declaration {
    /// Its path, as `/openapi.json`, logs and metrics show it. A name in braces stands for a segment.
    pub(crate) path: &'static str,
    rest: Rest,
    /// The usage event that it is.
    pub(crate) event: Option<Event>,
    /// Its description for clients; none for pages.
    pub(crate) operation: Option<Operation>,
}

/// The number of segments that the last name in a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// One.
    Segment,
    /// One or more.
    Segments,
}

/// A route as clients see it. GET and HEAD are described from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation {
    /// Name of its GET operation, for programs that are generated from the document.
    pub(crate) id: &'static str,
    /// The group that it is shown in.
    pub(crate) tag: &'static str,
    /// Its answer, in a few words.
    pub(crate) summary: &'static str,
    /// Its parameters and answers.
    pub(crate) describe: fn() -> Description,
}

/// Parameters, as OpenAPI objects, and answers of a route.
#[derive(Debug)]
pub(crate) struct Description {
    /// The parameters.
    pub(crate) parameters: Vec<Value>,
    /// The answers, by status.
    pub(crate) answers: Vec<Answer>,
}

/// The usage event of a route, if usage is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// Devfiles are listed.
    List,
    /// A devfile is viewed.
    View,
    /// A devfile is downloaded.
    Download,
    /// A starter project is downloaded.
    StarterProject,
}

impl Route {
    /// A route that clients of an API use. It takes GET and HEAD.
    pub(crate) fn api<T: 'static>(
        path: &'static str,
        operation: Operation,
        handler: impl Handler<T, Arc<App>>,
    ) -> Self {
        let declaration = Declaration { path, rest: Rest::Segment, event: None, operation: Some(operation) };
        Self { declaration, handler: get(handler) }
    }

    /// A route that people use, which is not part of the described interface.
    pub(crate) fn page<T: 'static>(path: &'static str, handler: impl Handler<T, Arc<App>>) -> Self {
        let declaration = Declaration { path, rest: Rest::Segment, event: None, operation: None };
        Self { declaration, handler: get(handler) }
    }

    /// The same route; the last name in its path stands for one segment or more.
    pub(crate) fn with_rest(mut self) -> Self {
        self.declaration.rest = Rest::Segments;
        self
    }

    /// The same route; its use counts as an event.
    pub(crate) fn counted(mut self, event: Event) -> Self {
        self.declaration.event = Some(event);
        self
    }

    /// Adds the route to a router. Its answers carry its [`Declaration`].
    pub(crate) fn add_to(self, router: Router<Arc<App>>) -> Router<Arc<App>> {
        let declaration = self.declaration;
        let mark = move |mut response: Response<Body>| async move {
            response.extensions_mut().insert(declaration);
            response
        };
        router.route(&declaration.routed(), self.handler.layer(map_response(mark)))
    }
}

impl Declaration {
    /// The path as axum's router takes it, which sees none with a slash at its end.
    fn routed(&self) -> String {
        let path = without_slash(self.path);
        match (self.rest, path.rsplit_once('{')) {
            (Rest::Segments, Some((before, name))) => format!("{before}{{*{name}"),
            _ => path.to_owned(),
        }
    }

    /// The segment of a path of this route that a name in its pattern stands for.
    pub(crate) fn segment<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        let named = |segment: &str| segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) == Some(name);
        path.split('/').nth(self.path.split('/').position(named)?)
    }
}
