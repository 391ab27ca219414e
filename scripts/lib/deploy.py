"""The command `scripts/deploy`: from a checkout to a registry on AWS."""

from __future__ import annotations

import argparse
import datetime
import difflib
import importlib
import json
import os
import re
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional

from . import console, report, tools
from .console import Failure, step, warn
from .processes import Supervisor

HELP = """\
Builds both functions and deploys them to AWS with everything they need, or brings a deployment up to date.
Then publishes the registry repository for the first time and prints where the registry is.
"""
MORE_HELP = """\
parameters:
  Those of template.yaml, for instance
    scripts/deploy RegistryRepoUrl=https://github.com/acme/registry OciRegistry=ghcr.io/acme \\
        OciUsername=acme OciPasswordSecretArn=arn:aws:secretsmanager:...
  The first deployment needs RegistryRepoUrl and OciRegistry. Later ones keep what is not named. `--parameters` lists them.

environment:
  AWS_PROFILE, AWS_REGION, AWS_ACCESS_KEY_ID, ...   as for any AWS client

docs/deploying.md goes through it step by step, and says what the OCI registries need.
"""

_TOOLS = ["sam", "cargo-lambda"]
_COMPILER = ["zig"]
"""Links for the other architecture, and for the older C library that functions run with."""
_READ_AGAIN = "SecretsRevision"
"""The parameter whose change makes CloudFormation read the secrets again."""

_INVOKE_SECONDS = 310
"""Longer than the refresh function may run."""


class Plan(NamedTuple):
    """What is to be done."""

    stack: str
    region: str
    parameters: dict[str, str]
    architecture: str

    def commands(self, overrides: str) -> list[list[str]]:
        """The commands that build and deploy; `overrides` names the file with the parameters."""
        build = ["sam", "build", "--template", "template.yaml", "--region", self.region]
        deploy = ["sam", "deploy", "--stack-name", self.stack, "--region", self.region, "--resolve-s3"]
        return [
            [*build, "--parameter-overrides", f"file://{overrides}"],
            [
                *(*deploy, "--s3-prefix", self.stack, "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"),
                *("--no-confirm-changeset", "--no-fail-on-empty-changeset"),
                *("--parameter-overrides", f"file://{overrides}"),
            ],
        ]


def main(root: Path, arguments: list[str]) -> int:
    """Deploys, or says what that would mean."""
    parser = argparse.ArgumentParser(
        prog="scripts/deploy",
        description=HELP,
        epilog=MORE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", default="devfile-registry", metavar="NAME", help="the stack (devfile-registry)")
    parser.add_argument("--region", help="the AWS region (default: that of the environment or profile)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done; needs no AWS account")
    parser.add_argument("--parameters", action="store_true", help="list the template's parameters and end")
    parser.add_argument("parameter", nargs="*", metavar="PARAMETER=VALUE", help="a parameter of template.yaml")
    options = parser.parse_args(arguments)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,39}", options.stack):
        raise Failure(f"{options.stack!r} is no name for a stack: letters, digits and dashes, at most 40, a letter first")

    binaries = tools.ensure(root / ".tools", _TOOLS)
    sys.path.insert(0, str(tools.libraries(root / ".tools", "sam")))
    described = importlib.import_module("samcli.yamlhelper").yaml_parse((root / "template.yaml").read_text())["Parameters"]
    if options.parameters:
        _list(described)
        return 0
    given = check_parameters(described, options.parameter)
    if options.dry_run:
        region = options.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        _require(described, given)
        with Supervisor() as supervisor:
            _validate(supervisor, root, binaries, region)
        return _show(_plan(options.stack, region, given, described, {}))
    tools.require_toolchain()
    account = Account(options.region)
    before = account.parameters(options.stack)
    if before is None:
        _require(described, given)
    plan = _plan(options.stack, account.region, given, described, before or {})
    step("deploy", f"{plan.stack} to account {account.number} in {plan.region}, {plan.architecture}")
    with Supervisor() as supervisor:
        _validate(supervisor, root, binaries, plan.region)
        _carry_out(supervisor, root, binaries, plan)
    return _first_refresh(account, account.outputs(plan.stack))


def check_parameters(described: Mapping[str, Any], arguments: list[str]) -> dict[str, str]:
    """The parameters that were given, each one checked as CloudFormation will; every mistake is named, at once."""
    given, problems = {}, []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            problems.append(f"{argument!r} is not PARAMETER=VALUE")
        elif name not in described:
            near = difflib.get_close_matches(name, described, 1, 0.5)
            problems.append(f"there is no parameter {name}" + (f"; did you mean {near[0]}?" if near else ""))
        elif name in given:
            problems.append(f"{name} is given twice")
        elif reason := _complaint(described[name], value):
            problems.append(f"{name} {reason}")
        given[name] = value
    if problems:
        raise Failure("; ".join(problems))
    return given


def _complaint(parameter: Mapping[str, Any], value: str) -> str:
    """Why CloudFormation would refuse a value, or an empty text."""
    allowed = [str(one) for one in parameter.get("AllowedValues", [])]
    if allowed and value not in allowed:
        return f"must be one of {', '.join(allowed)}"
    if not re.search(parameter.get("AllowedPattern", ""), value):
        return str(parameter["ConstraintDescription"])
    if parameter["Type"] == "Number" and not allowed:
        low, high = parameter["MinValue"], parameter["MaxValue"]
        if not re.fullmatch(r"[0-9]{1,10}", value) or not low <= int(value) <= high:
            return f"must be a number from {low} to {high}"
    return ""


def _require(described: Mapping[str, Any], given: Mapping[str, str]) -> None:
    missing = [name for name, parameter in described.items() if "Default" not in parameter and name not in given]
    if missing:
        said = "; ".join(f"{name}: {described[name]['Description']}" for name in missing)
        raise Failure(f"the first deployment needs {' and '.join(f'{name}=...' for name in missing)} ({said})")


def _plan(
    stack: str, region: str, given: Mapping[str, str], described: Mapping[str, Any], before: Mapping[str, str]
) -> Plan:
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H.%M.%SZ")
    parameters = {_READ_AGAIN: now, **given}
    default = before.get("Architecture", described["Architecture"]["Default"])
    return Plan(stack, region, parameters, given.get("Architecture", default))


def _list(described: Mapping[str, Any]) -> None:
    for name, parameter in described.items():
        default = f" ({parameter['Default'] or 'empty'})" if "Default" in parameter else " (required)"
        console.line(f"{name}{default}\n    {parameter['Description']}")


def _show(plan: Plan) -> int:
    """The dry run."""
    step("dry run", f"would deploy {plan.stack} to {plan.region}, {plan.architecture}; nothing is built or sent")
    for name, value in plan.parameters.items():
        step("with", f"{name}={value}")
    for command in plan.commands("PARAMETERS"):
        step("would run", shlex.join(command))
    step("would run", f"the function {plan.stack}-refresh with {_EVENT}, for the first release")
    step("would say", "the registry's URL, the webhook's URL, and the secret that holds its key")
    return 0


def _validate(supervisor: Supervisor, root: Path, binaries: Path, region: str) -> None:
    step("check", "sam validate --lint")
    command = [binaries / "sam", "validate", "--lint", "--template", "template.yaml", "--region", region]
    if supervisor.run("sam", command, cwd=root, env=_environment(binaries)) != 0:
        raise Failure("the template is not valid; what is wrong is above")


def _carry_out(supervisor: Supervisor, root: Path, binaries: Path, plan: Plan) -> None:
    tools.ensure(root / ".tools", _COMPILER)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as overrides:
        # JSON is YAML. The architecture is there even if nobody gave it: the build has no deployment to ask.
        json.dump({**plan.parameters, "Architecture": plan.architecture}, overrides)
        overrides.flush()
        for command in plan.commands(overrides.name):
            step(command[1], f"{' '.join(command[:2])}" + (" (minutes)" if command[1] == "build" else ""))
            program = [binaries / command[0], *command[1:]]
            if supervisor.run(command[0], program, cwd=root, env=_environment(binaries)) != 0:
                raise Failure(f"{' '.join(command[:2])} failed; what it said is above")


def _environment(binaries: Path) -> dict[str, str]:
    return {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}", "SAM_CLI_TELEMETRY": "0"}


_EVENT = json.dumps({"action": "reconcile"})
"""A refresh, and after an upgrade the release anew where the new software stores it in another way."""


def _first_refresh(account: Account, outputs: Mapping[str, str]) -> int:
    step("refresh", "publishing the registry repository")
    begin = time.monotonic()
    answer = account.invoke(outputs["RefreshFunction"], _EVENT)
    if problem := report.problem(answer):
        warn("refresh", f"failed: {problem}")
    else:
        step("refresh", report.headline(answer, (time.monotonic() - begin) * 1000))
        for text in report.quarantined(answer):
            warn("refresh", text)
    secret = outputs["WebhookSecretArn"]
    console.table(
        [
            ("registry", outputs["Url"]),
            ("webhook", f"{outputs['WebhookUrl']} (content type application/json, push events)"),
            ("its key", f"aws secretsmanager get-secret-value --region {account.region} --query SecretString --output text"),
            ("", f"    --secret-id {secret}"),
            ("workflow", outputs["RefreshUrl"]),
            ("dashboard", outputs["DashboardUrl"]),
        ]
    )
    if problem:
        raise Failure("everything is deployed, but the first refresh failed; mend what it says and run scripts/deploy again")
    console.good(f"ready {outputs['Url']}")
    return 0


class Account:
    """The AWS account that the environment has credentials for."""

    def __init__(self, region: Optional[str]):
        boto3 = importlib.import_module("boto3")
        errors = importlib.import_module("botocore.exceptions")
        self._client_error = errors.ClientError
        try:
            self._session = boto3.Session(region_name=region)
            if not self._session.get_credentials():
                raise Failure(
                    "there are no AWS credentials; run `aws configure` or `aws sso login`, or set AWS_PROFILE "
                    "(scripts/deploy --dry-run needs none)"
                )
            if not self._session.region_name:
                raise Failure("there is no AWS region; set AWS_REGION or give --region")
            self.region = str(self._session.region_name)
            self.number = str(self._session.client("sts").get_caller_identity()["Account"])
        except (errors.BotoCoreError, errors.ClientError) as error:
            raise Failure(f"AWS does not take the credentials of this environment: {error}") from None

    def parameters(self, stack: str) -> Optional[dict[str, str]]:
        """The parameters of a deployment; none if there is no such stack."""
        found = self._describe(stack)
        if found is None or found["StackStatus"] == "REVIEW_IN_PROGRESS":
            return None
        return {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", [])}

    def outputs(self, stack: str) -> dict[str, str]:
        """The outputs of a deployment."""
        found = self._describe(stack) or {}
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}

    def _describe(self, stack: str) -> Optional[dict[str, Any]]:
        try:
            return self._session.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
        except self._client_error as error:
            if "does not exist" in str(error):
                return None
            raise Failure(f"AWS does not say whether there is a stack {stack}: {error}") from None

    def invoke(self, function: str, event: str) -> dict[str, Any]:
        """Runs a function to its end and gives its answer."""
        config = importlib.import_module("botocore.config").Config(
            read_timeout=_INVOKE_SECONDS, retries={"max_attempts": 0}
        )
        try:
            client = self._session.client("lambda", config=config)
            answer = json.loads(client.invoke(FunctionName=function, Payload=event)["Payload"].read())
        except (self._client_error, OSError, ValueError) as error:
            return {"errorType": "Invoke", "errorMessage": str(error)}
        return answer if isinstance(answer, dict) else {"errorType": "Invoke", "errorMessage": f"it answered {answer!r}"}
