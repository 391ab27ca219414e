"""The action as a runner executes it: the workflow of docs/operators/follow-a-repository.md, run by act on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path
from typing import Any, NamedTuple

from .test_refresh import HELD, PROBLEM, Case

ROOT = Path(__file__).resolve().parent.parent

ACTION = "OWNER/devfile-registry@main"
"""The action, as the page names it."""

_RUN_SECONDS = 120


class Job(NamedTuple):
    """The result of a run of the workflow."""

    succeeded: bool
    commands: list[tuple[str, str, dict[str, str]]]
    """Annotations as the runner understood them: kind, message, properties."""
    lines: list[str]
    """The lines that these are in."""
    outputs: dict[str, str]
    text: str


def documented() -> str:
    """The workflow that the page shows."""
    page = (ROOT / "docs/operators/follow-a-repository.md").read_text()
    _, _, rest = page.partition("```yaml\n# .github/workflows/publish.yaml")
    return rest.partition("\n")[2].partition("```")[0]


def act() -> str:
    """The program that runs workflows."""
    tools = os.environ.get("TEST_TOOLS")
    if not tools:
        raise AssertionError("TEST_TOOLS is not set; run the tests with scripts/test")
    return str(Path(tools) / "act")


class Workflow(Case):
    """A push to a repository, whose checkout has two commits as the workflow asks."""

    timeout = 60
    """Seconds for the action, in place of the page's minutes."""

    def setUp(self) -> None:
        super().setUp()
        self.action = self.folder / ".git/action"
        self.action.mkdir()
        shutil.copy(ROOT / "action.yml", self.action)
        shutil.copytree(ROOT / "action", self.action / "action", ignore=shutil.ignore_patterns("test_*", "__pycache__"))
        workflow = documented()
        self.assertEqual(workflow.count("https://registry.example.com"), 2)
        self.assertIn(ACTION, workflow)
        workflow = workflow.replace("https://registry.example.com", self.registry.url).rstrip()
        workflow += f"\n          timeout: {self.timeout}\n"
        self.before = self.commit({".github/workflows/publish.yaml": workflow})
        self.push({"stacks/go/devfile.yaml": "mine"})
        self.registry.will("/token", 200, {"value": "ey.token"})

    def run_workflow(self) -> Job:
        checkout = self.folder / ".git/checkout"
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        if not checkout.exists():
            self.git("clone", "--quiet", "--depth=2", f"file://{self.folder}", str(checkout))
        event = self.folder / ".git/event.json"
        repository = {"name": "registry", "full_name": "example/registry", "owner": {"login": "example"}}
        pushed = {"ref": "refs/heads/main", "before": self.before, "after": self.after, "repository": repository}
        event.write_text(json.dumps(pushed))
        command = [
            *(act(), "push", "--json", "--eventpath", event, "--platform", "ubuntu-latest=-self-hosted"),
            *("--no-cache-server", "--action-offline-mode", "--local-repository", f"{ACTION}={self.action}"),
            *("--env", f"ACTIONS_ID_TOKEN_REQUEST_URL={self.registry.url}/token?v=2"),
            *("--env", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=job"),
        ]
        home = {**os.environ, "HOME": str(self.folder / ".git/home")}
        home.pop("XDG_CACHE_HOME", None)
        done = subprocess.run(
            [str(part) for part in command],
            cwd=checkout,
            env=home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        of_script = [line for line in lines if "refresh" in line.get("stepID", [])]
        self.assertTrue(of_script, done.stdout)
        annotations = [line for line in of_script if line.get("command") in ("error", "warning", "notice")]
        commands = [(line["command"], line["arg"], line.get("kvPairs") or {}) for line in annotations]
        others = {line["command"] for line in of_script if "command" in line} - {"error", "warning", "notice"}
        self.assertLessEqual(others, {"add-mask", "set-output", "summary"}, done.stdout)
        # Those of the step that uses the action, which later steps of a workflow read.
        set_by_action = [line for line in lines if line.get("command") == "set-output"]
        outputs = {line["name"]: line["arg"] for line in set_by_action}
        return Job(done.returncode == 0, commands, [line["raw"].rstrip("\n") for line in annotations], outputs, done.stdout)

    def refreshed(self) -> list[Any]:
        """The bodies that the registry was sent, each with the token of the job."""
        calls = self.registry.seen("/refresh")
        self.assertTrue(all(headers["authorization"] == "Bearer ey.token" for headers, _ in calls))
        return [json.loads(body) for _, body in calls]

    def merge_another(self) -> str:
        """A second merge, right after the one that started the workflow."""
        mine = self.after
        self.push({"stacks/java/devfile.yaml": "theirs"})
        theirs, self.after = self.after, mine
        return theirs


class Merges(Workflow):
    """Two merges in a row: the job of the first one succeeds when the second one is live, and never before either is."""

    def test_push_that_went_live_succeeds(self) -> None:
        self.registry.will("/refresh", 200, self.live(changed=["stacks/go"]))
        job = self.run_workflow()
        self.assertTrue(job.succeeded, job.text)
        self.assertEqual(job.commands, [])
        self.assertEqual(job.outputs, {"outcome": "published", "commit": self.after})
        self.assertEqual(self.refreshed(), [{"commit_hash": self.after, "stacks": ["go"]}])
        audience = self.registry.url.replace(":", "%3A").replace("/", "%2F")
        [(headers, _)] = self.registry.seen(f"/token?v=2&audience={audience}")
        self.assertEqual(headers["authorization"], "bearer job")

    def test_first_merge_succeeds_when_the_second_is_live(self) -> None:
        checkout = self.folder / ".git/checkout"
        self.git("clone", "--quiet", "--depth=2", f"file://{self.folder}", str(checkout))
        theirs = self.merge_another()
        self.registry.will("/refresh", 200, {"outcome": "superseded", "commit_hash": theirs})
        self.registry.will("/status", 200, {"live": {"commit_hash": theirs}})
        job = self.run_workflow()
        self.assertTrue(job.succeeded, job.text)
        self.assertEqual(job.outputs, {"outcome": "superseded", "commit": theirs})

    def test_long_refresh_is_followed_to_its_end(self) -> None:
        self.registry.will("/refresh", 202, {"see": "/status"})
        self.registry.will("/status", 200, {"live": {"commit_hash": self.before}})
        self.registry.will("/status", 200, {"live": {"commit_hash": self.before}})
        self.registry.will("/status", 200, {"live": {"commit_hash": self.after, "quarantined": [HELD]}})
        job = self.run_workflow()
        self.assertFalse(job.succeeded, job.text)
        self.assertEqual([kind for kind, *_ in job.commands], ["error"])
        self.assertEqual(job.outputs["outcome"], "published")
        self.assertEqual(len(self.registry.seen("/status")), 3)


class Overtaken(Workflow):
    """A job that waits in vain."""

    timeout = 4

    def test_second_merge_fails_while_only_the_first_is_live(self) -> None:
        self.registry.will("/refresh", 200, {"outcome": "superseded", "commit_hash": self.before})
        self.registry.will("/status", 200, {"live": {"commit_hash": self.before}})
        job = self.run_workflow()
        self.assertFalse(job.succeeded, job.text)
        [(kind, message, _)] = job.commands
        self.assertEqual(kind, "error")
        self.assertIn("does not show the push", message)
        self.assertEqual(job.outputs.get("outcome", ""), "")


class Annotations(Workflow):
    """The annotations as a runner understands them."""

    def test_mistake_of_somebody_else_is_a_warning(self) -> None:
        others = {**HELD, "problems": [{**PROBLEM, "path": "stacks/php/devfile.yaml"}]}
        self.registry.will("/refresh", 200, self.live(quarantined=[others]))
        job = self.run_workflow()
        self.assertTrue(job.succeeded, job.text)
        [(kind, _, properties)] = job.commands
        self.assertEqual((kind, properties["file"]), ("warning", "stacks/php/devfile.yaml"))

    def test_hostile_content_of_a_registry_gives_no_commands(self) -> None:
        evil = "%0A::error::x\n::set-output name=outcome::y\r::add-mask::z\x1b[31m##[error]w"
        problem = {**PROBLEM, "message": evil, "path": f"stacks/go/{evil}", "rule": evil, "hint": evil}
        report = self.live(outcome=evil, quarantined=[{**HELD, "problems": [problem]}], changed=[evil])
        self.registry.will("/refresh", 200, report)
        job = self.run_workflow()
        self.assertFalse(job.succeeded, job.text)
        # GitHub's runner ends the properties at the first `::`; act does at the last one.
        [line] = job.lines
        shown = "%250A::error::x\\u000a::set-output name=outcome::y\\u000d::add-mask::z\\u001b[31m# #[error]w"
        escaped = shown.replace(":", "%3A").replace(",", "%2C")
        position = f"file=stacks/go/{escaped},line=3,col=5,title={escaped}"
        self.assertEqual(line, f"::error {position}::{shown} ({shown})")
        self.assertEqual(set(job.outputs), {"outcome", "commit"})
        self.assertEqual(job.outputs["commit"], self.after)
        self.assertNotIn("\x1b", job.text)


if __name__ == "__main__":
    unittest.main()
