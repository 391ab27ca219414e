"""The one comment of a pull request that shows the changes for clients, updated in place."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional

MARKER = "<!-- devfile-registry diff -->"
"""The first line of the comment, as `devfile-registry diff --markdown` writes it."""

_PAGES = 10
"""Most pages of comments that are searched, of 100 each."""

_ANSWER_BYTES = 16 << 20
"""Largest answer that is read."""

_TIMEOUT_SECONDS = 30

_AUTHOR = "github-actions[bot]"
"""The author of comments that the job's own token writes."""


def update(text: str, environment: Mapping[str, str]) -> None:
    """Writes the comment. Nothing is written where the token may not, as in pull requests from forks: a notice says so.

    # Raises
    `OSError` when GitHub does not answer, `http.client.HTTPException` and `ValueError` when its answer cannot be read.
    """
    number, token = _number(environment), environment.get("CHECK_TOKEN", "")
    if number is None or not token:
        return
    if not (repository := environment.get("GITHUB_REPOSITORY")):
        raise ValueError("GITHUB_REPOSITORY is not set")
    api = environment.get("GITHUB_API_URL") or "https://api.github.com"
    issue = f"{api}/repos/{repository}/issues"
    try:
        own = _own(f"{issue}/{number}/comments", token, environment.get("CHECK_COMMENT_AUTHOR") or _AUTHOR)
        if own is None:
            _call("POST", f"{issue}/{number}/comments", token, {"body": text})
        elif own.body.strip() != text.strip():
            _call("PATCH", f"{issue}/comments/{own.number}", token, {"body": text})
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403, 404):
            raise
        print("::notice::The token may not comment; the summary of the job shows the changes for clients")


def _number(environment: Mapping[str, str]) -> Optional[int]:
    try:
        number = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text())["pull_request"]["number"]
    except (KeyError, TypeError, OSError, ValueError):
        return None
    return number if isinstance(number, int) else None


class _Comment(NamedTuple):
    number: int
    author: str
    body: str


def _own(url: str, token: str, author: str) -> Optional[_Comment]:
    """The comment of an earlier run. Anybody can write the marker, so the author counts as well."""
    for page in range(1, _PAGES + 1):
        answered = _call("GET", f"{url}?per_page=100&page={page}", token)
        if not isinstance(answered, list):
            raise ValueError("GitHub answered something else than a list of comments")
        for one in filter(None, map(_comment, answered)):
            if one.author == author and one.body.startswith(MARKER):
                return one
        if len(answered) < 100:
            break
    return None


def _comment(answered: Any) -> Optional[_Comment]:
    """A comment as GitHub lists it; none when it lacks something, such as the user of an account that was deleted."""
    user = answered.get("user") if isinstance(answered, dict) else None
    if not isinstance(user, dict):
        return None
    number, author, body = answered.get("id"), user.get("login"), answered.get("body")
    is_whole = isinstance(number, int) and isinstance(author, str) and isinstance(body, str)
    return _Comment(number, author, body) if is_whole else None


def _call(method: str, url: str, token: str, body: Optional[dict[str, str]] = None) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:
        content = answer.read(_ANSWER_BYTES)
        # With a limit, `read` takes a connection that ends early for the end of the answer.
        if answer.length:
            raise ValueError("GitHub's answer ends early, or is too large")
        return json.loads(content)
