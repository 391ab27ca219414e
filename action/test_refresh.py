"""The action against a local server, with real Git repositories."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import io
import json
import os
import subprocess
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Optional

from . import refresh, workflow

PROBLEM = {
    "path": "stacks/go/devfile.yaml",
    "line": 3,
    "column": 5,
    "severity": "error",
    "rule": "yaml/syntax",
    "message": "50% of it: a list\nis open",
    "hint": "close it",
}
HELD = {"part": "version", "stack": "go", "version": "1.0.0", "problems": [PROBLEM]}


class PatientClock:
    """Time that passes while one sleeps, and at no other time."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        return sum(self.slept)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Registry(ThreadingHTTPServer):
    """Gives the configured answers in order; the last one repeatedly."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, list[tuple[int, Any, dict[str, str]]]] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def will(self, path: str, status: int, document: Any, **headers: str) -> None:
        self.answers.setdefault(path, []).append((status, document, headers))

    def seen(self, path: str) -> list[tuple[dict[str, str], bytes]]:
        return [(headers, body) for _, seen, headers, body in self.requests if seen == path]


class _Handler(BaseHTTPRequestHandler):
    server: Registry

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, headers, body))
        answers = self.server.answers.get(self.path.split("?")[0]) or [(404, {}, {})]
        status, document, more = answers.pop(0) if len(answers) > 1 else answers[0]
        content = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **more}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer

    def log_message(self, *_: Any) -> None:
        pass


def git(folder: Path, *arguments: str) -> str:
    """Runs git without the settings of the machine, and without the repository of a hook that runs the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_DEFAULT_HASH": "sha1"}
    identity = ("-c", "user.name=Stack Owner", "-c", "user.email=owner@example.com")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Case(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.registry = Registry()
        self.addCleanup(self.registry.server_close)
        self.addCleanup(self.registry.shutdown)
        self.git("init", "--quiet", "--initial-branch=main")
        self.before = self.commit({"README.md": "read me", "stacks/go/devfile.yaml": "go"})

    def git(self, *arguments: str) -> str:
        return git(self.folder, *arguments)

    def commit(self, files: dict[str, str]) -> str:
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "A change")
        return self.git("rev-parse", "HEAD")

    def push(self, files: dict[str, str]) -> None:
        self.after = self.commit(files)

    def run_action(self, before: Optional[str] = None, event: str = "push", **more: str) -> tuple[int, str]:
        path = self.folder / ".git/event.json"
        path.write_text(json.dumps({"before": before or self.before, "after": self.after}))
        environment = {
            "REGISTRY_URL": self.registry.url,
            "WEBHOOK_SECRET": "a secret of some length",
            "GITHUB_EVENT_NAME": event,
            "GITHUB_EVENT_PATH": str(path),
            "GITHUB_SHA": self.after,
            "GITHUB_WORKSPACE": str(self.folder),
            "GITHUB_OUTPUT": str(self.folder / ".git/output"),
            "GITHUB_STEP_SUMMARY": str(self.folder / ".git/summary"),
            **more,
        }
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            self.clock = PatientClock()
            status = refresh.main(environment, self.clock)
        return status, printed.getvalue()

    def live(self, **more: Any) -> dict:
        """The report of a refresh that made the push live."""
        return {"outcome": "published", "commit_hash": self.after, **more}

    def written(self, name: str) -> str:
        return (self.folder / ".git" / name).read_text()


class Pushes(Case):
    def test_a_change_of_a_stack_is_told_and_its_result_shown(self) -> None:
        self.push({"stacks/go/devfile.yaml": "new", "stacks/java/1.0.0/devfile.yaml": "java", "docs/x": ""})
        report = {"outcome": "published", "commit_hash": self.after, "changed": ["stacks/go"], "timings_ms": {"poll": 7}}
        self.registry.will("/refresh", 200, report)
        status, _ = self.run_action()
        self.assertEqual(status, 0)
        [(headers, body)] = self.registry.seen("/refresh")
        self.assertEqual(json.loads(body), {"commit_hash": self.after, "stacks": ["go", "java"]})
        expected = hmac.new(b"a secret of some length", body, hashlib.sha256).hexdigest()
        self.assertEqual(headers["x-hub-signature-256"], f"sha256={expected}")
        self.assertEqual(self.written("output"), f"outcome=published\ncommit={self.after}\n")
        self.assertIn("- stacks/go\n", self.written("summary"))
        self.assertIn("It took 7 ms.", self.written("summary"))

    def test_other_changes_cost_no_call(self) -> None:
        self.push({"README.md": "new", "docs/stacks/x.md": "x"})
        self.assertEqual(self.run_action()[0], 0)
        self.assertEqual(self.registry.requests, [])
        self.assertIn("outcome=skipped", self.written("output"))

    def test_extra_entries_and_removed_stacks_count(self) -> None:
        self.push({"extraDevfileEntries.yaml": "samples: []"})
        self.registry.will("/refresh", 200, self.live())
        self.run_action()
        self.before = self.after
        self.git("rm", "--quiet", "-r", "stacks/go")
        self.push({})
        self.registry.answers.clear()
        self.registry.will("/refresh", 200, self.live())
        self.run_action()
        told = [json.loads(body)["stacks"] for _, body in self.registry.seen("/refresh")]
        self.assertEqual(told, [[], ["go"]])

    def test_an_unknown_commit_before_means_everything(self) -> None:
        self.push({"README.md": "forced"})
        self.registry.will("/refresh", 200, self.live(quarantined=[HELD]))
        for before in ("0" * 40, "1" * 40, "--output=x"):
            self.assertEqual(self.run_action(before)[0], 1)
        self.assertEqual(self.run_action(event="workflow_dispatch")[0], 1)
        self.assertEqual(len(self.registry.seen("/refresh")), 4)

    def test_a_shallow_clone_fetches_what_it_lacks(self) -> None:
        self.push({"stacks/java/devfile.yaml": "java"})
        clone = self.folder / ".git/clone"
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.git("clone", "--quiet", "--depth=1", f"file://{self.folder}", str(clone))
        self.registry.will("/refresh", 200, self.live())
        self.run_action(GITHUB_WORKSPACE=str(clone))
        self.assertEqual(json.loads(self.registry.seen("/refresh")[0][1])["stacks"], ["java"])


class Results(Case):
    def setUp(self) -> None:
        super().setUp()
        self.push({"stacks/go/devfile.yaml": "broken"})

    def test_what_is_quarantined_fails_with_annotations(self) -> None:
        self.registry.will("/refresh", 200, self.live(quarantined=[HELD], changed=["stacks/x"]))
        status, printed = self.run_action()
        self.assertEqual(status, 1)
        annotation = "::error file=stacks/go/devfile.yaml,line=3,col=5,title=yaml/syntax::50%25 of it: a list\\u000ais open (close it)"
        self.assertIn(annotation, printed)
        self.assertIn("| stacks/go/devfile.yaml | 3 | 50% of it: a list is open (close it) |", self.written("summary"))

    def test_what_others_broke_is_a_warning(self) -> None:
        others = {**HELD, "problems": [{**PROBLEM, "path": "stacks/php/devfile.yaml"}]}
        self.registry.will("/refresh", 200, self.live(quarantined=[others]))
        status, printed = self.run_action()
        self.assertEqual(status, 0)
        self.assertIn("::warning file=stacks/php/devfile.yaml", printed)

    def test_a_long_list_of_stacks_is_left_out(self) -> None:
        self.push({f"stacks/s{number}/devfile.yaml": "new" for number in range(1001)})
        self.registry.will("/refresh", 200, {"outcome": "published", "commit_hash": self.after})
        self.assertEqual(self.run_action()[0], 0)
        [(_, body)] = self.registry.seen("/refresh")
        self.assertEqual(json.loads(body), {"commit_hash": self.after, "stacks": []})

    def test_a_rejected_commit_fails(self) -> None:
        self.registry.will("/refresh", 200, {"outcome": "rejected", "commit_hash": self.after, "quarantined": [HELD]})
        self.assertEqual(self.run_action()[0], 1)
        self.assertIn("is not live", self.written("summary"))

    def test_what_another_trigger_published_is_looked_up(self) -> None:
        self.registry.will("/refresh", 200, {"outcome": "unchanged", "commit_hash": self.after})
        self.registry.will("/status", 200, {"live": {"commit_hash": self.after, "quarantined": [HELD]}})
        self.assertEqual(self.run_action()[0], 1)

    def test_a_long_refresh_is_waited_for(self) -> None:
        self.registry.will("/refresh", 202, {"see": "/status"})
        self.registry.will("/status", 200, {"live": None})
        self.registry.will("/status", 200, {"live": None})
        self.registry.will("/status", 503, {})
        self.registry.will("/status", 200, {"live": {"commit_hash": self.after, "changed": ["stacks/go"]}})
        self.assertEqual(self.run_action()[0], 0)
        self.assertEqual(self.clock.slept, [2.0, 2.0])
        self.assertIn("outcome=published", self.written("output"))

    def test_a_long_refresh_may_end_otherwise(self) -> None:
        self.registry.will("/refresh", 202, {})
        recent = {"live": {"commit_hash": "f" * 40, "recent": [{"commit_hash": self.after}]}}
        told = lambda at, **more: {"last_refresh": {"at": at, "commit_hash": self.after, **more}}  # noqa: E731
        for status, document in ((0, recent), (1, told("2", outcome="rejected")), (1, told("3", failure="no bucket"))):
            self.registry.answers.pop("/status", None)
            self.registry.will("/status", 200, told("1", failure="of an earlier run"))
            self.registry.will("/status", 200, told("1", failure="of an earlier run"))
            self.registry.will("/status", 200, document)
            ended, printed = self.run_action()
            self.assertEqual(ended, status, printed)
            self.assertNotIn("of an earlier run", printed)
        self.assertIn("no bucket", printed)
        status, printed = self.run_action(TIMEOUT_SECONDS="0")
        self.assertIn("did not finish in time", printed)


class Order(Case):
    """Success means that the push is live, or something that came after it."""

    def setUp(self) -> None:
        super().setUp()
        self.push({"stacks/go/devfile.yaml": "mine"})

    def superseded_by(self, commit: str, **more: Any) -> dict:
        return {"outcome": "superseded", "commit_hash": commit, **more}

    def test_the_commit_before_is_no_success(self) -> None:
        self.registry.will("/refresh", 200, self.superseded_by(self.before))
        self.registry.will("/status", 200, {"live": {"commit_hash": self.before}})
        status, printed = self.run_action(TIMEOUT_SECONDS="20")
        self.assertEqual(status, 1, printed)
        self.assertIn("does not show the push", printed)
        self.assertGreater(len(self.registry.seen("/refresh")), 2)

    def test_a_push_that_is_shown_late_goes_live(self) -> None:
        self.registry.will("/refresh", 200, self.superseded_by(self.before))
        self.registry.will("/refresh", 200, self.live())
        self.registry.will("/status", 200, {"live": {"commit_hash": self.before}})
        status, printed = self.run_action()
        self.assertEqual(status, 0, printed)
        self.assertIn("outcome=published", self.written("output"))

    def test_a_later_merge_that_has_the_push_is_success(self) -> None:
        mine = self.after
        self.push({"stacks/java/devfile.yaml": "theirs"})
        theirs, self.after = self.after, mine
        self.registry.will("/refresh", 200, self.superseded_by(theirs))
        self.registry.will("/status", 200, {"live": {"commit_hash": theirs}})
        status, printed = self.run_action()
        self.assertEqual(status, 0, printed)
        self.registry.answers.clear()
        self.registry.will("/refresh", 202, {})
        self.registry.will("/status", 200, {"live": {"commit_hash": theirs, "changed": ["stacks/java"]}})
        status, printed = self.run_action()
        self.assertEqual(status, 0, printed)
        self.assertIn("outcome=superseded", self.written("output"))

    def test_a_shallow_clone_learns_what_came_after(self) -> None:
        clone = self.folder / ".git/clone"
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.git("clone", "--quiet", "--depth=1", f"file://{self.folder}", str(clone))
        mine = self.after
        self.push({"stacks/java/devfile.yaml": "theirs"})
        theirs, self.after = self.after, mine
        self.registry.will("/refresh", 200, self.superseded_by(theirs))
        self.registry.will("/status", 200, {"live": {"commit_hash": theirs}})
        status, printed = self.run_action(GITHUB_WORKSPACE=str(clone))
        self.assertEqual(status, 0, printed)

    def test_a_commit_of_another_branch_is_no_success(self) -> None:
        mine = self.after
        self.git("checkout", "--quiet", "-b", "other", self.before)
        self.push({"stacks/java/devfile.yaml": "other"})
        other, self.after = self.after, mine
        self.registry.will("/refresh", 200, self.superseded_by(other))
        self.registry.will("/status", 200, {"live": {"commit_hash": other}})
        self.assertEqual(self.run_action(TIMEOUT_SECONDS="10")[0], 1)

    def test_push_that_a_forced_push_took_back_is_no_success(self) -> None:
        mine = self.after
        self.git("checkout", "--quiet", "-b", "forced", self.before)
        self.push({"stacks/java/devfile.yaml": "forced"})
        forced, self.after = self.after, mine
        self.registry.will("/refresh", 202, {})
        recent = [{"commit_hash": forced}, {"commit_hash": mine}]
        self.registry.will("/status", 200, {"live": {"commit_hash": forced, "recent": recent}})
        status, printed = self.run_action(TIMEOUT_SECONDS="10")
        self.assertEqual(status, 1, printed)

    def test_a_pinned_release_is_no_success(self) -> None:
        for code, document in ((200, self.superseded_by(self.before, pinned=True)), (202, {})):
            self.registry.answers.clear()
            self.registry.will("/refresh", code, document)
            recent = [{"commit_hash": self.after}]
            self.registry.will("/status", 200, {"live": {"commit_hash": self.before, "pinned": True, "recent": recent}})
            status, printed = self.run_action()
            self.assertEqual(status, 1)
            self.assertIn("a release is pinned", printed)


class Trouble(Case):
    def setUp(self) -> None:
        super().setUp()
        self.push({"stacks/go/devfile.yaml": "new"})

    def test_passing_trouble_is_outlived(self) -> None:
        self.registry.will("/refresh", 503, {}, retry_after="7")
        self.registry.will("/refresh", 502, {"status": "the OCI registry did not do what was asked"})
        self.registry.will("/refresh", 200, self.live())
        self.assertEqual(self.run_action()[0], 0)
        self.assertEqual(self.clock.slept, [7.0, 2.0])

    def test_lasting_trouble_is_explained(self) -> None:
        for code, expected in ((401, "does not accept"), (403, "does not permit"), (404, "is `url` right?"), (400, "answered 400")):
            self.registry.answers.clear()
            self.registry.will("/refresh", code, {"status": "said"})
            status, printed = self.run_action()
            self.assertEqual(status, 1)
            self.assertIn(expected, printed)
        status, printed = self.run_action(REGISTRY_URL="http://127.0.0.1:1")
        self.assertIn("does not answer", printed)

    def test_credentials_are_not_sent_on(self) -> None:
        other = Registry()
        self.addCleanup(other.server_close)
        self.addCleanup(other.shutdown)
        self.registry.will("/refresh", 307, {}, location=f"{other.url}/refresh")
        self.assertEqual(self.run_action()[0], 1)
        self.assertEqual(other.requests, [])

    def test_settings_that_make_no_sense(self) -> None:
        for more in (
            {"REGISTRY_URL": "http://registry.example.com"},
            {"REGISTRY_URL": ""},
            {"WEBHOOK_SECRET": ""},
            {"OIDC_AUDIENCE": "both"},
            {"TIMEOUT_SECONDS": "soon"},
        ):
            status, printed = self.run_action(**more)
            self.assertEqual((status, self.registry.requests), (1, []), more)
            self.assertTrue(printed.startswith("::error "), printed)


class Tokens(Case):
    def test_the_workflow_shows_its_token(self) -> None:
        self.push({"stacks/go/devfile.yaml": "new"})
        self.registry.will("/token", 200, {"value": "ey.token"})
        self.registry.will("/refresh", 200, self.live())
        more = {
            "WEBHOOK_SECRET": "",
            "OIDC_AUDIENCE": "https://registry.example.com",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.registry.url}/token?v=2",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "job",
        }
        status, printed = self.run_action(**more)
        self.assertEqual(status, 0, printed)
        self.assertIn("::add-mask::ey.token\n", printed)
        [(headers, _)] = self.registry.seen("/token?v=2&audience=https%3A%2F%2Fregistry.example.com")
        self.assertEqual(headers["authorization"], "bearer job")
        self.assertEqual(self.registry.seen("/refresh")[0][0]["authorization"], "Bearer ey.token")
        status, printed = self.run_action(**{**more, "ACTIONS_ID_TOKEN_REQUEST_URL": ""})
        self.assertIn("id-token: write", printed)


class Hostile(Case):
    def test_content_of_a_registry_gives_no_commands(self) -> None:
        self.push({"stacks/go/devfile.yaml": "x"})
        evil = "%0A::error::x\n::add-mask::y\x1b[31m##[error]z"
        problem = {**PROBLEM, "message": evil, "path": "stacks/go/" + evil, "rule": evil, "hint": evil}
        held = {**HELD, "problems": [problem]}
        for outcome in ("::error::x", evil, "rejected"):
            self.registry.answers.clear()
            self.registry.will("/refresh", 200, self.live(outcome=outcome, quarantined=[held], changed=[evil]))
            _, printed = self.run_action()
            commands = [line for line in printed.splitlines() if line.startswith("::") or "##[" in line]
            self.assertEqual(len(commands), 1, printed)
            self.assertTrue(commands[0].startswith("::error file=stacks/go/%250A%3A%3Aerror"), commands)
            self.assertNotIn("\x1b", printed)


class Commands(unittest.TestCase):
    def test_nothing_breaks_out_of_a_command(self) -> None:
        line = workflow.command("error", "a\n::set-output::b", file="x,line=1:2\r\n", line=None)
        self.assertEqual(line, "::error file=x%2Cline=1%3A2\\u000d\\u000a::a\\u000a::set-output::b")
        self.assertEqual(workflow.escape("<b>|`x`\n"), "\\<b\\>\\|\\`x\\`")


if __name__ == "__main__":
    unittest.main()
