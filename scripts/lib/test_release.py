"""Tests of `scripts/release`, but for the builds, and of the template that the console takes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import types
import unittest
import unittest.mock
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from . import create_stack, release, tool_package, tools
from .console import Failure
from .packages import SUMS, Packages
from .test_deploy import QuietHandler, made_up_release
from .test_template import PARAMETERS, ROOT

URL = "https://github.com/acme/devfile-registry/releases/download/v0.1.0"
NAMES = [name for one in release.STEPS.values() for name in one.files]


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [ROOT / "scripts/release", folder, *arguments]
    return subprocess.run(command, env={**os.environ, "CARGO": "none"}, capture_output=True, text=True, timeout=120)


class Release(unittest.TestCase):
    folder: Path

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        made_up_release(cls.folder)
        for step in ("bills", *tool_package.PLATFORMS):
            for name in release.STEPS[step].files:
                (cls.folder / name).write_text("{}")
        cls.made = make(cls.folder, "--only", "templates", "--only", "sums", "--url", URL)
        cls.template = json.loads((cls.folder / release.CREATE_STACK).read_text())

    def test_steps_that_need_no_build_run_by_themselves_and_list_what_is_there(self) -> None:
        self.assertEqual(self.made.returncode, 0, self.made.stderr)
        self.assertNotIn("missing", self.made.stdout)
        for name in NAMES:
            self.assertIn(name, self.made.stdout)

    def test_list_has_every_file_of_a_release_and_builds_nothing(self) -> None:
        listed = make(Path("nowhere"), "--list")
        self.assertEqual((listed.returncode, listed.stdout.count("\n")), (0, len(NAMES)))
        self.assertEqual(listed.stdout.count("missing"), len(NAMES))
        for name in ("serve-arm64.zip", "refresh-x86_64.zip", "serve-arm64.cdx.json", "create-stack.json", "SHA256SUMS"):
            self.assertIn(name, listed.stdout)

    def test_sums_are_of_every_other_file_and_deploy_takes_them(self) -> None:
        listed = dict(reversed(line.split("  ")) for line in (self.folder / SUMS).read_text().splitlines())
        self.assertEqual(set(listed), set(NAMES) - {SUMS})
        with tempfile.TemporaryDirectory() as scratch:
            for name in listed:
                Packages(str(self.folder), Path(scratch)).take(name)

    def test_files_that_another_system_makes_count_once_they_are_there(self) -> None:
        made_by_others = [name for one in release.STEPS.values() if not one.runs_here for name in one.files]
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            for name in set(NAMES) - {SUMS, *made_by_others[:2]}:
                (folder / name).write_text("{}")
            made = make(folder, "--only", "sums")
            self.assertEqual(made.returncode, 0, made.stderr)
            listed = {line.split("  ")[1] for line in (folder / SUMS).read_text().splitlines()}
            self.assertEqual(listed, {path.name for path in folder.iterdir()} - {SUMS})

    def test_step_of_another_system_is_refused_by_name(self) -> None:
        other = release.Step({}, print, "another")
        with unittest.mock.patch.dict(release.STEPS, {"other": other}), tempfile.TemporaryDirectory() as folder:
            with self.assertRaisesRegex(Failure, "cannot run the step other on"):
                release.main(ROOT, [folder, "--only", "other"])

    def test_step_that_lacks_the_files_of_an_earlier_one_names_them(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            result = make(Path(folder), "--only", "sums")
        self.assertEqual(result.returncode, 1)
        self.assertIn("an earlier step makes it", result.stderr)

    def test_console_asks_for_the_repository_alone(self) -> None:
        parameters = self.template["Parameters"]
        self.assertEqual([name for name, one in parameters.items() if "Default" not in one], ["RegistryRepoUrl"])
        self.assertEqual(parameters["PackagesUrl"]["Default"], URL)
        self.assertEqual(set(parameters), {*PARAMETERS, "PackagesUrl"})
        self.assertNotIn("Transform", self.template, "the console would ask for one capability more")

    def test_console_template_is_what_the_schemas_of_its_types_take(self) -> None:
        command = [ROOT / ".tools/bin/cfn-lint", "--regions", "us-east-1", "--ignore-checks", "W", "--", self.folder / "create-stack.json"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_functions_are_created_from_the_packages_that_were_fetched(self) -> None:
        resources = self.template["Resources"]
        packages = resources["Packages"]["Properties"]
        digests = [one["Sha256"]["Fn::If"] for one in packages["Packages"]]
        for function, (_, arm, intel) in zip(("serve", "refresh"), digests):
            for architecture, digest in (("arm64", arm), ("x86_64", intel)):
                content = (self.folder / f"{function}-{architecture}.zip").read_bytes()
                self.assertEqual(digest, hashlib.sha256(content).hexdigest())
            for name in {"serve": ["Serve"], "refresh": ["Refresh", "Webhooks"]}[function]:
                code = resources[name]["Properties"]["Code"]
                self.assertEqual(code["S3Key"]["Fn::Sub"], f"{packages['Folder']}/{function}-${{Architecture}}.zip")
                self.assertEqual(resources[name]["DependsOn"], ["Packages"])

    def test_fetching_function_fits_into_a_template(self) -> None:
        code = self.template["Resources"]["FetchPackages"]["Properties"]["Code"]["ZipFile"]
        self.assertLessEqual(len(code), create_stack.INLINE_CHARACTERS)

    def test_workflow_makes_the_release_by_the_script(self) -> None:
        workflow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
        runs = "\n".join(one.get("run", "") for one in workflow["jobs"]["build"]["steps"])
        self.assertIn("scripts/release dist --url", runs)
        for target in release.TARGETS:
            self.assertIn(target, runs)
        signed = json.dumps(workflow["jobs"]["publish"])
        for name in release.STEPS["bills"].files:
            self.assertIn(name, signed, "an attestation for each package")

    def test_workflow_makes_the_files_of_every_system_before_their_sums(self) -> None:
        jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
        self.assertEqual(jobs["build"]["needs"], "macos")
        self.assertTrue(jobs["macos"]["runs-on"].startswith("macos-"))
        [run] = [one["run"] for one in jobs["macos"]["steps"] if "scripts/release" in one.get("run", "")]
        for name, one in release.STEPS.items():
            self.assertEqual(f"--only {name}" in run, one.system == "darwin")
        kept = [one["with"]["name"] for one in jobs["macos"]["steps"] if "upload-artifact" in one.get("uses", "")]
        taken = [one["with"] for one in jobs["build"]["steps"] if "download-artifact" in one.get("uses", "")]
        self.assertEqual([(one["name"], one["path"]) for one in taken], [(kept[0], "dist")])


class Cargo:
    """In place of programs: cargo's programs, which write the requested files."""

    def __init__(self, root: Path, size: int):
        self.root, self.size, self.commands = root, size, []

    def run(self, command: list[Any], **_options: Any) -> int:
        name = Path(command[0]).name
        self.commands.append([str(part) for part in command][1:])
        for function in ("serve", "refresh"):
            self.write(f"target/lambda/{function}/bootstrap.zip")
            self.write(f"functions/{function}/{function}.cdx.json")
        for other in ("shared/devfile-registry.cdx.json", "cli/cli.cdx.json"):
            self.write(other)
        for target in tool_package.PLATFORMS.values():
            self.write(f"target/{target.triple}/release/devfile-registry")
            if name == "maturin":
                self.write(f"dist/{tool_package.wheel_name(release.VERSION, target.tag)}")
        return 0

    def write(self, path: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(b"x" * self.size)


class Steps(unittest.TestCase):
    """The steps that build, with stand-ins for cargo's programs."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "dist").mkdir()
        (self.root / "LICENSE").write_text("Apache-2.0")
        for name in ("require_toolchain", "ensure"):
            patch = unittest.mock.patch.object(release.tools, name)
            patch.start()
            self.addCleanup(patch.stop)
        environment = unittest.mock.patch.dict(os.environ)
        environment.start()
        self.addCleanup(environment.stop)
        os.environ.pop("CARGO_TARGET_DIR", None)

    def run_step(self, name: str, size: int = 100) -> list[list[str]]:
        cargo = Cargo(self.root, size)
        release.STEPS[name].run(release.Release(self.root, self.root / "dist", None, cargo.run))
        return cargo.commands

    def test_packages_are_linked_for_the_c_library_of_lambda(self) -> None:
        for name, triple in (("arm64", "aarch64-unknown-linux-gnu"), ("x86_64", "x86_64-unknown-linux-gnu")):
            (command,) = self.run_step(name)
            self.assertEqual(command[-2:], ["--target", f"{triple}.2.34"])
            self.assertIn("--locked", command)
        made = {path.name for path in (self.root / "dist").iterdir()}
        self.assertEqual(made, {*release.STEPS["arm64"].files, *release.STEPS["x86_64"].files})

    def test_package_that_is_too_large_is_refused(self) -> None:
        with self.assertRaisesRegex(Failure, "cannot release serve for arm64: its package has 8000001 bytes, more than 8000000"):
            self.run_step("arm64", 8_000_001)

    def test_tool_is_built_for_each_platform_and_packed_without_times(self) -> None:
        with unittest.mock.patch.object(tool_package.Platform, "is_this_machine", False):
            for name, target in tool_package.PLATFORMS.items():
                (command,) = self.run_step(name)
                self.assertEqual(command[command.index("--target") + 1], target.triple)
                self.assertIn("--locked", command)
                self.assertEqual("--zig" in command, target.system == "linux", "macOS has the linker of its SDK")
                archive = self.root / "dist" / f"devfile-registry-{name}.tar.gz"
                first = archive.read_bytes()
                self.run_step(name)
                self.assertEqual(archive.read_bytes(), first)
                with tarfile.open(archive) as packed:
                    modes = {entry.name: entry.mode for entry in packed}
                self.assertEqual(modes, {"devfile-registry": 0o755, "LICENSE": 0o644})

    def test_tool_that_is_too_large_is_refused(self) -> None:
        with self.assertRaisesRegex(Failure, "devfile-registry: it has 30000001 bytes, more than 30000000"):
            self.run_step("macos-arm64", 30_000_001)

    def test_wheel_whose_program_is_of_another_version_is_refused(self) -> None:
        with (
            unittest.mock.patch.object(tool_package.Platform, "is_this_machine", True),
            unittest.mock.patch.object(tool_package, "installed_version", return_value="devfile-registry 0.0.1"),
            self.assertRaisesRegex(Failure, "its program answers `devfile-registry 0.0.1`, and the version is"),
        ):
            self.run_step("linux-x86_64")

    def test_bills_are_of_the_packages_alone_and_leave_no_file_behind(self) -> None:
        commands = self.run_step("bills")
        self.assertEqual(commands[0][:2], ["install", "--locked"])
        made = {path.name for path in (self.root / "dist").glob("*.cdx.json")}
        self.assertEqual(made, set(release.STEPS["bills"].files))
        left = [path for path in self.root.rglob("*.cdx.json") if path.parent.name != "dist"]
        self.assertEqual(left, [])


class Wheel(unittest.TestCase):
    """The wheel, made as scripts/release makes it, but for a small program in place of the tool: the release of that takes minutes."""

    MANIFEST = """
        [package]
        name = "cli"
        version = "1.2.3"
        edition = "2024"
        [[bin]]
        name = "devfile-registry"
        path = "main.rs"
        [workspace]
    """

    def test_wheel_installs_from_its_file_and_its_program_runs(self) -> None:
        # Below the checkout, whose toolchain counts there.
        (ROOT / "target").mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="wheel-", dir=ROOT / "target") as scratch:
            root = Path(scratch)
            (root / "cli").mkdir()
            (root / "cli/Cargo.toml").write_text(self.MANIFEST)
            (root / "cli/Cargo.lock").write_text('version = 4\n[[package]]\nname = "cli"\nversion = "1.2.3"\n')
            (root / "cli/main.rs").write_text('fn main() { println!("devfile-registry {}", env!("CARGO_PKG_VERSION")); }')
            (root / "cli/pyproject.toml").write_text((ROOT / "cli/pyproject.toml").read_text())
            maturin = tools.ensure(ROOT / ".tools", ["maturin"]) / "maturin"
            command = [maturin, *tool_package.build_command(root / "dist", [])[1:]]
            environment = {**os.environ, "CARGO_TARGET_DIR": str(root / "built")}
            built = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=300)
            self.assertEqual(built.returncode, 0, built.stderr)
            [wheel] = (root / "dist").iterdir()
            self.assertTrue(wheel.name.startswith(tool_package.wheel_name("1.2.3", "").removesuffix(".whl")), wheel.name)
            pip = tools.pip(ROOT / ".tools", root)
            self.assertEqual(tool_package.installed_version(wheel, root, pip), "devfile-registry 1.2.3")


class Fetching(unittest.TestCase):
    """The function in the console's template, run with a bucket in memory."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.release = Path(folder.name)
        made_up_release(self.release)
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder.name))
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.bucket: dict[str, bytes] = {}
        self.answers: list[tuple[str, str, str]] = []

    def invoke(self, kind: str, digest: str = "", identity: str = "") -> None:
        content = (self.release / "serve-arm64.zip").read_bytes()
        package = {"Name": "serve-arm64.zip", "Sha256": digest or hashlib.sha256(content).hexdigest()}
        wanted = {"Url": self.url, "Bucket": "bucket", "Folder": "packages/0a", "Packages": [package]}

        def send(_event: Any, _context: Any, status: str, _data: Any, physical: str, reason: str = "") -> None:
            self.answers.append((status, physical, reason))

        def versions(Bucket: str, Prefix: str) -> dict[str, Any]:
            return {"Versions": [{"Key": key, "VersionId": "1"} for key in self.bucket if key.startswith(Prefix)]}

        s3 = types.SimpleNamespace(
            put_object=lambda Bucket, Key, Body: self.bucket.__setitem__(Key, Body),
            list_object_versions=versions,
            delete_object=lambda Bucket, Key, VersionId: self.bucket.pop(Key),
        )
        fakes = {
            "boto3": types.SimpleNamespace(client=lambda _name: s3),
            "cfnresponse": types.SimpleNamespace(SUCCESS="SUCCESS", FAILED="FAILED", send=send),
        }
        with unittest.mock.patch.dict(sys.modules, fakes):
            scope: dict[str, Any] = {}
            exec((ROOT / "scripts/lib/fetch_packages.py").read_text(), scope)  # noqa: S102
            scope["handler"]({"RequestType": kind, "ResourceProperties": wanted, "PhysicalResourceId": identity}, None)

    def test_packages_are_put_into_the_bucket_and_removed_with_the_stack(self) -> None:
        self.invoke("Create")
        self.assertEqual(self.answers, [("SUCCESS", "packages/0a/serve-arm64.zip", "")])
        self.assertEqual(self.bucket, {"packages/0a/serve-arm64.zip": (self.release / "serve-arm64.zip").read_bytes()})
        self.bucket["blobs/sha256/0a"] = b"kept"
        self.invoke("Delete", identity="packages/0a/serve-arm64.zip")
        self.assertEqual((self.answers[-1][0], set(self.bucket)), ("SUCCESS", {"blobs/sha256/0a"}))

    def test_package_with_another_digest_is_not_taken(self) -> None:
        self.invoke("Create", digest="0" * 64)
        ((status, _, reason),) = self.answers
        self.assertEqual((status, self.bucket), ("FAILED", {}))
        self.assertIn("serve-arm64.zip is not the package of this release", reason)

    def test_package_that_is_not_there_is_named(self) -> None:
        self.url += "/nowhere"
        self.invoke("Create")
        self.assertEqual(self.answers[0][0], "FAILED")
        self.assertIn("404", self.answers[0][2])

    def test_nothing_else_of_the_bucket_is_removed(self) -> None:
        self.bucket["index.json"] = b"{}"
        self.invoke("Delete", identity="index.json")
        self.assertEqual((self.answers[0][0], set(self.bucket)), ("SUCCESS", {"index.json"}))
