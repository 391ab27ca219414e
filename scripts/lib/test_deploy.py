"""Tests of `scripts/deploy` as far as it needs no account, and of the files for other platforms."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import subprocess
import tempfile
import threading
import unittest
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Mapping

from . import parameters
from .console import Failure
from .packages import ARCHITECTURES, FUNCTIONS, SUMS, TEMPLATE, Packages
from .parameters import Deployment
from .test_template import PARAMETERS, ROOT
from .test_template import TEMPLATE as WHOLE

RULES = WHOLE["Rules"]


def refused(*arguments: str, stack: str = "devfile-registry", region: str = "us-east-1") -> list[str]:
    """The faults of the parameters of a first deployment."""
    given, problems = parameters.check(PARAMETERS, ["RegistryRepoUrl=https://github.com/acme/registry", *arguments])
    return problems or parameters.refusals(Deployment.of(stack, region, PARAMETERS, {}, given))


SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:one-AbCdEf"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/0a"


class Parameters(unittest.TestCase):
    def test_good_ones_are_taken_as_they_are(self) -> None:
        given = ["RegistryRepoUrl=https://github.com/acme/registry", "RegistryName=Acme's = own", "RateLimit=0"]
        self.assertEqual(parameters.check(PARAMETERS, given)[0]["RegistryName"], "Acme's = own")

    def test_only_the_repository_is_required(self) -> None:
        self.assertEqual([name for name, one in PARAMETERS.items() if "Default" not in one], ["RegistryRepoUrl"])
        self.assertEqual(refused(), [])

    def test_key_and_tags_are_for_ecr_and_the_key_is_in_its_region(self) -> None:
        key = "EcrKmsKeyArn=arn:aws:kms:eu-west-1:123456789012:key/1a"
        registry = "OciRegistry=123456789012.dkr.ecr.eu-west-1.amazonaws.com/acme"
        self.assertEqual(refused(key, "EcrTags=team=stacks,cost-centre=12", registry), [])
        self.assertEqual(refused(key, region="eu-west-1"), [])
        self.assertIn("which is us-east-1", refused(key)[0])
        found = refused(key, "EcrTags=team=stacks", "OciRegistry=ghcr.io/acme", region="eu-west-1")
        self.assertEqual(found, ["EcrKmsKeyArn needs an OciRegistry in ECR", "EcrTags needs an OciRegistry in ECR"])

    def test_tags_that_refresh_refuses_are_refused(self) -> None:
        tags = ",".join(f"k{number}=v" for number in range(50))
        for good in (tags, "", "awsome=1,my-aws:x=2", "team=a,Team=b"):
            self.assertEqual(refused(f"EcrTags={good}"), [], good)
        for wrong, reason in (
            (f"{tags},k50=v", "EcrTags has 51 tags; ECR takes 50 at most"),
            ("aws:team=a", "EcrTags has the key aws:team; AWS keeps keys with aws: at their beginning for itself"),
            ("x=1,AWS:team=a", "EcrTags has the key AWS:team; AWS keeps keys with aws: at their beginning for itself"),
            ("team=a,x=1,team=b", "EcrTags has the key team twice"),
        ):
            self.assertEqual(refused(f"EcrTags={wrong}"), [reason], wrong)

    def test_each_mistake_is_named(self) -> None:
        cases = {
            "RegistryRepoUrl": "RegistryRepoUrl is not PARAMETER=VALUE",
            "RegistryRepoURL=x": "did you mean RegistryRepoUrl?",
            "Colour=red": "there is no parameter Colour",
            "EcrTags=team": "must be KEY=VALUE",
            "EcrKmsKeyArn=alias/registry": "must be the ARN of a key",
            "OciRegistry=https://ghcr.io/acme": "without https://",
            "Architecture=mips": "must be one of arm64, x86_64",
            "EdgeSeconds=0": "must be a number from 1 to 60",
            "LogRetentionDays=2": "must be one of",
            "GitHubTokenSecretArn=ghp_secret": "must be the ARN of a secret",
            "CertificateArn=arn:aws:acm:eu-west-1:123456789012:certificate/0a": "in us-east-1",
            "DomainName=Registry.example.org": "small letters",
        }
        for argument, reason in cases.items():
            self.assertIn(reason, "; ".join(parameters.check(PARAMETERS, [argument])[1]))
        every = parameters.check(PARAMETERS, [*cases, "EdgeSeconds=five"])[1]
        self.assertIn("EdgeSeconds is given twice", every)
        for reason in cases.values():
            self.assertIn(reason, "; ".join(every))

    def test_a_value_that_is_refused_is_not_shown(self) -> None:
        problems = parameters.check(PARAMETERS, ["OciPasswordSecretArn=hunter2", "hunter3"])[1]
        self.assertEqual(len(problems), 2)
        self.assertNotIn("hunter", "; ".join(problems))

    def test_secrets_may_be_parameters_of_ssm(self) -> None:
        parameter = "arn:aws:ssm:us-east-1:123456789012:parameter/registry/token"
        self.assertEqual(refused(f"GitHubTokenSecretArn={parameter}"), [])

    def test_combinations_that_cloudformation_refuses_or_ignores_are_refused(self) -> None:
        ecr = "123456789012.dkr.ecr.us-east-1.amazonaws.com"
        cases = [
            (["DomainName=registry.example.org"], "DomainName needs CertificateArn"),
            ([f"CertificateArn={CERTIFICATE}"], "CertificateArn needs DomainName"),
            (["HostedZoneId=Z1"], "HostedZoneId needs DomainName"),
            (["OciRegistry=ghcr.io/acme", "OciUsername=acme"], "OciUsername needs OciPasswordSecretArn"),
            (["OciUsername=acme", f"OciPasswordSecretArn={SECRET}"], "OciUsername needs OciRegistry"),
            (["OciRegistry=ghcr.io/acme", f"OciPasswordSecretArn={SECRET}"], "OciPasswordSecretArn needs OciUsername"),
            (["GitHubAppId=12"], "GitHubAppId needs GitHubAppKeySecretArn"),
            ([f"GitHubAppKeySecretArn={SECRET}"], "GitHubAppKeySecretArn needs GitHubAppId"),
            (
                ["GitHubAppId=12", f"GitHubAppKeySecretArn={SECRET}", f"GitHubTokenSecretArn={SECRET}"],
                "GitHubAppId and GitHubTokenSecretArn exclude each other",
            ),
            (["OidcAudience=registry"], "OidcAudience needs OidcRepositoryId"),
            (["OidcRepositoryId=12"], "OidcRepositoryId needs OidcAudience"),
            (["OidcJobWorkflowRef=a/b/.github/workflows/c.yaml@refs/heads/main"], "OidcJobWorkflowRef needs OidcAudience"),
            (["OidcIssuer=https://github.example.org/_services/token"], "OidcIssuer needs OidcAudience"),
            ([f"OciRegistry={ecr}"], "needs a prefix"),
            (
                [f"OciRegistry={ecr}/acme", "OciUsername=AWS", f"OciPasswordSecretArn={SECRET}"],
                "the function's role opens ECR",
            ),
        ]
        for arguments, reason in cases:
            found = refused(*arguments)
            self.assertEqual(len(found), 1, found)
            self.assertIn(reason, found[0])
        self.assertIn("CloudFront's firewall", refused("RateLimit=100", region="eu-west-1")[0])
        self.assertEqual(refused("RateLimit=100"), [])
        self.assertIn("is a secret in us-east-1", refused(f"GitHubTokenSecretArn={SECRET}", region="eu-west-1")[0])
        self.assertIn("capital letters", refused(stack="Registry")[0])
        self.assertEqual(refused("OciRegistry=ghcr.io/acme", stack="Registry"), [])
        whole = refused(*(one for arguments, _ in cases[:3] for one in arguments))
        self.assertEqual(whole, [], "the three of a domain belong together")

    def test_what_the_rules_of_the_template_refuse_is_refused_before_the_build(self) -> None:
        values = {"RateLimit": "100", "DomainName": "registry.example.org", "CertificateArn": CERTIFICATE, "HostedZoneId": "Z1"}
        values |= {"OciRegistry": "ghcr.io/acme", "OciUsername": "acme", "GitHubAppId": "12", "OidcAudience": "registry"}
        values |= {"OidcRepositoryId": "12", "OidcIssuer": "https://github.example.org"}
        values |= {"OidcJobWorkflowRef": "a/b/.github/workflows/c.yaml@refs/heads/main"}
        values |= {name: SECRET for name in PARAMETERS if name.endswith("SecretArn")}
        names = [name for name in values if name != "GitCredentialsSecretArn"]
        broken = set()
        for some in [c for n in (1, 2, 3) for c in itertools.combinations(names, n)]:
            for region in ("us-east-1", "eu-west-1"):
                given = {name: values[name] for name in some}
                deployment = Deployment.of("registry", region, PARAMETERS, {"RegistryRepoUrl": "https://a.example/b"}, given)
                rules = [name for name, rule in RULES.items() if violates(rule, {**deployment.values, "AWS::Region": region})]
                broken.update(rules)
                self.assertTrue(not rules or parameters.refusals(deployment), f"{rules} refuse {some}")
        self.assertEqual(broken, set(RULES), "each rule refuses something")

    def test_later_deployments_keep_what_is_not_given(self) -> None:
        before = {"Architecture": "x86_64", "RegistryName": "Ours", "SecretsRevision": "of an earlier template"}
        deployment = Deployment.of("registry", "eu-west-1", PARAMETERS, before, {"RegistryName": "Yours"})
        self.assertEqual((deployment.values["Architecture"], deployment.values["RegistryName"]), ("x86_64", "Yours"))
        self.assertNotIn("SecretsRevision", deployment.values)


def violates(rule: Mapping[str, Any], values: Mapping[str, str]) -> bool:
    """Whether CloudFormation would refuse values by a rule."""
    holds = lambda one: evaluated(one, values)  # noqa: E731
    return holds(rule["RuleCondition"]) and not all(holds(one["Assert"]) for one in rule["Assertions"])


def evaluated(node: Any, values: Mapping[str, str]) -> Any:
    if not isinstance(node, dict):
        return node
    ((function, argument),) = node.items()
    if function == "Ref":
        return values[argument]
    arguments = [evaluated(one, values) for one in argument]
    if function == "Fn::Equals":
        return arguments[0] == arguments[1]
    return {"Fn::Not": lambda: not arguments[0], "Fn::Or": lambda: any(arguments), "Fn::And": lambda: all(arguments)}[function]()


class Command(unittest.TestCase):
    def run_it(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        with tempfile.TemporaryDirectory() as home:
            # No credentials from this machine, neither its files nor its metadata service.
            environment = {**clean, "HOME": home, "AWS_EC2_METADATA_DISABLED": "true", "SAM_CLI_TELEMETRY": "0", **variables}
            command = [ROOT / "scripts/deploy", *arguments]
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)

    def test_without_credentials_there_is_one_sentence(self) -> None:
        result = self.run_it("RegistryRepoUrl=https://github.com/acme/registry")
        self.assertEqual((result.returncode, result.stderr.count("\n")), (1, 1), result.stderr)
        self.assertIn("there are no AWS credentials", result.stderr)

    def test_a_dry_run_with_the_repository_alone_is_complete_and_names_ecr(self) -> None:
        result = self.run_it("--dry-run", "RegistryRepoUrl=https://github.com/acme/registry", AWS_REGION="eu-west-1")
        self.assertEqual(result.returncode, 0, result.stderr)
        for words in (
            *("sam build", "sam deploy", "--stack-name devfile-registry", '{"action": "reconcile"}', "to eu-west-1"),
            *("ACCOUNT.dkr.ecr.eu-west-1.amazonaws.com/devfile-registry", "RefreshConcurrency=2, or none"),
        ):
            self.assertIn(words, result.stdout)

    def test_everything_that_is_wrong_is_in_one_sentence_before_anything_is_built(self) -> None:
        result = self.run_it("--dry-run", "DomainName=registry.example.org", "OciUsername=acme")
        self.assertEqual((result.returncode, result.stderr.count("\n"), result.stdout), (1, 1, ""))
        for reason in ("needs RegistryRepoUrl=...", "DomainName needs CertificateArn", "OciUsername needs OciRegistry"):
            self.assertIn(reason, result.stderr)


class Release(unittest.TestCase):
    """Packages that `--packages` takes, or refuses."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.release, self.scratch = Path(folder.name) / "release", Path(folder.name) / "scratch"
        self.release.mkdir()
        self.scratch.mkdir()
        made_up_release(self.release)

    def test_packages_become_the_code_of_the_functions(self) -> None:
        template = Packages(str(self.release), self.scratch).template("x86_64").read_text()
        for program, functions in (("serve", 1), ("refresh", 2)):
            self.assertEqual(template.count(f'CodeUri: "{self.scratch / program}-x86_64.zip"'), functions)
        self.assertNotIn("CodeUri: functions/", template)

    def test_file_with_another_digest_is_refused(self) -> None:
        (self.release / "serve-arm64.zip").write_bytes(b"another")
        with self.assertRaisesRegex(Failure, "serve-arm64.zip: it has another digest than SHA256SUMS lists"):
            Packages(str(self.release), self.scratch).template("arm64")

    def test_file_that_is_not_listed_is_refused(self) -> None:
        (self.release / "extra.zip").write_bytes(b"")
        with self.assertRaisesRegex(Failure, "SHA256SUMS does not list extra.zip"):
            Packages(str(self.release), self.scratch).take("extra.zip")

    def test_folder_that_is_no_release_is_named(self) -> None:
        for source in (str(self.scratch), f"{self.scratch}/nowhere"):
            with self.assertRaisesRegex(Failure, re.escape(source)):
                Packages(source, self.scratch)

    def test_url_without_tls_is_refused(self) -> None:
        with self.assertRaisesRegex(Failure, "it must be an https URL"):
            Packages("http://releases.example.org/v1", self.scratch)

    def test_packages_are_fetched_from_a_url(self) -> None:
        handler = partial(QuietHandler, directory=str(self.release))
        with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.shutdown)
            packages = Packages(f"http://127.0.0.1:{server.server_port}/", self.scratch)
            self.assertTrue(packages.template("arm64").exists())
            with self.assertRaisesRegex(Failure, "SHA256SUMS does not list"):
                packages.take("nothing")
            server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: Any) -> None:
        """Nobody reads it."""


def made_up_release(folder: Path) -> None:
    """Packages with next to nothing in them."""
    for function in FUNCTIONS:
        for architecture in ARCHITECTURES:
            with zipfile.ZipFile(folder / f"{function}-{architecture}.zip", "w") as package:
                package.writestr("bootstrap", f"{function} for {architecture}")
    (folder / TEMPLATE).write_text((ROOT / TEMPLATE).read_text())
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}" for path in sorted(folder.iterdir())]
    (folder / SUMS).write_text("\n".join(sums) + "\n")
