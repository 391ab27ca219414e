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
from typing import Any, Callable, Mapping, NamedTuple, Optional

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

_NAMED_STACKS = 1000
"""The registry refuses longer lists."""


class Failure(Exception):
    """Why the job fails, in words for its owner."""


class Answer(NamedTuple):
    """What a server said."""

    status: int
    document: Any
    retry_after: float


class Settings(NamedTuple):
    """What the workflow says."""

    url: str
    audience: str
    secret: str
    timeout: float


def main(environment: Mapping[str, str], sleep: Callable[[float], None] = time.sleep) -> int:
    """Runs the action and gives its exit status."""
    try:
        return _run(environment, sleep)
    except Failure as failure:
        print(workflow.command("error", str(failure), title="The registry was not refreshed"), flush=True)
        workflow.summarize(environment, f"### The registry was not refreshed\n\n{workflow.escape(str(failure))}\n")
        return 1


def _run(environment: Mapping[str, str], sleep: Callable[[float], None]) -> int:
    settings = _settings(environment)
    push = changes.read(environment)
    if push.stacks is not None and not push.concerns_registry:
        print("nothing of the registry changed; there is nothing to do", flush=True)
        workflow.output(environment, outcome="skipped", commit=push.commit)
        return 0
    report = _refresh(settings, push, environment, sleep)
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
    settings: Settings, push: changes.Push, environment: Mapping[str, str], sleep: Callable[[float], None]
) -> dict:
    """The report of a refresh that saw the push."""
    deadline = time.monotonic() + settings.timeout
    stacks = sorted(push.stacks or [])
    # They only shape the report; the registry takes no longer list.
    body = {"commit_hash": push.commit, "stacks": stacks if len(stacks) <= _NAMED_STACKS else []}
    earlier = _told_at(_status(settings))
    answer = _post(settings, json.dumps(body).encode(), environment, deadline, sleep)
    if answer.status == 200 and isinstance(answer.document, dict):
        report = answer.document
        if report.get("outcome") in ("unchanged", "superseded"):
            # Another trigger was first, and what it quarantined is at /status.
            live = (_status(settings) or {}).get("live") or {}
            if live.get("commit_hash") == report.get("commit_hash"):
                report = {**report, "quarantined": live.get("quarantined") or []}
        return report
    if answer.status == 202:
        print("the refresh takes longer; waiting for its result", flush=True)
        return _await(settings, push.commit, earlier, deadline, sleep)
    raise Failure(_reason(answer))


def _post(
    settings: Settings,
    body: bytes,
    environment: Mapping[str, str],
    deadline: float,
    sleep: Callable[[float], None],
) -> Answer:
    """Posts until there is an answer that trying again would not change."""
    for wait in (*_WAITS, None):
        headers = {"content-type": "application/json", **_credentials(settings, body, environment)}
        answer = _call(f"{settings.url}/refresh", body, headers)
        if answer.status not in (0, *_PASSING) or wait is None:
            return answer
        wait = max(wait, answer.retry_after)
        if time.monotonic() + wait > deadline:
            return answer
        print(f"the registry answered {answer.status or 'nothing'}; trying again", flush=True)
        sleep(wait)
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
    settings: Settings, commit: str, earlier: Optional[str], deadline: float, sleep: Callable[[float], None]
) -> dict:
    """Looks at /status until the commit is or was live, or was not published. What was told of it earlier does not count."""
    while time.monotonic() < deadline:
        status = _status(settings)
        report = status and _result(status, commit, earlier)
        if report:
            return report
        sleep(2.0)
    raise Failure("the registry did not finish in time; its /status shows how it goes on")


def _told_at(status: Optional[dict]) -> Optional[str]:
    return ((status or {}).get("last_refresh") or {}).get("at")


def _result(status: dict, commit: str, earlier: Optional[str] = None) -> Optional[dict]:
    live, last = status.get("live") or {}, status.get("last_refresh") or {}
    if live.get("commit_hash") == commit:
        return {**live, "outcome": "published"}
    if any(recent.get("commit_hash") == commit for recent in live.get("recent") or []):
        return {"outcome": "superseded", "commit_hash": live.get("commit_hash")}
    if last.get("commit_hash") == commit and last.get("at") != earlier:
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
