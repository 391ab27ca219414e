//! The part of GraphQL that asks for commits and their history: parsed, checked and executed field by field.

use std::pin::Pin;

use axum::http::StatusCode;
use axum::response::Response;
use graphql_parser::query::{
    Definition, OperationDefinition, Selection, SelectionSet, TypeCondition, Value as Literal,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::git::Commit;
use super::reply::{self, Refusal};
use super::{Asked, Shared};

#[derive(Deserialize)]
struct Request {
    query: String,
    #[serde(default)]
    variables: Map<String, Value>,
}

/// An error with its `type`, as GitHub puts it beside the message.
struct GraphqlError(&'static str, String);

type Fields = SelectionSet<'static, String>;
type Field = graphql_parser::query::Field<'static, String>;
type Executed<'a> = Pin<Box<dyn Future<Output = Result<Value, GraphqlError>> + Send + 'a>>;

/// The types of the schema that are there.
#[derive(Clone)]
enum Object {
    Query,
    Repository,
    Commit(Commit),
    History(Vec<Commit>),
    Edge(Commit),
    Actor(Commit),
}

struct Execution<'a> {
    shared: &'a Shared,
    variables: &'a Map<String, Value>,
}

/// Answers `POST /graphql`: 200 with `errors` for what is wrong in the query.
pub(super) async fn answer(shared: &Shared, asked: &Asked) -> Result<Response, Refusal> {
    let request: Request = serde_json::from_slice(&asked.body)
        .map_err(|_| Refusal(StatusCode::BAD_REQUEST, "Problems parsing JSON".to_owned()))?;
    let body = match run(shared, &request).await {
        Ok(data) => json!({ "data": data }),
        Err(GraphqlError(kind, message)) => json!({ "data": null, "errors": [{ "type": kind, "message": message }] }),
    };
    Ok(reply::json(StatusCode::OK, &body))
}

async fn run(shared: &Shared, request: &Request) -> Result<Value, GraphqlError> {
    let document = graphql_parser::parse_query::<String>(&request.query)
        .map_err(|error| GraphqlError("PARSE_ERROR", error.to_string()))?
        .into_static();
    let [Definition::Operation(operation)] = &document.definitions[..] else {
        return Err(invalid("exactly one operation is supported".to_owned()));
    };
    let fields = match operation {
        OperationDefinition::SelectionSet(fields) => fields,
        OperationDefinition::Query(query) => {
            for declared in &query.variable_definitions {
                if !request.variables.contains_key(&declared.name) && declared.default_value.is_none() {
                    return Err(invalid(format!("Variable ${} was provided invalid value", declared.name)));
                }
            }
            &query.selection_set
        }
        _ => return Err(invalid("only queries are supported".to_owned())),
    };
    let execution = Execution { shared, variables: &request.variables };
    execution.select(Object::Query, fields).await
}

fn invalid(message: String) -> GraphqlError {
    GraphqlError("INVALID", message)
}

impl<'a> Execution<'a> {
    /// The selected fields of an object.
    fn select(&'a self, object: Object, fields: &'a Fields) -> Executed<'a> {
        Box::pin(async move {
            let mut answer = Map::new();
            for selection in &fields.items {
                match selection {
                    Selection::Field(field) => {
                        let key = field.alias.as_ref().unwrap_or(&field.name).clone();
                        answer.insert(key, self.field(&object, field).await?);
                    }
                    Selection::InlineFragment(fragment) => {
                        let applies = fragment
                            .type_condition
                            .as_ref()
                            .is_none_or(|TypeCondition::On(name)| name == object.name());
                        if applies
                            && let Value::Object(more) = self.select(object.clone(), &fragment.selection_set).await?
                        {
                            answer.extend(more);
                        }
                    }
                    Selection::FragmentSpread(_) => {
                        return Err(invalid("named fragments are not supported".to_owned()));
                    }
                }
            }
            Ok(Value::Object(answer))
        })
    }

    async fn field(&'a self, object: &Object, field: &'a Field) -> Result<Value, GraphqlError> {
        let fields = &field.selection_set;
        Ok(match (object, field.name.as_str()) {
            (object, "__typename") => object.name().into(),
            (Object::Query, "repository") => {
                let full_name = format!("{}/{}", self.required(field, "owner")?, self.required(field, "name")?);
                if full_name != self.shared.full_name() {
                    let message = format!("Could not resolve to a Repository with the name '{full_name}'.");
                    return Err(GraphqlError("NOT_FOUND", message));
                }
                self.select(Object::Repository, fields).await?
            }
            (Object::Repository, "nameWithOwner") => self.shared.full_name().into(),
            (Object::Repository, "object") => {
                let name = match self.argument(field, "oid") {
                    Some(oid) => oid,
                    None => self.argument(field, "expression").unwrap_or(Value::Null),
                };
                let name = name.as_str().ok_or_else(|| invalid("object needs oid or expression".to_owned()))?;
                match super::rest::commit(self.shared, name).await {
                    Ok(commit) => self.select(Object::Commit(commit), fields).await?,
                    Err(_) => Value::Null,
                }
            }
            (Object::Commit(commit), "oid") => commit.sha.as_str().into(),
            (Object::Commit(commit), "authoredDate") => {
                commit.date.parse::<jiff::Timestamp>().map(|date| date.to_string()).unwrap_or_default().into()
            }
            (Object::Commit(commit), "messageHeadline") => commit.message.as_str().into(),
            (Object::Commit(commit), "author") => self.select(Object::Actor(commit.clone()), fields).await?,
            (Object::Commit(commit), "history") => {
                let first = self.argument(field, "first").and_then(|first| first.as_u64());
                let first = first.filter(|first| (1..=100).contains(first));
                let first = first.ok_or_else(|| invalid("history needs first, from 1 to 100".to_owned()))?;
                let path = self.argument(field, "path").and_then(|path| Some(path.as_str()?.to_owned()));
                let commits = self.shared.git.log(None, &commit.sha, &path.unwrap_or_default(), first as usize).await;
                let commits = commits.map_err(|error| GraphqlError("INTERNAL", format!("{error:#}")))?;
                self.select(Object::History(commits), fields).await?
            }
            (Object::History(commits), "nodes") => self.list(commits, Object::Commit, fields).await?,
            (Object::History(commits), "edges") => self.list(commits, Object::Edge, fields).await?,
            (Object::Edge(commit), "node") => self.select(Object::Commit(commit.clone()), fields).await?,
            (Object::Actor(commit), "name") => commit.name.as_str().into(),
            (Object::Actor(commit), "email") => commit.email.as_str().into(),
            (Object::Actor(commit), "date") => commit.date.as_str().into(),
            (object, name) => {
                return Err(invalid(format!("Field '{name}' doesn't exist on type '{}'", object.name())));
            }
        })
    }

    async fn list(
        &'a self,
        commits: &[Commit],
        object: impl Fn(Commit) -> Object,
        fields: &'a Fields,
    ) -> Result<Value, GraphqlError> {
        let mut list = vec![];
        for commit in commits {
            list.push(self.select(object(commit.clone()), fields).await?);
        }
        Ok(Value::Array(list))
    }

    fn required(&self, field: &Field, name: &str) -> Result<String, GraphqlError> {
        let value = self.argument(field, name).and_then(|value| Some(value.as_str()?.to_owned()));
        value.ok_or_else(|| invalid(format!("Field '{}' is missing required arguments: {name}", field.name)))
    }

    fn argument(&self, field: &Field, name: &str) -> Option<Value> {
        let (_, literal) = field.arguments.iter().find(|(argument, _)| argument == name)?;
        match literal {
            Literal::Variable(variable) => self.variables.get(variable).cloned(),
            Literal::String(text) => Some(text.as_str().into()),
            Literal::Int(number) => number.as_i64().map(Value::from),
            _ => None,
        }
    }
}

impl Object {
    fn name(&self) -> &'static str {
        match self {
            Self::Query => "Query",
            Self::Repository => "Repository",
            Self::Commit(_) => "Commit",
            Self::History(_) => "CommitHistoryConnection",
            Self::Edge(_) => "CommitEdge",
            Self::Actor(_) => "GitActor",
        }
    }
}
