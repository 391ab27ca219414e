"""Tests of the deployment against a stand-in for AWS (`aws_stand_in`, which is moto): scripts/deploy from end to end, with made-up packages."""

from __future__ import annotations

import contextlib
import fnmatch
import importlib
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from pathlib import Path
from typing import Any, Mapping

from . import tools
from .aws_names import UNKNOWN_CERTIFICATE
from .test_deploy import CERTIFICATE, SECRET, made_up_release
from .test_policy import POLICY
from .test_template import PARAMETERS, ROOT, TEMPLATE
from .translate import translated

REPOSITORY = "RegistryRepoUrl=https://github.com/acme/registry"
STACK, ACCOUNT, REGION = "devfile-registry", "123456789012", "us-east-1"
PUBLISHED = {"outcome": "published", "commit_hash": "1a" * 20, "changed": ["stacks/go", "stacks/java"]}

_START_SECONDS = 60


def status(commit: str) -> dict[str, Any]:
    """The answer of serve to the gateway for /status, with a quarantined version."""
    problem = {"path": "stacks/go/1.0.0/devfile.yaml", "line": 3, "column": 5, "message": "no such component"}
    live = {"commit_hash": commit, "quarantined": [{"part": "version", "stack": "go", "version": "1.0.0", "problems": [problem]}]}
    document = {"live": live, "last_refresh": {"outcome": "published", "commit_hash": commit}}
    return {"statusCode": 200, "headers": {}, "body": json.dumps(document), "isBase64Encoded": False}


def _free_port() -> int:
    """A loopback port below those that systems hand out to outgoing connections, so that nothing takes it before its use."""
    for port in random.sample(range(20_000, 32_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("there is no free port")


class AwsTest(unittest.TestCase):
    """Tests with a stand-in of their own, empty at the beginning of each test."""

    CONCURRENT_EXECUTIONS = 1000

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="devfile-registry-aws-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = Path(folder.name)
        cls.release = cls.folder / "release"
        cls.release.mkdir()
        made_up_release(cls.release)
        port = _free_port()
        # CloudFormation of moto reads templates from buckets of this name alone.
        cls.endpoint = f"http://localhost:{port}"
        home = ROOT / ".tools"
        paths = [tools.libraries(home, "moto_server"), tools.libraries(home, "sam"), ROOT / "scripts"]
        cls.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            **{"HOME": str(cls.folder), "AWS_ENDPOINT_URL": cls.endpoint, "AWS_REGION": REGION},
            **{"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_EC2_METADATA_DISABLED": "true"},
        }
        log = (cls.folder / "aws.log").open("wb")
        cls.addClassCleanup(log.close)
        process = subprocess.Popen(
            [sys.executable, "-B", "-m", "lib.aws_stand_in", str(port), str(cls.CONCURRENT_EXECUTIONS)],
            env={**cls.environment, "PYTHONPATH": os.pathsep.join(map(str, paths))},
            cwd=cls.folder,
            stdout=log,
            stderr=log,
        )
        cls.addClassCleanup(process.wait)
        cls.addClassCleanup(process.kill)
        limit = time.monotonic() + _START_SECONDS
        while True:
            try:
                cls.control("reset")
                return
            except OSError:
                if process.poll() is not None or time.monotonic() > limit:
                    raise AssertionError((cls.folder / "aws.log").read_text()) from None
                time.sleep(0.1)

    def setUp(self) -> None:
        self.control("reset")
        self.control("reset-auth", "inf")
        boto3 = importlib.import_module("boto3")
        self.session = boto3.Session("test", "test", region_name=REGION)

    @classmethod
    def control(cls, path: str, body: str = "") -> None:
        plain = {"Content-Type": "text/plain"}
        request = urllib.request.Request(f"{cls.endpoint}/moto-api/{path}", body.encode(), plain, method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def client(self, service: str, region: str = REGION) -> Any:
        return self.session.client(service, region_name=region, endpoint_url=self.endpoint)

    def deploy(self, *arguments: str, refresh: Any = PUBLISHED, **variables: str) -> subprocess.CompletedProcess:
        """Runs scripts/deploy; `refresh` is the answer of the function, or the answers to its invocations."""
        region = variables.get("AWS_REGION", REGION)
        answers = [json.dumps(one) for one in (refresh if isinstance(refresh, list) else [refresh])]
        self.control("static/lambda-simple/response", json.dumps({"results": answers, "region": region}))
        command = [ROOT / "scripts/deploy", "--packages", self.release, *arguments]
        environment = {**self.environment, **variables}
        return subprocess.run(
            command, env=environment, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300
        )

    def deployed(self, *arguments: str, **options: Any) -> str:
        result = self.deploy(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stdout[-3000:] + result.stderr)
        return result.stdout

    def failed(self, *arguments: str, **options: Any) -> str:
        result = self.deploy(*arguments, **options)
        self.assertEqual((result.returncode, result.stderr.count("\n")), (1, 1), result.stdout[-3000:] + result.stderr)
        return result.stderr

    def state(self, region: str = REGION) -> str:
        return self.client("cloudformation", region).describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]


class Deploying(AwsTest):
    def test_repository_alone_deploys_a_registry_with_ecr(self) -> None:
        said = self.deployed(REPOSITORY)
        for words in (
            f"OCI registry {ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{STACK}",
            "published 2 changed (commit 1a1a1a1)",
            "secretsmanager get-secret-value",
        ):
            self.assertIn(words, said)
        url = re.search(r"^ready (https://\S+)$", said, re.M).group(1)
        self.assertIn(f"action    url: {url}\n", said, "the URL that the action takes")
        configuration = self.client("lambda").get_function(FunctionName=f"{STACK}-refresh")
        variables = configuration["Configuration"]["Environment"]["Variables"]
        self.assertEqual(variables["OCI_REGISTRY"], f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{STACK}")
        self.assertEqual(configuration["Concurrency"]["ReservedConcurrentExecutions"], 2)
        key = self.client("secretsmanager").get_secret_value(SecretId=variables["WEBHOOK_SECRET_ARN"])["SecretString"]
        self.assertNotIn(key, json.dumps(configuration, default=str), "the secret is named, not shown")
        self.assertNotIn(key, said)

        # A later deployment keeps parameters that are not named.
        self.deployed("RegistryName=Ours", "RefreshConcurrency=3")
        again = self.client("lambda").get_function(FunctionName=f"{STACK}-serve")["Configuration"]
        self.assertEqual(again["Environment"]["Variables"]["REGISTRY_NAME"], "Ours")
        stack = self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
        values = {one["ParameterKey"]: one["ParameterValue"] for one in stack["Parameters"]}
        self.assertEqual(values["RegistryRepoUrl"], REPOSITORY.partition("=")[2])

    def test_refresh_that_fails_is_told_with_everything_else_in_place_where_aws_region_says(self) -> None:
        failure = {"errorType": "PublishError", "errorMessage": "cannot read github.com"}
        problem = self.failed(REPOSITORY, refresh=failure, AWS_REGION="eu-central-1")
        self.assertIn("everything is deployed, but the first refresh failed", problem)
        self.assertEqual(self.state("eu-central-1"), "CREATE_COMPLETE")
        with self.assertRaisesRegex(Exception, "does not exist"):
            self.state()

    def test_progress_of_a_large_first_publication_is_shown_until_its_end_with_what_is_quarantined(self) -> None:
        steps = [{"outcome": "continuing", "progress": {"artifacts": pushed, "total": 10023}} for pushed in (1200, 5400)]
        # The last invocation of the chain publishes, and a later refresh finds no change.
        unchanged = {"outcome": "unchanged", "commit_hash": PUBLISHED["commit_hash"], "changed": [], "quarantined": []}
        said = self.deployed(REPOSITORY, refresh=[*steps, unchanged, status(PUBLISHED["commit_hash"])])
        lines = (
            *("publishing: 1200 of 10023 artifacts are pushed", "publishing: 5400 of 10023 artifacts are pushed"),
            *("published 1 quarantined (commit 1a1a1a1)", "quarantined go 1.0.0", "stacks/go/1.0.0/devfile.yaml:3:5: no such component"),
        )
        positions = [said.find(line) for line in lines]
        self.assertEqual((positions, min(positions) > 0), (sorted(positions), True), said)

    def test_deployment_that_changes_nothing_shows_what_is_still_quarantined(self) -> None:
        unchanged = {"outcome": "unchanged", "commit_hash": PUBLISHED["commit_hash"]}
        said = self.deployed(REPOSITORY, refresh=[unchanged, status("2b" * 20), status(PUBLISHED["commit_hash"])])
        self.assertIn("unchanged 1 quarantined (commit 1a1a1a1)", said)
        self.assertIn("quarantined go 1.0.0", said)

    def test_status_that_cannot_be_read_is_told_with_its_address(self) -> None:
        unchanged = {"outcome": "unchanged", "commit_hash": PUBLISHED["commit_hash"]}
        failure = {"statusCode": 503, "body": "no release is loaded"}
        said = self.deployed(REPOSITORY, refresh=[unchanged, *[failure] * 3])
        self.assertIn("unchanged (commit 1a1a1a1)", said)
        self.assertRegex(said, r"cannot read the quarantined parts from serve; https://\S+/status lists them")

    def test_policy_of_deployers_suffices(self) -> None:
        iam = self.client("iam")
        iam.create_user(UserName="deployer")
        # moto does not know the resource of a call, so the actions alone are enforced; test_policy looks at resources.
        statements = [{"Effect": one["Effect"], "Action": one["Action"], "Resource": "*"} for one in POLICY["Statement"]]
        document = json.dumps({"Version": POLICY["Version"], "Statement": statements}).replace("lambda:InvokeFunction", "lambda:Invoke")
        iam.put_user_policy(UserName="deployer", PolicyName="deploy", PolicyDocument=document)
        key = iam.create_access_key(UserName="deployer")["AccessKey"]
        credentials = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        self.control("reset-auth", "0")
        self.deployed(REPOSITORY, **credentials)


class Stuck(AwsTest):
    def test_creation_that_fails_names_the_resource_and_leads_on(self) -> None:
        domain = [f"CertificateArn=arn:aws:acm:us-east-1:{ACCOUNT}:{UNKNOWN_CERTIFICATE}", "DomainName=registry.example.org"]
        problem = self.failed(REPOSITORY, *domain)
        self.assertIn("Distribution (AWS::CloudFront::Distribution): ", problem)
        self.assertIn("InvalidViewerCertificate", problem)
        self.assertIn("the certificate must be issued, in us-east-1", problem, "what helps")
        self.assertEqual(self.state(), "ROLLBACK_COMPLETE")

        refused = self.deploy(REPOSITORY)
        self.assertIn("its creation failed and was rolled back", refused.stdout)
        self.assertIn("InvalidViewerCertificate", refused.stdout, "the reason is still there")
        self.assertIn("run scripts/deploy --remove-failed", refused.stderr)
        self.assertEqual(self.state(), "ROLLBACK_COMPLETE", "nobody consented")

        self.deployed("--remove-failed", REPOSITORY)
        self.assertEqual(self.state(), "CREATE_COMPLETE")

    def test_change_set_that_nobody_executed_is_explained(self) -> None:
        template = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
        self.client("cloudformation").create_change_set(
            StackName=STACK, ChangeSetName="first", ChangeSetType="CREATE", TemplateBody=template
        )
        refused = self.deploy(REPOSITORY)
        self.assertIn("is REVIEW_IN_PROGRESS: a change set was made and never executed", refused.stdout)
        self.assertIn("--remove-failed", refused.stderr)


class SmallAccount(AwsTest):
    CONCURRENT_EXECUTIONS = 10

    def test_account_that_cannot_reserve_is_deployed_to_without(self) -> None:
        said = self.deployed(REPOSITORY)
        self.assertIn("10 concurrent executions of AWS Lambda, of which refresh can reserve 0", said)
        self.assertNotIn("Concurrency", self.client("lambda").get_function(FunctionName=f"{STACK}-refresh"))

    def test_reservation_that_the_account_does_not_have_is_refused_before_anything_else(self) -> None:
        problem = self.failed(REPOSITORY, "RefreshConcurrency=5", "DomainName=registry.example.org")
        self.assertIn("RefreshConcurrency=5 is more than the 0 that the account can reserve", problem)
        self.assertIn("DomainName needs CertificateArn", problem)


def sets() -> Mapping[str, tuple[str, dict[str, str]]]:
    """Sets of parameters, each with its region."""
    ghcr = {"OciRegistry": "ghcr.io/acme", "OciUsername": "acme", "OciPasswordSecretArn": SECRET}
    domain = {"DomainName": "registry.example.org", "CertificateArn": CERTIFICATE}
    everything = {
        **{**ghcr, **domain, "HostedZoneId": "Z1", "GitHubAppId": "12", "GitHubAppKeySecretArn": SECRET, "Tracing": "Active"},
        **{"GitCredentialsSecretArn": SECRET, "OidcAudience": "registry", "OidcRepositoryId": "12", "AlarmEmail": "a@example.org"},
        **{"RateLimit": "1000", "RefreshConcurrency": "5", "Architecture": "x86_64", "Headless": "true", "UsageEvents": "true"},
    }
    return {
        "little": (REGION, {}),
        "another region": ("eu-west-1", {}),
        "GHCR": (REGION, ghcr),
        "an anonymous registry": (REGION, {"OciRegistry": "registry.example.org:5000/acme"}),
        "ECR of another account": (REGION, {"OciRegistry": "210987654321.dkr.ecr.eu-west-1.amazonaws.com/acme/devfiles"}),
        "ECR in China": (REGION, {"OciRegistry": "210987654321.dkr.ecr.cn-north-1.amazonaws.com.cn/acme/devfiles"}),
        "a domain": (REGION, domain),
        "a domain in Route 53": (REGION, {**domain, "HostedZoneId": "Z1"}),
        "a token": (REGION, {"GitHubTokenSecretArn": SECRET}),
        "an App": (REGION, {"GitHubAppId": "12", "GitHubAppKeySecretArn": SECRET}),
        "workflows": (REGION, {"OidcAudience": "registry", "OidcRepositoryId": "12"}),
        "a firewall": (REGION, {"RateLimit": "1000"}),
        "alarms by mail and traces": (REGION, {"AlarmEmail": "a@example.org", "Tracing": "Active"}),
        "everything": (REGION, everything),
    }


class Template(AwsTest):
    """The template, transformed as AWS does it, with sets of parameters."""

    def create(self, region: str, given: Mapping[str, str]) -> dict[str, str]:
        """Creates the stack and gives the type of each resource that there is."""
        values = {name: str(one.get("Default", "")) for name, one in PARAMETERS.items()}
        values |= {"RegistryRepoUrl": REPOSITORY.partition("=")[2], **given}
        self.client("s3").create_bucket(Bucket="code")
        self.client("s3").put_object(Bucket="code", Key="code.zip", Body=(self.release / "serve-arm64.zip").read_bytes())
        self.client("route53").create_hosted_zone(Name="example.org", CallerReference="one")
        zones = self.client("route53").list_hosted_zones()["HostedZones"]
        if given.get("HostedZoneId"):
            values["HostedZoneId"] = zones[0]["Id"].rpartition("/")[2]
        template = json.loads(json.dumps(TEMPLATE, default=str))
        for resource in template["Resources"].values():
            if "CodeUri" in resource.get("Properties", {}):
                resource["Properties"]["CodeUri"] = {"Bucket": "code", "Key": "code.zip"}
        self.made = translated(template, region, values)
        cloudformation = self.client("cloudformation", region)
        self.client("s3").put_object(Bucket="code", Key="template.json", Body=json.dumps(self.made).encode())
        cloudformation.create_stack(
            StackName=STACK,
            TemplateURL=f"{self.endpoint}/code/template.json",
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
        )
        resources = cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
        # moto lists resources without a name in place of those whose condition does not hold.
        return {one["LogicalResourceId"]: one["ResourceType"] for one in resources if "LogicalResourceId" in one}

    def statements(self, name: str) -> list[dict[str, Any]]:
        """The statements of a role, as IAM has them."""
        iam = self.client("iam")
        (role,) = [one["RoleName"] for one in iam.list_roles()["Roles"] if name in one["RoleName"]]
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        policies = [iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names]
        return [statement for policy in policies for statement in policy["Statement"]]

    def pushes_to(self) -> set[str]:
        """The repositories of ECR that the role of refresh may push to."""
        return {one["Resource"] for one in self.statements("RefreshRole") if "ecr:PutImage" in one["Action"]}

    def test_role_of_refresh_allows_what_it_calls_below_its_prefix_and_nothing_else(self) -> None:
        key = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1a"
        resources = self.create(REGION, {"EcrKmsKeyArn": key, "EcrTags": "team=stacks"})
        self.assertIn("CacheBucket", resources)
        statements = self.statements("RefreshRole")

        def listed(value: Any) -> list[str]:
            return value if isinstance(value, list) else [value]

        # moto does not know the resource of a call, so it cannot enforce these itself.
        def allows(action: str, resource: str) -> bool:
            return any(
                action in listed(one["Action"]) and any(fnmatch.fnmatchcase(resource, pattern) for pattern in listed(one["Resource"]))
                for one in statements
            )

        repositories = f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository"
        bucket = next(one["Resource"] for one in statements if "s3:ListBucket" in listed(one["Action"]))
        pushes = ("BatchCheckLayerAvailability", "BatchGetImage", "CompleteLayerUpload", "CreateRepository", "GetDownloadUrlForLayer")
        for action in (*pushes, "InitiateLayerUpload", "PutImage", "TagResource", "UploadLayerPart"):
            for repository in ("devfile-index", "devfile-catalog/go"):
                self.assertTrue(allows(f"ecr:{action}", f"{repositories}/{STACK}/{repository}"), action)
            others = (f"{repositories}/other/devfile-index", f"{repositories}/{STACK}", f"{repositories}/{STACK}-2/devfile-index")
            for other in (*others, f"{repositories}/{STACK}/x".replace(ACCOUNT, "210987654321")):
                self.assertFalse(allows(f"ecr:{action}", other), f"{action} {other}")
        for name in ("index.json", "last-refresh.json", "pending.json", "progress.json", "releases/x", "blobs/sha256/x", "previews/7.json"):
            self.assertTrue(allows("s3:PutObject", f"{bucket}/{name}") and allows("s3:GetObject", f"{bucket}/{name}"), name)
        for name in ("starter-projects/x.zip", "other"):
            self.assertFalse(allows("s3:PutObject", f"{bucket}/{name}"), name)
        self.assertFalse(allows("s3:DeleteObject", f"{bucket}/index.json"))
        for action in ("CreateGrant", "DescribeKey", "RetireGrant"):
            self.assertTrue(allows(f"kms:{action}", key) and not allows(f"kms:{action}", key.replace("1a", "2b")), action)
        for action in ("ecr:DeleteRepository", "ecr:BatchDeleteImage", "ecr:SetRepositoryPolicy", "ecr:PutLifecyclePolicy"):
            self.assertFalse(allows(action, f"{repositories}/{STACK}/devfile-index"), action)

    def test_every_set_of_parameters_creates_what_it_asks_for(self) -> None:
        optional = {"HostedZoneId": "DomainRecord", "RateLimit": "Firewall", "AlarmEmail": "AlarmSubscription"}
        self.assertEqual(len(sets()), 14)
        for name, (region, given) in sets().items():
            self.control("reset")
            resources = self.create(region, given)
            for parameter, resource in optional.items():
                self.assertEqual(resource in resources, parameter in given, f"{name}: {resource}")
            self.assertLessEqual({"Serve", "Refresh", "Webhooks", "CacheBucket", "Schedule"}, set(resources), name)
            client = self.client("lambda", region)
            variables = client.get_function(FunctionName=f"{STACK}-refresh")["Configuration"]["Environment"]["Variables"]
            own = f"{ACCOUNT}.dkr.ecr.{region}.amazonaws.com/{STACK}"
            self.assertEqual(variables["OCI_REGISTRY"], given.get("OciRegistry", own), name)
            self.assertEqual(variables["OCI_PASSWORD_ARN"], given.get("OciPasswordSecretArn", ""), name)
            repositories = {
                "ECR of another account": {"arn:aws:ecr:eu-west-1:210987654321:repository/acme/devfiles/*"},
                "ECR in China": {"arn:aws:ecr:cn-north-1:210987654321:repository/acme/devfiles/*"},
            }
            default = set() if "OciRegistry" in given else {f"arn:aws:ecr:{region}:{ACCOUNT}:repository/{STACK}/*"}
            self.assertEqual(self.pushes_to(), repositories.get(name, default), name)

    def test_translated_template_is_what_the_schemas_of_its_types_take(self) -> None:
        self.create(REGION, {})
        path = self.folder / "translated.json"
        path.write_text(json.dumps(self.made))
        # W3005 and W1030 are about redundancy, and about values that conditions keep from being used.
        command = [ROOT / ".tools/bin/cfn-lint", "--regions", "us-east-1", "eu-west-1", "--ignore-checks", "W", "--", path]
        result = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=120)
        self.assertEqual(result.returncode, 0, result.stdout)
