"""The page `docs/clients/api.md`, made from the OpenAPI document that `serve` answers.

`python3 -m lib.api_reference` in `scripts/` writes the page. The document is the snapshot that the tests of `serve` keep.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Iterable

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/clients/api.md"
DOCUMENT = ROOT / "functions/serve/src/openapi/snapshots/serve__openapi__tests__document.snap"

_FILTERED = ("/index", "/index/{type}", "/v2index", "/v2index/{type}")

_SCHEMAS = ("Entry", "VersionEntry", "Git", "Error")

_INTRODUCTION = """\
# API reference

Made from the registry's own description, `/openapi.json`. `python3 -m lib.api_reference` in `scripts/` writes this page, and a test compares both.
Examples with `curl`: [Use a stack](use-a-stack.md).
"""


def document() -> dict[str, Any]:
    """Returns the OpenAPI document."""
    return json.loads(DOCUMENT.read_text().split("---\n", 2)[2])


def page(api: dict[str, Any]) -> str:
    """Returns the page of a document."""
    lines = [_INTRODUCTION, api["info"]["description"], ""]
    for tag in api["tags"]:
        lines += [f"## {tag['description']}", ""]
        for path, methods in api["paths"].items():
            get = methods["get"]
            if tag["name"] in get["tags"]:
                lines += _route(path, get)
        if tag["name"] == "index":
            lines += _filters(api)
    lines += ["## Headers of answers", ""]
    lines += _table(("header", "meaning"), _headers(api))
    lines += ["## Fields", ""]
    for name in _SCHEMAS:
        schema = api["components"]["schemas"][name]
        fields = [(f"`{field}`", _type(of), _text(of.get("description", ""))) for field, of in schema["properties"].items()]
        lines += [f"### {name}", "", _text(schema.get("description", "The document of an error.")), ""]
        lines += _table(("field", "type", "meaning"), fields)
    return "\n".join(lines).rstrip() + "\n"


def _route(path: str, get: dict[str, Any]) -> Iterable[str]:
    lines = [f"### `{path}`", "", f"{get['summary']}.", ""]
    shown = [one for one in get.get("parameters", ()) if path not in _FILTERED or one["in"] == "path"]
    if shown:
        rows = [(f"`{one['name']}`", one["in"], _text(one.get("description", ""))) for one in shown]
        lines += _table(("parameter", "in", "meaning"), rows)
    if path in _FILTERED:
        lines += ["Query parameters: [Filters](#filters).", ""]
    lines += _table(("status", "meaning"), [(status, _text(of["description"])) for status, of in get["responses"].items()])
    return lines


def _filters(api: dict[str, Any]) -> Iterable[str]:
    """The query parameters of the indexes, each once, with the schema that has it."""
    names: dict[str, tuple[str, set[str]]] = {}
    for path in _FILTERED:
        for one in api["paths"][path]["get"]["parameters"]:
            if one["in"] == "query":
                names.setdefault(one["name"], (_text(one["description"]), set()))[1].add(path)
    rows = [
        (f"`{name}`", "both" if "/index" in paths else "`/v2index` alone", text)
        for name, (text, paths) in names.items()
    ]
    return ["### Filters", "", "An entry is in the answer when all filters hold.", "", *_table(("parameter", "index", "meaning"), rows)]


def _headers(api: dict[str, Any]) -> list[tuple[str, str]]:
    known = api["components"]["headers"]
    names = {}
    for methods in api["paths"].values():
        for answer in methods["get"]["responses"].values():
            for name, header in answer.get("headers", {}).items():
                names[f"`{name}`"] = _text(known[header["$ref"].rpartition("/")[2]]["description"])
    return sorted(names.items())


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "|---" * len(head) + "|", *("| " + " | ".join(row) + " |" for row in rows), ""]


def _text(text: str) -> str:
    return re.sub(r"\[(`\w+`)\]", r"\1", text.split("\n\n")[0]).replace("\n", " ").replace("|", "\\|")


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})" if name in _SCHEMAS else {"Timestamp": "time, RFC 3339", "EntryType": "`stack` or `sample`"}.get(name, name)
    if "anyOf" in schema:
        return _type(schema["anyOf"][0])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"{_type(schema['additionalProperties'])} by name"
    return str(schema.get("type", "any"))


if __name__ == "__main__":
    PAGE.write_text(page(document()))
