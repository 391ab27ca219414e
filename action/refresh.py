"""Tells a devfile registry of a push, waits for the result and reports it to the workflow.

The logic of `action.yml`. Needs Python 3.9, git, and nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional

if __package__:
    from . import changes, workflow
else:
    import changes
    import workflow

_CALL_SECONDS = 40.0
"""The registry answers within 25 seconds, or says that the work goes on."""

_ANSWER_BYTES = 4 << 20
_PASSING = (429, 500, 502, 503, 504)
_WAITS = (1.0, 2.0, 4.0, 8.0, 15.0)

_PAUSE = 5.0
"""Time between two questions for a push that the Git host shows late; the registry polls by itself meanwhile."""

_NAMED_STACKS = 1000
"""The registry refuses longer lists."""


class Failure(Exception):
    """Why the job fails, in words for its owner."""


class Answer(NamedTuple):
    """The answer of a server."""

    status: int
    document: Any
    retry_after: float


class Settings(NamedTuple):
    """The inputs of the workflow."""

    url: str
    audience: str
    secret: str
    timeout: float


class Clock:
    """Time as it passes."""

    now = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)


def main(environment: Mapping[str, str], clock: Clock = Clock()) -> int:
    """Runs the action and gives its exit status."""
    try:
        return _run(environment, clock)
    except Failure as failure:
        print(workflow.command("error", str(failure), title="The registry was not refreshed"), flush=True)
        workflow.summarize(environment, f"### The registry was not refreshed\n\n{workflow.escape(str(failure))}\n")
        return 1


def _run(environment: Mapping[str, str], clock: Clock) -> int:
    settings = _settings(environment)
    push = changes.read(environment)
    if push.stacks is not None and not push.concerns_registry:
        print("nothing of the registry changed; there is nothing to do", flush=True)
        workflow.output(environment, outcome="skipped", commit=push.commit)
        return 0
    report = _refresh(settings, push, environment, clock)
    workflow.output(environment, outcome=report.get("outcome", ""), commit=report.get("commit_hash") or push.commit)
    return workflow.tell(environment, report, push.stacks)


def _settings(environment: Mapping[str, str]) -> Settings:
    url = environment.get("REGISTRY_URL", "").rstrip("/")
    parts = urllib.parse.urlsplit(url)
    local = parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not (parts.scheme == "http" and local) or not parts.hostname:
        raise Failure("`url` is not the https URL of a registry")
    audience, secret = environment.get("OIDC_AUDIENCE", ""), environment.get("WEBHOOK_SECRET", "")
    if bool(audience) == bool(secret):
        raise Failure("set either `audience`, for the token of the workflow, or `webhook-secret`")
    try:
        timeout = float(environment.get("TIMEOUT_SECONDS") or 300)
    except ValueError:
        raise Failure("`timeout` is not a number of seconds") from None
    return Settings(url, audience, secret, timeout)


def _refresh(
    settings: Settings, push: changes.Push, environment: Mapping[str, str], clock: Clock
) -> dict:
    """The report of a refresh after which the push is live, or refused."""
    deadline = clock.now() + settings.timeout
    is_live = _Live(push.commit, Path(environment.get("GITHUB_WORKSPACE") or "."))
    stacks = sorted(push.stacks or [])
    # They only shape the report; the registry takes no longer list.
    body = {"commit_hash": push.commit, "stacks": stacks if len(stacks) <= _NAMED_STACKS else []}
    while True:
        earlier = _told_at(_status(settings))
        answer = _post(settings, json.dumps(body).encode(), environment, deadline, clock)
        if answer.status == 202:
            print("the refresh takes longer; waiting for its result", flush=True)
            return _await(settings, is_live, earlier, deadline, clock)
        if answer.status != 200 or not isinstance(answer.document, dict):
            raise Failure(_reason(answer))
        report = answer.document
        live = (_status(settings) or {}).get("live") or {}
        if is_live.names(report.get("commit_hash")) or is_live(live):
            if report.get("outcome") in ("unchanged", "superseded") and live.get("commit_hash") == report.get("commit_hash"):
                # Another trigger was first, and /status lists its quarantined stacks.
                report = {**report, "quarantined": live.get("quarantined") or []}
            return report
        if report.get("pinned"):
            raise Failure("a release is pinned in the registry; the push goes live when its operator unpins it")
        if clock.now() + _PAUSE > deadline:
            raise Failure("the Git host does not show the push to the registry yet; the registry looks again by itself")
        print("the Git host does not show the push to the registry yet; asking again", flush=True)
        clock.sleep(_PAUSE)


class _Live:
    """Whether a commit is in the live release."""

    def __init__(self, commit: str, clone: Path) -> None:
        self.commit = commit
        self._clone = clone
        self._known: dict[str, Optional[bool]] = {commit: True}

    def names(self, later: Any) -> bool:
        """Whether a commit of the registry is the one of the push, or came after it."""
        return self._contains(later) is True

    def __call__(self, live: Mapping[str, Any]) -> bool:
        """The same, of the live release at /status. Where the clone cannot say, a commit that was live before counts unless
        the registry went back to an earlier one."""
        known = self._contains(live.get("commit_hash"))
        if known is not None:
            return known
        return not live.get("pinned") and any(recent.get("commit_hash") == self.commit for recent in live.get("recent") or [])

    def _contains(self, later: Any) -> Optional[bool]:
        later = str(later or "")
        if later not in self._known:
            self._known[later] = changes.contains(self._clone, self.commit, later)
        return self._known[later]


def _post(
    settings: Settings,
    body: bytes,
    environment: Mapping[str, str],
    deadline: float,
    clock: Clock,
) -> Answer:
    """Posts until there is an answer that trying again would not change."""
    for wait in (*_WAITS, None):
        headers = {"content-type": "application/json", **_credentials(settings, body, environment)}
        answer = _call(f"{settings.url}/refresh", body, headers)
        if answer.status not in (0, *_PASSING) or wait is None:
            return answer
        wait = max(wait, answer.retry_after)
        if clock.now() + wait > deadline:
            return answer
        print(f"the registry answered {answer.status or 'nothing'}; trying again", flush=True)
        clock.sleep(wait)
    raise AssertionError("the last try returns")


def _credentials(settings: Settings, body: bytes, environment: Mapping[str, str]) -> dict[str, str]:
    if settings.secret:
        digest = hmac.new(settings.secret.encode(), body, hashlib.sha256).hexdigest()
        return {"x-hub-signature-256": f"sha256={digest}"}
    url, token = (environment.get(f"ACTIONS_ID_TOKEN_REQUEST_{name}") for name in ("URL", "TOKEN"))
    if not url or not token:
        raise Failure("the job has no token to show; give it `permissions: id-token: write`")
    separator = "&" if "?" in url else "?"
    url = f"{url}{separator}audience={urllib.parse.quote(settings.audience, safe='')}"
    answer = _call(url, None, {"authorization": f"bearer {token}"})
    value = answer.document.get("value") if isinstance(answer.document, dict) else None
    if answer.status != 200 or not isinstance(value, str):
        raise Failure(f"GitHub gave no token ({answer.status}); run the job again")
    print(f"::add-mask::{value}", flush=True)
    return {"authorization": f"Bearer {value}"}


def _await(
    settings: Settings, is_live: _Live, earlier: Optional[str], deadline: float, clock: Clock
) -> dict:
    """Looks at /status until the commit is live, or was not published. Earlier reports of it do not count."""
    while clock.now() < deadline:
        status = _status(settings)
        report = status and _result(status, is_live, earlier)
        if report:
            return report
        clock.sleep(2.0)
    raise Failure("the registry did not finish in time; its /status shows how it goes on")


def _told_at(status: Optional[dict]) -> Optional[str]:
    return ((status or {}).get("last_refresh") or {}).get("at")


def _result(status: dict, is_live: _Live, earlier: Optional[str]) -> Optional[dict]:
    live, last = status.get("live") or {}, status.get("last_refresh") or {}
    if is_live(live):
        return {**live, "outcome": "published" if live.get("commit_hash") == is_live.commit else "superseded"}
    if live.get("pinned"):
        raise Failure("a release is pinned in the registry; the push goes live when its operator unpins it")
    if last.get("at") != earlier and is_live.names(last.get("commit_hash")):
        if last.get("outcome") == "rejected":
            return last
        if last.get("failure"):
            raise Failure(f"the commit was not published: {last['failure']}; the registry tries again by itself")
    return None


def _status(settings: Settings) -> Optional[dict]:
    answer = _call(f"{settings.url}/status", None, {})
    return answer.document if answer.status == 200 and isinstance(answer.document, dict) else None


def _reason(answer: Answer) -> str:
    said = answer.document if isinstance(answer.document, dict) else {}
    advice = {
        0: "the registry does not answer",
        401: "the registry does not accept the token or secret; compare `audience` or `webhook-secret` with its settings",
        403: "the registry does not permit this workflow; it must run in the registry's repository, on the monitored branch",
        404: "the registry has no /refresh; is `url` right?",
    }.get(answer.status, f"the registry answered {answer.status}")
    details = said.get("error") or said.get("status")
    return f"{advice}: {details}" if details and answer.status not in (401, 403) else advice


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Credentials go to the place that the workflow names, and nowhere else."""

    def redirect_request(self, *_):
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _call(url: str, body: Optional[bytes], headers: Mapping[str, str]) -> Answer:
    """Calls a server; without an answer the status is 0."""
    request = urllib.request.Request(url, data=body, headers={**headers, "user-agent": "devfile-registry-action"})
    try:
        with _OPENER.open(request, timeout=_CALL_SECONDS) as response:
            return _read(response.status, response)
    except urllib.error.HTTPError as error:
        with error:
            return _read(error.code, error)
    except (OSError, ValueError, urllib.error.URLError):
        return Answer(0, None, 0.0)


def _read(status: int, response: Any) -> Answer:
    try:
        document = json.loads(response.read(_ANSWER_BYTES))
    except ValueError:
        document = None
    try:
        retry_after = float(response.headers.get("retry-after") or 0)
    except ValueError:
        retry_after = 0.0
    return Answer(status, document, retry_after)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(main(os.environ))
