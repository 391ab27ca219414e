"""Tests of what needs no process: reports, snapshots, signatures, logs."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import unittest
import unittest.mock
from pathlib import Path
from types import SimpleNamespace
from typing import Callable, Optional, Sequence

from . import bench, dev, events, programs, report, s3, servers, snapshot, soak, suite, tools
from .console import Failure
from .processes import Tail, free_ports


class Folder(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


class Events(unittest.TestCase):
    def test_an_event_becomes_one_line_for_people(self) -> None:
        event = {"timestamp": "t", "level": "WARN", "message": "late", "commit": "1a2b", "why": "a b", "n": 2, "spans": []}
        self.assertEqual(events.readable(json.dumps(event)), 'WARN late commit=1a2b why="a b" n=2')
        self.assertEqual(events.readable('{"level": "INFO", "message": "up"}'), "up")

    def test_other_lines_stay_as_they_are(self) -> None:
        for text in ("thread 'main' panicked", "[1, 2]", '{"errorType": "x"}'):
            self.assertEqual(events.readable(text), text)


class Reports(unittest.TestCase):
    def test_headline_names_only_what_there_is(self) -> None:
        lists = {"changed": [1, 2], "removed": [], "quarantined": [3]}
        full = {"outcome": "published", "commit_hash": "1a2b3c4d5e6f", **lists}
        self.assertEqual(
            report.headline(full, 811.7), "published 2 changed, 1 quarantined (commit 1a2b3c4) in 812 ms"
        )
        self.assertEqual(report.headline({"outcome": "unchanged"}, 9), "unchanged in 9 ms")

    def test_details_of_a_whole_registry_are_cut(self) -> None:
        lines = report.details({"changed": [f"go {n}" for n in range(20)], "removed": [{"stack": "php"}]})
        self.assertEqual(lines[0], "changed go 0")
        self.assertEqual(lines[-2:], ["changed 12 more", "removed php"])

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


class Snapshots(Folder):
    def setUp(self) -> None:
        super().setUp()
        self.write("stacks/go/stack.yaml", "name: go")
        self.write(".git/index", "")
        self.watcher = snapshot.Watcher(self.folder)

    def test_nothing_is_nothing(self) -> None:
        self.assertEqual(self.watcher.poll(0), [])
        self.assertEqual(self.watcher.poll(10), [])

    def test_a_change_is_told_once_and_only_when_it_is_quiet(self) -> None:
        self.write("stacks/go/stack.yaml", "name: golang")
        self.assertEqual(self.watcher.poll(0), [])
        self.write("extraDevfileEntries.yaml", "")
        self.assertEqual(self.watcher.poll(0.31), [], "it changed again, so it is not quiet yet")
        self.assertEqual(self.watcher.poll(0.62), ["extraDevfileEntries.yaml", "stacks/go/stack.yaml"])
        self.assertEqual(self.watcher.poll(5), [])

    def test_removal_counts(self) -> None:
        (self.folder / "stacks/go/stack.yaml").unlink()
        self.watcher.poll(0)
        self.assertEqual(self.watcher.poll(1), ["stacks/go/stack.yaml"])

    def test_of_git_only_commits_count(self) -> None:
        self.write(".git/index", "changed by git status")
        self.watcher.poll(0)
        self.assertEqual(self.watcher.poll(1), [])
        self.write(".git/logs/HEAD", "a commit")
        self.watcher.poll(2)
        self.assertEqual(snapshot.describe(self.watcher.poll(3)), "the Git commit")

    def test_a_vanished_folder_is_empty(self) -> None:
        self.assertEqual(snapshot.look(self.folder / "gone"), {})

    def test_description_is_short(self) -> None:
        self.assertEqual(snapshot.describe(["a", "b", "c", "d", "e"]), "a, b, c and 2 more")


class Tails(Folder):
    def test_only_whole_lines_and_each_once(self) -> None:
        tail = Tail(self.folder / "log")
        self.assertEqual(tail.lines(), [], "a log that is not there yet is empty")
        self.write("log", "one\ntw")
        self.assertEqual(tail.lines(), ["one"])
        with open(self.folder / "log", "a") as log:
            log.write("o\n")
        self.assertEqual(tail.lines(), ["two"])
        self.write("log", "new\n")
        self.assertEqual(tail.lines(), ["new"])


class Signatures(unittest.TestCase):
    def test_is_what_other_clients_make(self) -> None:
        # Expected value: the signature by botocore of the same request.
        headers = s3.sign(
            "HEAD",
            "127.0.0.1:9000",
            "/bucket",
            access_key="AKIDEXAMPLE",
            secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            region="us-east-1",
            now=datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.timezone.utc),
        )
        signature = headers["authorization"].rpartition("Signature=")[2]
        self.assertEqual(signature, "46abc5fb919aa2fe4f861d0d5936d40bb7165a69114b4b3ff151d849c55a0007")


class Ports(Folder):
    def test_they_are_distinct(self) -> None:
        self.assertEqual(len(set(free_ports(20))), 20)

    def test_kept_ports_are_used_again_unless_they_make_no_sense(self) -> None:
        kept = self.folder / "ports.json"
        for text, expected in (("[1, 2", []), ('["a"]', []), ("[1]", []), ("{}", [])):
            kept.write_text(text)
            self.assertEqual(servers._kept_ports(kept, 2), expected)
        ports = free_ports(2)
        kept.write_text(json.dumps(ports))
        self.assertEqual(servers._kept_ports(kept, 2), ports)


class Disk(Folder):
    def test_one_that_is_nearly_full_is_told_of_before_anything_starts(self) -> None:
        full = unittest.mock.Mock(total=250_000_000_000, free=4_000_000_000)
        with unittest.mock.patch.object(shutil, "disk_usage", return_value=full):
            with self.assertRaisesRegex(Failure, r"nearly full: 4\.0 GB are free, .* below 2% of its 250 GB"):
                servers.start_s3(unittest.mock.Mock(), self.folder, self.folder / "s3", self.folder / "log", "b", "key", "secret")


class Settings(Folder):
    def setUp(self) -> None:
        super().setUp()
        before = dict(os.environ)
        self.addCleanup(lambda: (os.environ.clear(), os.environ.update(before)))

    def test_ports_that_are_none(self) -> None:
        for text in ("", "x", "0", "65535", "-1", "9000.5", "٣"):
            os.environ["DEV_PORT"] = text
            with self.assertRaises(Failure, msg=text):
                dev._port()

    def test_a_source_is_a_registry_repository(self) -> None:
        for source in (self.folder, self.folder / "gone"):
            os.environ["DEV_SOURCE"] = str(source)
            with self.assertRaises(Failure):
                dev._source(self.folder)
        self.write("stacks/go/stack.yaml", "")
        os.environ["DEV_SOURCE"] = str(self.folder)
        self.assertEqual(dev._source(self.folder), self.folder.resolve())

    def test_secrets_are_private(self) -> None:
        dev._write_private(self.folder / "secret", "x")
        self.assertEqual((self.folder / "secret").stat().st_mode & 0o777, 0o600)

    def test_functions_do_not_see_foreign_aws_settings_and_use_no_proxy(self) -> None:
        os.environ.update(AWS_PROFILE="work", NO_PROXY="example.org")
        environment = dev._environment({"AWS_REGION": "us-east-1"})
        self.assertNotIn("AWS_PROFILE", environment)
        self.assertEqual(environment["NO_PROXY"], "example.org,127.0.0.1,localhost")


class Suite(Folder):
    """`scripts/test`, with a supervisor that starts nothing."""

    def run_with(self, statuses: dict[str, int], arguments: Sequence[str] = ()) -> tuple[Optional[tuple[str, int]], list[str]]:
        started: list[str] = []

        class Recorder:
            def spawn(self, name: str, command: Sequence[object], log: Path, **_options: object) -> object:
                started.append(f"spawn {name}")
                log.write_text("said by the checks\n")
                return SimpleNamespace(alive=False, process=SimpleNamespace(returncode=statuses.get(name, 0)))

            def run(self, _name: str, command: Sequence[object], **_options: object) -> int:
                started.append(" ".join(map(str, command)))
                return statuses.get(started[-1], 0)

            def wait(self, condition: Callable[[], bool]) -> None:
                assert condition()

        with contextlib.redirect_stdout(io.StringIO()), unittest.mock.patch.object(suite.shutil, "which", return_value="/x"):
            failed = suite._run(self.folder, self.folder, Recorder(), list(arguments))  # type: ignore[arg-type]
        return failed, started

    def test_checks_run_beside_the_build_and_end_before_the_tests(self) -> None:
        failed, started = self.run_with({"checks": 3})
        self.assertEqual(failed, ("the checks", 3))
        builds = ["cargo build --workspace", "cargo nextest run --workspace --no-run"]
        self.assertEqual(started, ["spawn checks", *builds])

    def test_failed_build_is_named_before_the_checks_have_ended(self) -> None:
        failed, started = self.run_with({"cargo build --workspace": 101, "checks": 3})
        self.assertEqual((failed, len(started)), (("cargo build --workspace", 101), 2))

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
    """`scripts/soak` and `scripts/bench`, without running anything."""

    def test_programs_under_test_are_built_and_found(self) -> None:
        functions, tool = programs.FUNCTIONS, programs.TOOL
        for program, arguments, release in (
            (soak, ["--dev", "--seconds", "30"], None),
            (soak, ["--seconds", "30"], [functions]),
            (soak, ["--store", "--seconds", "30"], [tool]),
            (bench, ["--dev"], None),
            (bench, ["--quick", "index", "large"], [functions]),
            (bench, ["index", "tool"], [functions, tool]),
            (bench, ["--markdown", "table.md"], [functions, tool]),
        ):
            name = program.__name__.rpartition(".")[2]
            own = ["cargo", "build", "--workspace", "--bin", name]
            expected = [["cargo", "build", "--workspace"]] if release is None else [*release, own]
            self.assertEqual(program.builds(arguments), expected)
            with unittest.mock.patch.dict(os.environ, CARGO_TARGET_DIR="/built"):
                command = program.command(Path("/nowhere"), arguments)
            others = [argument for argument in arguments if argument != "--dev"]
            folder = "debug" if release is None else "release"
            self.assertEqual(command, [f"/built/debug/{name}", "--programs", f"/built/{folder}", *others])

    def test_servers_are_started_unless_a_directory_is_the_store(self) -> None:
        self.assertEqual(soak.SOAK.tools(["--store"]), [])
        for wanted in (soak.SOAK.tools([]), bench.BENCH.tools(["index"])):
            self.assertLessEqual({"weed", "docker-registry"}, set(wanted))


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
