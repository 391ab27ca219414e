"""Tests of reports, tools and processes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
import unittest
import unittest.mock
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO, Optional, Sequence

from . import console, processes, programs, report, suite, tools
from .console import Failure


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


class Reports(unittest.TestCase):
    def test_headline_names_only_what_there_is(self) -> None:
        lists = {"changed": [1, 2], "removed": [], "quarantined": [3]}
        full = {"outcome": "published", "commit_hash": "1a2b3c4d5e6f", **lists}
        self.assertEqual(
            report.headline(full, 811.7), "published 2 changed, 1 quarantined (commit 1a2b3c4) in 812 ms"
        )
        self.assertEqual(report.headline({"outcome": "unchanged"}, 9), "unchanged in 9 ms")

    def test_a_quarantined_version_comes_with_place_reason_and_advice(self) -> None:
        place = {"path": "stacks/go/stack.yaml", "line": 3, "column": 5}
        problem = {**place, "message": "two defaults", "hint": "keep one"}
        item = {"part": "version", "stack": "go", "version": "1.0.0", "problems": [problem, "odd"]}
        self.assertEqual(
            report.quarantined({"quarantined": [item]}),
            ["quarantined go 1.0.0", "  stacks/go/stack.yaml:3:5: two defaults (keep one)", "  odd"],
        )

    def test_an_error_object_is_told_from_a_report(self) -> None:
        self.assertEqual(report.problem({"errorType": "Oci", "errorMessage": "refused"}), "refused")
        self.assertEqual(report.problem({"outcome": "unchanged"}), "")

    def test_parts_without_a_name_are_still_described(self) -> None:
        self.assertEqual(report.describe({"part": "extra-entries"}), "extra-entries")
        self.assertEqual(report.describe("go 1.0.0"), "go 1.0.0")


class Suite(Folder):
    """`scripts/test`, without running anything."""

    def run_with(self, statuses: dict[str, int], arguments: Sequence[str] = ()) -> tuple[Optional[tuple[str, int]], list[str]]:
        started: list[str] = []

        def start(command: Sequence[object], stdout: BinaryIO, **_options: object) -> object:
            started.append("checks")
            stdout.write(b"said by the checks\n")
            status = statuses.get("checks", 0)
            return SimpleNamespace(wait=lambda: status)

        def run(command: Sequence[object], **_options: object) -> int:
            started.append(" ".join(map(str, command)))
            return statuses.get(started[-1], 0)

        with (
            contextlib.redirect_stdout(io.StringIO()),
            unittest.mock.patch.object(suite.shutil, "which", return_value="/x"),
            unittest.mock.patch.multiple(suite.processes, start=start, run=run, end=lambda _: started.append("the end of the checks")),
        ):
            return suite._run(self.folder, list(arguments)), started

    def test_checks_run_beside_the_build_and_end_before_the_tests(self) -> None:
        failed, started = self.run_with({"checks": 3})
        self.assertEqual(failed, ("the checks", 3))
        builds = ["cargo build --workspace", "cargo nextest run --workspace --no-run"]
        self.assertEqual(started, ["checks", *builds, "the end of the checks"])

    def test_failed_build_is_named_and_ends_the_checks(self) -> None:
        failed, started = self.run_with({"cargo build --workspace": 101, "checks": 3})
        self.assertEqual(failed, ("cargo build --workspace", 101))
        self.assertEqual(started, ["checks", "cargo build --workspace", "the end of the checks"])

    def test_crate_without_tests_of_its_documentation_has_no_examples(self) -> None:
        root = Path(__file__).resolve().parents[2]
        without = [path.parent for depth in ("*", "*/*") for path in root.glob(f"{depth}/Cargo.toml") if "doctest = false" in path.read_text()]
        self.assertGreater(len(without), 2)
        for source in (source for crate in without for source in crate.glob("src/**/*.rs")):
            fences = re.findall(r"^\s*//[/!]\s*```(.*)$", source.read_text(), re.MULTILINE)
            # Each block has an opening and a closing fence.
            self.assertLessEqual(set(fences[::2]), {"text"}, source)

    def test_part_of_a_name_leaves_the_checks_out(self) -> None:
        failed, started = self.run_with({"cargo build --workspace": 101}, ["loom"])
        self.assertEqual((failed, started), (("cargo build --workspace", 101), ["cargo build --workspace"]))


class Programs(unittest.TestCase):
    """`scripts/dev`, `scripts/soak` and `scripts/bench`, without running anything."""

    def test_programs_under_test_are_built_and_found(self) -> None:
        workspace = ("cargo", "build", "--workspace")
        functions = ("cargo", "build", "--release", "-p", "serve", "-p", "refresh", "-p", "devfile-registry")
        tool = ("cargo", "build", "--release", "-p", "cli")
        for command, arguments, release in (
            (programs.soak, ["--dev", "--seconds", "30"], None),
            (programs.soak, ["--seconds", "30"], [functions]),
            (programs.soak, ["--store", "--seconds", "30"], [tool]),
            (programs.bench, ["--dev"], None),
            (programs.bench, ["--quick", "index", "large"], [functions]),
            (programs.bench, ["index", "tool"], [functions, tool]),
            (programs.bench, ["--markdown", "table.md"], [functions, tool]),
        ):
            with unittest.mock.patch.dict(os.environ, CARGO_TARGET_DIR="/built"):
                start = command(Path("/nowhere"), arguments)
            self.assertEqual(start.builds, [*(release or []), workspace])
            others = [argument for argument in arguments if argument != "--dev"]
            folder = "debug" if release is None else "release"
            self.assertEqual(start.arguments, ["--programs", f"/built/{folder}", *others])

    def test_mistakes_in_arguments_are_named_before_a_build(self) -> None:
        for name, arguments, message in (
            ("dev", ["--relese"], "there is no option --relese; scripts/dev --help lists all"),
            ("dev", ["--fresh", "kiln"], "'kiln' is not understood"),
            ("soak", ["30"], "'30' is not understood"),
            ("bench", ["--quick", "everything"], "'everything' is not understood"),
            ("bench", ["--quick=yes", "--markdown"], None),
            ("bench", ["index", "--markdown", "table.md", "cold-start"], None),
            ("soak", ["--dev", "--seconds", "30", "--store"], None),
            ("dev", ["--github", "--fresh"], None),
        ):
            with self.assertRaisesRegex(Failure, message) if message else contextlib.nullcontext():
                programs.check(name, arguments)

    def test_emulator_is_fetched_only_for_its_option(self) -> None:
        with unittest.mock.patch.dict(os.environ, DEV_OCI_REGISTRY="127.0.0.1:5000"):
            self.assertEqual(list(programs.dev(Path("/nowhere"), ["--fresh"]).tools), ["weed"])
            self.assertEqual(list(programs.dev(Path("/nowhere"), ["--lambda"]).tools), ["weed", "cargo-lambda"])


class Processes(unittest.TestCase):
    def test_program_runs_to_its_end(self) -> None:
        self.assertEqual(processes.run(["sh", "-c", "exit 7"]), 7)

    def test_missing_program_is_one_sentence(self) -> None:
        with self.assertRaisesRegex(Failure, "^cannot start /no/such/program: No such file"):
            processes.run(["/no/such/program"])

    def test_program_ends_with_its_command(self) -> None:
        script = "import sys; from lib import console, processes; sys.exit(console.run(lambda: processes.run(sys.argv[1:])))"
        # The trap tells the orderly end of the shell, which would report that of `sleep` on stderr.
        # It ends by itself, so that nobody waits for ever when the command has lost it.
        child = ["sh", "-c", "exec 2>/dev/null; trap 'echo ended; exit' TERM; echo up; for _ in $(seq 600); do sleep 0.1; done"]
        scripts = Path(__file__).resolve().parent.parent
        with subprocess.Popen([sys.executable, "-B", "-c", script, *child], cwd=scripts, stdout=subprocess.PIPE) as command:
            self.assertEqual(command.stdout.readline(), b"up\n")
            command.terminate()
            self.assertEqual(command.stdout.read(), b"ended\n")
            self.assertEqual(command.wait(), 143)

    def test_program_ends_with_a_command_that_is_ended_while_it_starts(self) -> None:
        self.addCleanup(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        self.addCleanup(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
        start, started = processes.start, []

        def interrupted(*arguments: object, **options: object) -> subprocess.Popen:
            started.append(start(*arguments, **options))
            signal.raise_signal(signal.SIGTERM)
            return started[0]

        with unittest.mock.patch.object(processes, "start", interrupted):
            status = console.run(lambda: processes.run(["sleep", "60"]))
        self.assertEqual((status, started[0].returncode), (143, -signal.SIGTERM))


class Tools(Folder):
    def test_another_version_is_fetched_anew(self) -> None:
        wheel = tools.TOOLS["weed"]
        for version, current in (("0.1", False), (wheel.version, True)):
            program = self.folder / f"packages/{wheel.package}-{version}/weed"
            self.write(str(program.relative_to(self.folder)), "")
            program.chmod(0o755)
            (self.folder / "bin").mkdir(exist_ok=True)
            tools._link(program, self.folder / "bin/weed")
            self.assertEqual(tools._is_current(self.folder, "weed"), current)

    def test_an_npm_package_is_what_its_digest_says(self) -> None:
        self.write("package/tool.js", "1")
        archive = self.folder / "registry/tool/-/tool-1.0.0.tgz"
        archive.parent.mkdir(parents=True)
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(self.folder / "package/tool.js", "package/tool.js")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        tool = tools.Npm("tool", "1.0.0", "tool.js", digest)
        with unittest.mock.patch.dict(os.environ, npm_config_registry=(self.folder / "registry").as_uri()):
            unpacked = tools._unpack_npm(tool, self.folder)
            self.assertEqual(tools._program(unpacked, "tool.js", tool).read_text(), "1")
            with self.assertRaisesRegex(Failure, "its digest differs"):
                tools._unpack_npm(tool._replace(sha512="other"), self.folder)

    def test_scoped_npm_package_is_fetched_under_its_bare_name(self) -> None:
        self.write("package/data/index.json", "[]")
        archive = self.folder / "registry/@scope/tool/-/tool-1.0.0.tgz"
        archive.parent.mkdir(parents=True)
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(self.folder / "package/data/index.json", "package/data/index.json")
        digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
        tool = tools.Npm("@scope/tool", "1.0.0", "data/index.json", digest)
        registry = unittest.mock.patch.dict(os.environ, npm_config_registry=(self.folder / "registry").as_uri())
        with registry, unittest.mock.patch.dict(tools.TOOLS, {"data.json": tool}):
            for _ in range(2):
                binaries = tools.ensure(self.folder / "home", ["data.json"])
                self.assertEqual((binaries / "data.json").read_text(), "[]")
                archive.unlink(missing_ok=True)

    def test_the_reason_is_the_last_complaint(self) -> None:
        self.assertEqual(tools._reason("Reading lists\nE: one\nE: Unable to locate\nbye\n"), "E: Unable to locate")
        self.assertEqual(tools._reason(""), "it said nothing")
