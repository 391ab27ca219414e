"""A refresh report in words.

The report is JSON made by the refresh function; see "Refresh" in its documentation. Fields that are missing, or that
have grown since, must not break the command that shows them.
"""

from __future__ import annotations

import json
from typing import Any


def headline(report: dict[str, Any], milliseconds: float) -> str:
    """For instance `published 3 changed, 1 removed (commit 1a2b3c4) in 812 ms`."""
    outcome = report.get("outcome", "done")
    counts = [f"{len(report[part])} {part}" for part in ("changed", "removed", "quarantined") if report.get(part)]
    commit = str(report.get("commit_hash") or "")[:7]
    words = [outcome]
    if counts:
        words.append(", ".join(counts))
    if commit:
        words.append(f"(commit {commit})")
    return f"{' '.join(words)} in {milliseconds:.0f} ms"


def quarantined(report: dict[str, Any]) -> list[str]:
    """The parts that were left as they were, each with its reasons."""
    lines = []
    for item in report.get("quarantined") or []:
        lines.append(f"quarantined {describe(item)}")
        if isinstance(item, dict):
            lines += [f"  {_diagnostic(reason)}" for reason in item.get("problems") or []]
    return lines


def is_unfinished(answer: dict[str, Any]) -> bool:
    """Whether the publication continues in another invocation, which may be the only one that the function is allowed."""
    busy = "TooManyRequests" in str(answer.get("errorMessage")) and answer.get("errorType") == "Invoke"
    return busy or answer.get("outcome") == "continuing"


def document(answer: dict[str, Any]) -> dict[str, Any]:
    """The JSON object that serve gave to the gateway, or an empty one."""
    try:
        found = json.loads(answer.get("body") or "")
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) and answer.get("statusCode") == 200 else {}


def is_about(status: dict[str, Any], commit: Any) -> bool:
    """Whether the document at /status has a commit live."""
    live = status.get("live")
    return isinstance(live, dict) and live.get("commit_hash") == commit


def with_status(answer: dict[str, Any], status: dict[str, Any], is_result: bool) -> dict[str, Any]:
    """An answer `unchanged` with the parts that are quarantined, and with the outcome that made the commit live if it is the result."""
    last = status.get("last_refresh")
    made = last.get("outcome") if is_result and isinstance(last, dict) and last.get("commit_hash") == answer.get("commit_hash") else None
    return {**answer, "outcome": made or answer["outcome"], "quarantined": status["live"].get("quarantined") or []}


def progress(answer: dict[str, Any]) -> str:
    """For instance `publishing: 1200 of 10023 artifacts are pushed`, or an empty text if the answer does not say it."""
    told = answer.get("progress") or {}
    if "artifacts" not in told or "total" not in told:
        return ""
    return f"publishing: {told['artifacts']} of {told['total']} artifacts are pushed"


def problem(answer: dict[str, Any]) -> str:
    """The message of a Lambda error object, or an empty string if the answer is none."""
    if "outcome" in answer or not ("errorMessage" in answer or "errorType" in answer):
        return ""
    return str(answer.get("errorMessage") or answer["errorType"])


def describe(item: Any) -> str:
    """A part of the registry: a name, or an object such as `{"part": "version", "stack": "go", "version": "1.0.0"}`."""
    if not isinstance(item, dict):
        return str(item)
    named = [str(item[key]) for key in ("stack", "sample", "name", "version") if item.get(key)]
    return " ".join(named) or str(item.get("part") or item)


def _diagnostic(reason: Any) -> str:
    """For instance `stacks/go/stack.yaml:3:1: two versions are the default (keep one of them)`."""
    if not isinstance(reason, dict):
        return str(reason)
    place = ":".join(str(reason[key]) for key in ("path", "line", "column") if reason.get(key) is not None)
    hint = f" ({reason['hint']})" if reason.get("hint") else ""
    return f"{place}: {reason.get('message', 'no reason given')}{hint}"
