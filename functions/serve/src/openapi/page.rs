//! The page `docs/clients/api.md`, which the tests make from the document.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The indexes whose query parameters are filters.
const FILTERED: [&str; 4] = ["/index", "/index/{type}", "/v2index", "/v2index/{type}"];

/// The schemas that the page shows.
const SCHEMAS: [&str; 4] = ["Entry", "VersionEntry", "Git", "Error"];

const INTRODUCTION: &str = "\
# API reference

Made from the registry's own description, `/openapi.json`. `INSTA_UPDATE=always scripts/test openapi` writes this page, and a test compares both.
Examples with `curl`: [Use a stack](use-a-stack.md).
";

/// The page of a document.
pub(super) fn page(document: &Value) -> String {
    let mut lines = vec![INTRODUCTION.to_owned(), text(&document["info"]["description"]).to_owned(), String::new()];
    for tag in items(&document["tags"]) {
        lines.extend([format!("## {}", text(&tag["description"])), String::new()]);
        for (path, methods) in members(&document["paths"]) {
            if items(&methods["get"]["tags"]).contains(&tag["name"]) {
                lines.extend(route(path, &methods["get"]));
            }
        }
        if tag["name"] == "index" {
            lines.extend(filters(document));
        }
    }
    lines.extend(["## Headers of answers".to_owned(), String::new()]);
    lines.extend(table(["header", "meaning"], headers(document)));
    lines.extend(["## Fields".to_owned(), String::new()]);
    for name in SCHEMAS {
        let schema = &document["components"]["schemas"][name];
        let about = schema.get("description").map_or_else(|| "The document of an error.".to_owned(), cell);
        let field = |(field, of): (&String, &Value)| [code(field), type_of(of), cell(&of["description"])];
        lines.extend([format!("### {name}"), String::new(), about, String::new()]);
        lines.extend(table(["field", "type", "meaning"], members(&schema["properties"]).map(field)));
    }
    format!("{}\n", lines.join("\n").trim_end())
}

fn route(path: &str, get: &Value) -> Vec<String> {
    let mut lines =
        vec![format!("### {}", code(path)), String::new(), format!("{}.", text(&get["summary"])), String::new()];
    let is_filtered = FILTERED.contains(&path);
    let shown: Vec<_> = items(&get["parameters"]).iter().filter(|one| !is_filtered || one["in"] == "path").collect();
    if !shown.is_empty() {
        let row = |one: &Value| [code(text(&one["name"])), text(&one["in"]).to_owned(), cell(&one["description"])];
        lines.extend(table(["parameter", "in", "meaning"], shown.into_iter().map(row)));
    }
    if is_filtered {
        lines.extend(["Query parameters: [Filters](#filters).".to_owned(), String::new()]);
    }
    let row = |(status, of): (&String, &Value)| [status.clone(), cell(&of["description"])];
    lines.extend(table(["status", "meaning"], members(&get["responses"]).map(row)));
    lines
}

/// The query parameters of the indexes, each once, in the order of the document, with the indexes that take it.
fn filters(document: &Value) -> Vec<String> {
    let parameters = |path: &str| items(&document["paths"][path]["get"]["parameters"]).iter();
    let mut rows: Vec<[String; 3]> = Vec::new();
    for path in FILTERED {
        for one in parameters(path).filter(|one| one["in"] == "query") {
            let name = code(text(&one["name"]));
            if rows.iter().all(|row| row[0] != name) {
                let is_of_both = parameters("/index").any(|other| other["name"] == one["name"]);
                let index = if is_of_both { "both" } else { "`/v2index` alone" };
                rows.push([name, index.to_owned(), cell(&one["description"])]);
            }
        }
    }
    let head = ["### Filters", "", "An entry is in the answer when all filters hold.", ""].map(str::to_owned);
    [head.to_vec(), table(["parameter", "index", "meaning"], rows)].concat()
}

/// The headers of all answers, by name.
fn headers(document: &Value) -> impl Iterator<Item = [String; 2]> {
    let answers = members(&document["paths"]).flat_map(|(_, methods)| members(&methods["get"]["responses"]));
    let headers = answers.flat_map(|(_, answer)| members(&answer["headers"]));
    let rows: BTreeMap<_, _> = headers
        .map(|(name, header)| {
            let known = &document["components"]["headers"][referenced(header).expect("headers are references")];
            (code(name), cell(&known["description"]))
        })
        .collect();
    rows.into_iter().map(<[String; 2]>::from)
}

fn table<const COLUMNS: usize>(
    head: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> Vec<String> {
    let row = |cells: &[String]| format!("| {} |", cells.join(" | "));
    let mut lines = vec![row(&head.map(str::to_owned)), format!("{}|", "|---".repeat(COLUMNS))];
    lines.extend(rows.into_iter().map(|cells| row(&cells)));
    lines.push(String::new());
    lines
}

/// The first paragraph of a description, as the cell of a table. The links of code to code lead nowhere here.
fn cell(description: &Value) -> String {
    let paragraph = text(description).split("\n\n").next().unwrap_or_default();
    paragraph.replace("[`", "`").replace("`]", "`").replace('\n', " ").replace('|', "\\|")
}

fn type_of(schema: &Value) -> String {
    if let Some(name) = referenced(schema) {
        return match name {
            "Timestamp" => "time, RFC 3339".to_owned(),
            "EntryType" => "`stack` or `sample`".to_owned(),
            _ if SCHEMAS.contains(&name) => format!("[{name}](#{})", name.to_lowercase()),
            _ => name.to_owned(),
        };
    }
    if let Some(first) = items(&schema["anyOf"]).first() {
        return type_of(first);
    }
    match (schema["type"].as_str(), &schema["additionalProperties"]) {
        (Some("array"), _) => format!("list of {}", type_of(&schema["items"])),
        (Some("object"), values @ Value::Object(_)) => format!("{} by name", type_of(values)),
        (Some(name), _) => name.to_owned(),
        (None, _) => "any".to_owned(),
    }
}

/// The name of the component that a schema or a header refers to.
fn referenced(of: &Value) -> Option<&str> {
    Some(of["$ref"].as_str()?.rsplit_once('/')?.1)
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}
