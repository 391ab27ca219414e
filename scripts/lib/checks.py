"""Checks of what is not code: the deployment's template, the Kubernetes manifests, the licences of dependencies.

None of them needs more network than the package registries.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Optional

from . import tools
from .console import step
from .processes import Supervisor

_TOOLS = ["sam", "cfn-lint", "kubernetes-validate", "cargo-deny", "moto_server"]

KUBERNETES_VERSION = "1.31"
"""The oldest version of Kubernetes that the manifests are for."""


def run(root: Path, supervisor: Supervisor) -> Optional[tuple[str, int]]:
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
            if status := supervisor.run(command[0].name, command, cwd=root, env=environment):
                return command[0].name, status
    return None


def environment(root: Path) -> dict[str, str]:
    """What the scripts' own tests need to read YAML: the libraries of `sam`."""
    binaries = tools.ensure(root / ".tools", _TOOLS)
    return {**os.environ, "PYTHONPATH": str(tools.libraries(binaries.parent, "sam"))}
