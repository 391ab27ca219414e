"""Tests of `scripts/deploy` as far as it needs no account, and of what is deployed elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import unittest
from pathlib import Path

from samcli.yamlhelper import yaml_parse

from . import deploy
from .console import Failure

ROOT = Path(__file__).resolve().parent.parent.parent
PARAMETERS = yaml_parse((ROOT / "template.yaml").read_text())["Parameters"]


class Parameters(unittest.TestCase):
    def test_good_ones_are_taken_as_they_are(self) -> None:
        given = ["RegistryRepoUrl=https://github.com/acme/registry", "RegistryName=Acme's = own", "RateLimit=0"]
        self.assertEqual(deploy.check_parameters(PARAMETERS, given)["RegistryName"], "Acme's = own")

    def test_each_mistake_is_named(self) -> None:
        cases = {
            "RegistryRepoUrl": "is not PARAMETER=VALUE",
            "RegistryRepoURL=x": "did you mean RegistryRepoUrl?",
            "Colour=red": "there is no parameter Colour",
            "OciRegistry=https://ghcr.io/acme": "without https://",
            "Architecture=mips": "must be one of arm64, x86_64",
            "EdgeSeconds=0": "must be a number from 1 to 60",
            "EdgeSeconds=five": "must be a number from 1 to 60",
            "LogRetentionDays=2": "must be one of",
            "GitHubTokenSecretArn=ghp_secret": "must be the ARN of a Secrets Manager secret",
            "CertificateArn=arn:aws:acm:eu-west-1:123456789012:certificate/0a": "in us-east-1",
            "DomainName=Registry.example.org": "small letters",
        }
        for argument, reason in cases.items():
            with self.assertRaises(Failure) as raised:
                deploy.check_parameters(PARAMETERS, [argument])
            self.assertIn(reason, str(raised.exception))
        with self.assertRaises(Failure) as raised:
            deploy.check_parameters(PARAMETERS, list(cases))
        for reason in cases.values():
            self.assertIn(reason, str(raised.exception))

    def test_a_value_that_is_refused_is_not_shown(self) -> None:
        with self.assertRaises(Failure) as raised:
            deploy.check_parameters(PARAMETERS, ["OciPasswordSecretArn=hunter2"])
        self.assertNotIn("hunter2", str(raised.exception))

    def test_each_deployment_reads_the_secrets_again_and_keeps_the_architecture(self) -> None:
        plan = deploy._plan("registry", "eu-west-1", {}, PARAMETERS, {"Architecture": "x86_64"})
        self.assertEqual(plan.architecture, "x86_64")
        self.assertRegex(plan.parameters["SecretsRevision"], PARAMETERS["SecretsRevision"]["AllowedPattern"])


class Command(unittest.TestCase):
    def run_it(self, *arguments: str) -> subprocess.CompletedProcess:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with tempfile.TemporaryDirectory() as home:
            # No credentials from this machine, neither its files nor its metadata service.
            environment = {**clean, "HOME": home, "AWS_EC2_METADATA_DISABLED": "true", "SAM_CLI_TELEMETRY": "0"}
            command = [ROOT / "scripts/deploy", *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    def test_without_credentials_there_is_one_sentence(self) -> None:
        result = self.run_it("RegistryRepoUrl=https://github.com/acme/registry", "OciRegistry=ghcr.io/acme")
        self.assertEqual((result.returncode, result.stderr.count("\n")), (1, 1), result.stderr)
        self.assertIn("there are no AWS credentials", result.stderr)

    def test_a_dry_run_needs_none_and_says_what_would_be_done(self) -> None:
        result = self.run_it("--dry-run", "RegistryRepoUrl=https://github.com/acme/registry", "OciRegistry=ghcr.io/acme")
        self.assertEqual(result.returncode, 0, result.stderr)
        for words in ("sam build", "sam deploy", "--stack-name devfile-registry", '{"action": "reconcile"}'):
            self.assertIn(words, result.stdout)

    def test_what_the_first_deployment_needs_is_named(self) -> None:
        result = self.run_it("--dry-run")
        self.assertEqual(result.returncode, 1)
        self.assertIn("RegistryRepoUrl=... and OciRegistry=...", result.stderr)


class Pages(unittest.TestCase):
    def test_links_between_pages_lead_somewhere(self) -> None:
        pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
        for page in pages:
            for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
                path, _, anchor = target.partition("#")
                if "://" in target or target.startswith("mailto:"):
                    continue
                file = (page.parent / path).resolve() if path else page
                self.assertTrue(file.exists(), f"{page.name}: {target}")
                if anchor:
                    self.assertIn(anchor, _anchors(file), f"{page.name}: {target}")

    def test_tests_that_pages_name_are_there(self) -> None:
        rust = "\n".join(path.read_text() for part in ("functions", "shared", "tests") for path in ROOT.glob(f"{part}/**/*.rs"))
        python = "\n".join(path.read_text() for path in ROOT.glob("scripts/lib/test_*.py"))
        named = re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){2,})`", (ROOT / "SECURITY.md").read_text())
        self.assertGreater(len(named), 10)
        for name in set(named):
            there = re.search(rf"(fn|def) {name}\(", rust + python)
            self.assertTrue(there, f"SECURITY.md names {name}, and there is no such test")


def _anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of headings."""
    headings = re.findall(r"(?m)^#+ (.+)$", page.read_text())
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
