"""Reports to a workflow: annotations, outputs and the summary of the job."""

from __future__ import annotations

import unicodedata
from typing import Any, Iterable, Mapping, Optional

_LISTED = 50
"""Most annotations and lines of a list: GitHub shows ten of a step anyway."""


def command(name: str, message: str, **properties: Any) -> str:
    """A workflow command, such as an annotation."""
    given = {key: str(value) for key, value in properties.items() if value not in (None, "")}
    fields = ",".join(f"{key}={_escape_property(value)}" for key, value in given.items())
    return f"::{name}{' ' + fields if fields else ''}::{_escape_data(message)}"


def _escape_data(text: str) -> str:
    return printable(text).replace("%", "%25")


def printable(text: str) -> str:
    """Text from the registry or a repository, as the log of a step may hold it: without control characters, marks of direction,
    and the older form of commands, which the runner looks for anywhere in a line."""
    marks = ("\u061c", "\u200e", "\u200f", *map(chr, range(0x2028, 0x202F)), *map(chr, range(0x2066, 0x206A)))
    shown = (f"\\u{ord(c):04x}" if unicodedata.category(c) == "Cc" or c in marks else c for c in text)
    return "".join(shown).replace("##[", "# #[")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


def escape(text: str) -> str:
    """Text as literal Markdown text."""
    text = printable(" ".join(text.split()))
    for character in "\\`*_[]<>|#":
        text = text.replace(character, "\\" + character)
    return text


def output(environment: Mapping[str, str], **values: str) -> None:
    """Sets outputs of the step."""
    lines = "".join(f"{name}={' '.join(str(value).split())}\n" for name, value in values.items())
    _append(environment.get("GITHUB_OUTPUT"), lines)


def summarize(environment: Mapping[str, str], markdown: str) -> None:
    """Adds to the summary of the job."""
    _append(environment.get("GITHUB_STEP_SUMMARY"), markdown)


def _append(path: Optional[str], text: str) -> None:
    if path:
        with open(path, "a", encoding="utf-8") as file:
            file.write(text)


def tell(environment: Mapping[str, str], report: Mapping[str, Any], stacks: Optional[Iterable[str]]) -> int:
    """Shows a report, and gives the exit status: 1 when something of this push was not published."""
    own = None if stacks is None else set(stacks)
    outcome = str(report.get("outcome") or "unknown")
    problems = [problem for held in _list(report, "quarantined") for problem in held.get("problems") or []]
    ours = [problem for problem in problems if own is None or _stack(problem) in own or _stack(problem) is None]
    for problem in problems[:_LISTED]:
        print(_annotation(problem, "error" if problem in ours else "warning"), flush=True)
    if report.get("pinned"):
        notice = "A release is pinned in the registry; nothing changes there until it is unpinned."
        print(command("warning", notice), flush=True)
    summarize(environment, _summary(outcome, report, problems))
    failed = outcome == "rejected" or bool(ours)
    print(f"Result: {printable(outcome)}, {len(_list(report, 'changed'))} changed, {len(_list(report, 'removed'))} removed, "
          f"{len(_list(report, 'quarantined'))} quarantined", flush=True)
    return 1 if failed else 0


def _list(report: Mapping[str, Any], name: str) -> list:
    found = report.get(name)
    return found if isinstance(found, list) else []


def _stack(problem: Mapping[str, Any]) -> Optional[str]:
    """The stack that a problem is in; none when it is in a shared file."""
    parts = str(problem.get("path") or "").split("/")
    return parts[1] if parts[0] == "stacks" and len(parts) > 1 else None


def _annotation(problem: Mapping[str, Any], severity: str) -> str:
    return command(
        severity,
        _text(problem),
        file=problem.get("path"),
        line=problem.get("line"),
        col=problem.get("column"),
        title=problem.get("rule"),
    )


def _text(problem: Mapping[str, Any]) -> str:
    hint = f" ({problem['hint']})" if problem.get("hint") else ""
    return f"{problem.get('message') or 'not published'}{hint}"


def _summary(outcome: str, report: Mapping[str, Any], problems: list) -> str:
    lines = [f"### Devfile registry: {escape(outcome)}", ""]
    commit = str(report.get("commit_hash") or "")
    if commit:
        lines += [f"Commit {escape(commit[:12])} is {'live' if outcome != 'rejected' else 'not live'}.", ""]
    for title, parts in (("Changed", _list(report, "changed")), ("Removed", _list(report, "removed"))):
        if parts:
            lines += [f"{title}:", ""]
            lines += [f"- {escape(str(part))}" for part in parts[:_LISTED]]
            lines += [f"- and {len(parts) - _LISTED} more"] if len(parts) > _LISTED else []
            lines.append("")
    if problems:
        lines += ["| file | line | problem |", "|---|---|---|"]
        for problem in problems[:_LISTED]:
            line = problem.get("line") or ""
            lines.append(f"| {escape(str(problem.get('path') or ''))} | {line} | {escape(_text(problem))} |")
        lines.append("")
    timings = report.get("timings_ms")
    if isinstance(timings, dict):
        total = sum(value for value in timings.values() if isinstance(value, (int, float)))
        lines += [f"It took {total} ms.", ""]
    return "\n".join(lines) + "\n"
