"""The action that checks pull requests (`.github/actions/check`): its inputs, and the answers of GitHub to its comment."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading
import unittest
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from .test_refresh import git

FOLDER = Path(__file__).resolve().parent.parent / ".github/actions/check"

MARKER = "<!-- devfile-registry diff -->"

PROGRAM = f"""#!{sys.executable}
import json, os, sys
with open(os.environ["CALLS"], "a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
if sys.argv[1] == "diff":
    print("{MARKER}\\nchanged stack `go`")
"""
"""In place of `devfile-registry`: it finds no mistake."""

BOT = "github-actions[bot]"


class GitHub(ThreadingHTTPServer):
    """Answers every read with the same bytes, and takes every comment."""

    def __init__(self, answer: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer
        self.written: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # noqa: N802
        self.wfile.write(self.server.answer)

    def do_POST(self) -> None:  # noqa: N802
        self.rfile.read(int(self.headers["content-length"]))
        self.server.written.append((self.command, self.path))
        self.wfile.write(answer("{}"))

    do_PATCH = do_POST  # noqa: N815

    def log_message(self, *_arguments: Any) -> None:
        """Nobody reads it."""


def answer(body: str, beyond: int = 0) -> bytes:
    """An answer of GitHub that ends so many bytes before its length."""
    content = body.encode("latin-1")
    return b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(content) + beyond) + content


def comments(*all_of_them: Any) -> bytes:
    return answer(json.dumps(all_of_them))


class Case(unittest.TestCase):
    """A pull request whose checkout has its base."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.checkout = self.folder / "checkout"
        self.checkout.mkdir()
        self.program = self.folder / "devfile-registry"
        self.program.write_text(PROGRAM)
        self.program.chmod(0o755)
        self.git("init", "--quiet")
        self.git("commit", "--quiet", "--allow-empty", "--message=Base")
        pull = {"number": 7, "base": {"sha": self.git("rev-parse", "HEAD")}}
        (self.folder / "event.json").write_text(json.dumps({"pull_request": pull}))

    def git(self, *arguments: str) -> str:
        return git(self.checkout, *arguments)

    def run_script(self, **variables: str) -> subprocess.CompletedProcess:
        environment = {
            **{"PATH": os.environ["PATH"], "CALLS": str(self.folder / "calls"), "DEVFILE_REGISTRY": str(self.program)},
            **{"GITHUB_WORKSPACE": str(self.checkout), "GITHUB_EVENT_PATH": str(self.folder / "event.json")},
            **variables,
        }
        command = [sys.executable, "-B", FOLDER / "check.py"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def comment(self, read: bytes, **variables: str) -> tuple[subprocess.CompletedProcess, list[tuple[str, str]]]:
        """Runs the script with a GitHub that gives these bytes for the comments, and returns the written comment."""
        with GitHub(read) as github:
            self.addCleanup(github.shutdown)
            settings = {"CHECK_COMMENT": "true", "CHECK_TOKEN": "token", "GITHUB_API_URL": github.url}
            done = self.run_script(**{**settings, "GITHUB_REPOSITORY": "acme/registry", **variables})
            github.shutdown()
            return done, github.written


class Comment(Case):
    CREATED = [("POST", "/repos/acme/registry/issues/7/comments")]

    def test_comments_of_others_in_any_form_are_passed_over(self) -> None:
        own = {"login": BOT}
        for other in (
            *({"id": 1, "user": None, "body": MARKER}, {"id": 1, "user": own}, {"id": 1, "user": own, "body": None}),
            *({"id": 1, "user": BOT, "body": MARKER}, {"user": own, "body": MARKER}, {"id": "1", "user": own, "body": MARKER}),
            *(None, 1, "text", [], {}),
        ):
            done, written = self.comment(comments(other))
            self.assertEqual((done.returncode, done.stdout, written), (0, "", self.CREATED), f"{other} {done.stderr}")

    def test_answer_that_cannot_be_read_is_a_notice_and_no_fault_of_the_stacks(self) -> None:
        answers = {
            "an object": answer("{}"),
            "null": answer("null"),
            "a truncated document": answer('[{"id"'),
            "a truncated answer": answer("[]", beyond=10),
            "not UTF-8": answer("\xff"),
            "a deep document": answer("[" * 100_000),
            "no HTTP": b"nonsense\r\n\r\n",
            "nothing": b"",
        }
        for name, read in answers.items():
            done, written = self.comment(read)
            self.assertEqual((done.returncode, written), (0, []), f"{name}: {done.stderr}")
            self.assertRegex(done.stdout, r"^::notice::The changes for clients are not shown: \S.*\n$", name)

    def test_missing_repository_is_a_notice(self) -> None:
        done, written = self.comment(comments(), GITHUB_REPOSITORY="")
        self.assertEqual((done.returncode, written), (0, []), done.stderr)
        self.assertEqual(done.stdout, "::notice::The changes for clients are not shown: GITHUB_REPOSITORY is not set\n")

    def test_comment_of_the_author_that_is_named_is_updated(self) -> None:
        earlier = {"id": 5, "user": {"login": "acme-app[bot]"}, "body": f"{MARKER}\nearlier"}
        _, written = self.comment(comments(earlier))
        self.assertEqual(written, self.CREATED)
        _, written = self.comment(comments(earlier), CHECK_COMMENT_AUTHOR="acme-app[bot]")
        self.assertEqual(written, [("PATCH", "/repos/acme/registry/issues/comments/5")])


class Script(Case):
    def test_what_keeps_the_check_from_running_has_a_status_of_its_own(self) -> None:
        for variables in (
            {"GITHUB_WORKSPACE": str(self.folder / "nowhere")},
            {"DEVFILE_REGISTRY": ""},
            {"DEVFILE_REGISTRY": str(self.folder / "nothing")},
        ):
            done = self.run_script(**variables)
            self.assertEqual((done.returncode, done.stderr), (2, ""), variables)
            self.assertRegex(done.stdout, r"^::error::The stacks were not checked: \S.*\n$")

    def test_rules_to_ignore_are_passed_on(self) -> None:
        self.run_script(CHECK_IGNORE=" index/tags,\n index/icon ", CHECK_REGISTRY=".")
        [arguments] = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        self.assertEqual((arguments[0], arguments[-2:]), ("check", ["--", "."]))
        self.assertIn("--ignore=index/tags,index/icon", arguments)


class _Files(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        """Nobody reads it."""


def download() -> ModuleType:
    """The module of the action that fetches the program."""
    specification = importlib.util.spec_from_file_location("download", FOLDER / "download.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class Released(Case):
    """A release on this machine, from which the action takes its program."""

    def setUp(self) -> None:
        super().setUp()
        self.archive = download().archive_name(sys.platform, os.uname().machine)
        self.release = self.folder / "release"
        self.release.mkdir()
        (self.folder / "temporary").mkdir()
        self.publish(self.packed("devfile-registry", PROGRAM.encode()))
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(self.release)))
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}"

    def packed(self, name: str, content: bytes) -> bytes:
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        return file.getvalue()

    def publish(self, content: bytes, digest: str = "") -> None:
        (self.release / self.archive).write_bytes(content)
        sums = f"{digest or hashlib.sha256(content).hexdigest()}  {self.archive}\n{'0' * 64}  other.zip\n"
        (self.release / "SHA256SUMS").write_text(sums)

    def run_released(self, **variables: str) -> subprocess.CompletedProcess:
        settings = {"DEVFILE_REGISTRY": "", "RUNNER_TEMP": str(self.folder / "temporary"), "CHECK_RELEASE_URL": self.url}
        return self.run_script(**{**settings, **variables})

    def refused(self, reason: str, **variables: str) -> None:
        done = self.run_released(**variables)
        self.assertEqual((done.returncode, done.stderr), (2, ""), done.stdout)
        self.assertRegex(done.stdout, f"^::error::The stacks were not checked: .*{reason}")
        self.assertFalse((self.folder / "calls").exists())

    def test_released_program_runs_the_check(self) -> None:
        done = self.run_released()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        [arguments] = [json.loads(line) for line in (self.folder / "calls").read_text().splitlines()]
        self.assertEqual(arguments[0], "check")

    def test_archive_with_another_digest_never_runs(self) -> None:
        self.publish(self.packed("devfile-registry", PROGRAM.encode()), digest="0" * 64)
        self.refused("another digest than SHA256SUMS lists")

    def test_release_without_an_archive_for_this_machine_is_named(self) -> None:
        (self.release / "SHA256SUMS").write_text(f"{'0' * 64}  other.zip\n")
        self.refused(f"cannot take {self.archive} from {self.url}: SHA256SUMS does not list it")

    def test_release_that_is_missing_is_named(self) -> None:
        self.refused(f"cannot fetch {self.url}/v0/SHA256SUMS: HTTP Error 404", CHECK_RELEASE_URL=f"{self.url}/v0/")

    def test_url_without_tls_is_refused_beyond_this_machine(self) -> None:
        self.refused("is no https URL", CHECK_RELEASE_URL="http://releases.example.org")

    def test_archive_that_does_not_have_the_program_is_refused(self) -> None:
        for content in (b"", b"text", gzip.compress(b"text"), self.packed("../devfile-registry", b""), self.packed("other", b"")):
            self.publish(content)
            self.refused("cannot unpack the released program")
        self.assertEqual(list((self.folder / "temporary").iterdir()), [])

    def test_action_that_is_not_from_a_repository_asks_for_a_release(self) -> None:
        self.refused("set release-url", CHECK_RELEASE_URL="")

    def test_release_is_that_of_the_actions_own_version(self) -> None:
        manifest = (FOLDER.parents[2] / "Cargo.toml").read_text()
        version = re.search('(?m)^version = "(.*)"', manifest)[1]
        repository = {"CHECK_ACTION_REPOSITORY": "acme/devfiles", "GITHUB_SERVER_URL": "https://git.example.org"}
        url = f"https://git.example.org/acme/devfiles/releases/download/v{version}"
        self.assertEqual(download().release_url(repository), url)

    def test_machine_without_a_program_is_named(self) -> None:
        with self.assertRaisesRegex(ValueError, "cannot run devfile-registry on win32 amd64: it is released for linux-x86_64,"):
            download().archive_name("win32", "amd64")


class Inputs(unittest.TestCase):
    def test_every_input_reaches_the_script_and_the_page(self) -> None:
        action = yaml.safe_load((FOLDER / "action.yml").read_text())
        [step] = [one for one in action["runs"]["steps"] if one["name"] == "Check"]
        given = {name: value for name, value in step["env"].items() if "inputs." in value}
        names = {"github-token": "CHECK_TOKEN"}
        variables = {one: names.get(one, f"CHECK_{one.upper().replace('-', '_')}") for one in action["inputs"]}
        self.assertEqual(given, {variable: f"${{{{ inputs.{one} }}}}" for one, variable in variables.items()})
        self.assertLessEqual({"ignore", "comment-author"}, set(variables))
        scripts = "".join(path.read_text() for path in FOLDER.glob("*.py"))
        page = (FOLDER.parents[2] / "docs/stack-authors/validation.md").read_text()
        for one, variable in variables.items():
            self.assertIn(f'"{variable}"', scripts)
            self.assertIn(f"`{one}`", page)


if __name__ == "__main__":
    unittest.main()
