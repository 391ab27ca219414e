"""Checks beside the workspace: the deployment's template, the Kubernetes manifests, the licences of dependencies, and
the tests of the scripts and of the GitHub Action.

None of them needs more network than the package registries.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Optional

from . import processes, tools
from .console import step

_TOOLS = ["sam", "cfn-lint", "kubernetes-validate", "cargo-deny", "maturin", "moto_server", "act"]

KUBERNETES_VERSION = "1.31"
"""The oldest version of Kubernetes that the manifests are for."""


def run(root: Path) -> Optional[tuple[str, int]]:
    """Runs all checks and gives the first that failed with its status."""
    binaries = tools.ensure(root / ".tools", _TOOLS)
    manifests = sorted((root / "deploy").glob("kubernetes*/*.yaml"))
    with tempfile.TemporaryDirectory(prefix="devfile-registry-sam-") as home:
        # A region, although nothing is asked of it, and no reports to the tool's makers.
        environment = {
            **os.environ,
            "AWS_DEFAULT_REGION": "us-east-1",
            "SAM_CLI_TELEMETRY": "0",
            "__SAM_CLI_APP_DIR": home,
        }
        for command in (
            ["cfn-lint", "template.yaml"],
            ["sam", "validate", "--lint", "--template", "template.yaml"],
            ["kubernetes-validate", "--strict", "--kubernetes-version", KUBERNETES_VERSION, *manifests],
            # Advisories need a database from the network; the workflow on GitHub looks at them.
            ["cargo-deny", "--locked", "check", "bans", "licenses", "sources"],
        ):
            step("check", " ".join(str(part) for part in command[:3]))
            command = [binaries / command[0], *command[1:]]
            if status := processes.run(command, cwd=root, env=environment):
                return command[0].name, status
    for folder, top in (("scripts/lib", "scripts"), ("action", ".")):
        unittest = [sys.executable, "-B", "-m", "unittest", "discover", "-s", folder, "-t", top]
        step("test", folder)
        if status := processes.run(unittest, cwd=root, env=_environment(root)):
            return f"the tests of {folder}", status
    return None


def _environment(root: Path) -> dict[str, str]:
    """For the tests: the libraries of `sam`, which read YAML, the folder of the tools, and UTF-8 for files in any locale."""
    binaries = tools.ensure(root / ".tools", _TOOLS)
    libraries = tools.libraries(binaries.parent, "sam")
    return {**os.environ, "PYTHONPATH": str(libraries), "PYTHONUTF8": "1", "TEST_TOOLS": str(binaries)}
