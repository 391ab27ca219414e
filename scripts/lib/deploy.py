"""The command `scripts/deploy`: from a checkout, or the packages of a release, to a registry on AWS."""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import re
import shlex
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Mapping, NamedTuple, Optional, Sequence

from . import console, parameters, processes, report, tools
from .account import KEPT_UNRESERVED, Account, region_of
from .console import Failure, step, warn
from .packages import Packages
from .parameters import Deployment

HELP = """\
Builds both functions and deploys them to AWS with everything they need, or brings a deployment up to date.
Then publishes the registry repository for the first time and prints where the registry is.
"""
MORE_HELP = """\
parameters:
  Those of template.yaml, for instance
    scripts/deploy RegistryRepoUrl=https://github.com/acme/registry
  The first deployment needs RegistryRepoUrl and nothing else. Later ones keep parameters that are not named. `--parameters` lists them.

environment:
  AWS_PROFILE, AWS_REGION, AWS_ACCESS_KEY_ID, ...   as for any AWS client

docs/operators/deploy-on-aws.md goes through it step by step.
"""

_TOOLS = ["sam"]
_BUILD_TOOLS = ["cargo-lambda", "zig"]
"""zig links for the other architecture, and for the older C library that functions run with."""

_REFRESHES = 2
"""Refreshes at a time where the account can reserve concurrent executions."""

_EMPTY_STATES = {
    "REVIEW_IN_PROGRESS": "a change set was made and never executed, so nothing was created",
    "CREATE_FAILED": "its creation failed",
    "ROLLBACK_COMPLETE": "its creation failed and was rolled back; CloudFormation lets nobody update it",
    "ROLLBACK_FAILED": "its creation failed, and so did the removal of the created resources",
    "DELETE_FAILED": "its removal failed",
}
"""States of stacks that no deployment leads out of. Nobody can be served by them."""


class Plan(NamedTuple):
    """The steps of a deployment."""

    deployment: Deployment
    changed: Mapping[str, str]
    """The parameters that differ from the deployed ones."""
    packages: Optional[str]

    @property
    def architecture(self) -> str:
        """The processors that the functions are for."""
        return self.deployment.values["Architecture"]

    def commands(self, overrides: str, template: str) -> list[list[str]]:
        """The commands that build and deploy. `overrides` names the file with the parameters, `template` the template."""
        region = ["--region", self.deployment.region]
        given = ["--parameter-overrides", f"file://{overrides}"]
        build = ["sam", "build", "--template", template, *region, *given]
        deploy = [
            *("sam", "deploy", "--stack-name", self.deployment.stack, *region, "--resolve-s3", "--s3-prefix", self.deployment.stack),
            *("--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"),
            *("--no-confirm-changeset", "--no-fail-on-empty-changeset", *given),
        ]
        # After a build, sam deploys the packages of that build.
        return [[*deploy, "--template-file", template]] if self.packages else [build, deploy]


def main(root: Path, arguments: list[str]) -> int:
    """Deploys, or prints the plan."""
    options = _parser().parse_args(arguments)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,39}", options.stack):
        raise Failure(f"{options.stack!r} is no name for a stack: letters, digits and dashes, at most 40, a letter first")
    binaries = tools.ensure(root / ".tools", _TOOLS)
    sys.path.insert(0, str(tools.libraries(root / ".tools", "sam")))
    with tempfile.TemporaryDirectory(prefix="devfile-registry-deploy-") as scratch:
        packages = Packages(options.packages, Path(scratch)) if options.packages else None
        template = packages.take("template.yaml") if packages else root / "template.yaml"
        described = importlib.import_module("samcli.yamlhelper").yaml_parse(template.read_text())["Parameters"]
        if options.parameters:
            parameters.show(described)
            return 0
        given, problems = parameters.check(described, options.parameter)
        sam = _Sam(root, binaries, Path(scratch))
        if options.dry_run:
            region = region_of(options.region) or "us-east-1"
            plan = _plan(options, region, described, given, {}, problems)
            if not packages:
                sam.validate(template, region)
            return _show(plan)
        account = Account(options.region)
        before = _before(account, options.stack, options.remove_failed)
        changed, beyond = (given, []) if problems else _with_concurrency(account, options.stack, given, before)
        plan = _plan(options, account.region, described, changed, before, problems, beyond)
        step("deploy", f"{options.stack} to account {account.number} in {account.region}, {plan.architecture}")
        step("deploy", f"OCI registry {plan.deployment.oci_registry(account.number)}")
        if not packages:
            tools.require_toolchain()
            tools.ensure(root / ".tools", _BUILD_TOOLS)
            # The template of a release was checked when that was made, and its digest is.
            sam.validate(template, account.region)
        began = datetime.datetime.now(datetime.timezone.utc)
        try:
            sam.carry_out(plan, packages.template(plan.architecture) if packages else template)
        except Failure as failure:
            raise _explained(failure, account, options.stack, began) from None
        return _first_refresh(account, account.outputs(options.stack), plan)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/deploy",
        description=HELP,
        epilog=MORE_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stack", default="devfile-registry", metavar="NAME", help="the stack (devfile-registry)")
    parser.add_argument("--region", help="the AWS region (default: that of the environment or profile)")
    parser.add_argument("--packages", metavar="DIR_OR_URL", help="deploy the packages of a release; needs no Rust toolchain")
    parser.add_argument("--remove-failed", action="store_true", help="remove a stack whose creation failed, without a question")
    parser.add_argument("--dry-run", action="store_true", help="print the plan; needs no AWS account")
    parser.add_argument("--parameters", action="store_true", help="list the template's parameters and end")
    parser.add_argument("parameter", nargs="*", metavar="PARAMETER=VALUE", help="a parameter of template.yaml")
    return parser


def _plan(
    options: argparse.Namespace,
    region: str,
    described: Mapping[str, Any],
    given: Mapping[str, str],
    before: Mapping[str, str],
    problems: list[str],
    beyond: Sequence[str] = (),
) -> Plan:
    """The deployment, unless CloudFormation would refuse it: for malformed values, or else combinations and limits of the account."""
    lacking = [] if before else parameters.missing(described, given)
    deployment = Deployment.of(options.stack, region, described, before, given)
    parameters.refuse(lacking + (problems or [*parameters.refusals(deployment), *beyond]))
    return Plan(deployment, given, options.packages)


def _before(account: Account, stack: str, remove_failed: bool) -> dict[str, str]:
    """The parameters of the deployment that there is; none before the first one. A stack that is stuck is removed with consent."""
    found = account.stack(stack)
    if found is None or found["StackStatus"] == "DELETE_COMPLETE":
        return {}
    state = found["StackStatus"]
    if state in _EMPTY_STATES:
        warn("stack", f"{stack} is {state}: {_EMPTY_STATES[state]}")
        for reason in account.failures(stack, datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)):
            warn("stack", reason)
        if not remove_failed and not _agreed(f"Remove the stack {stack} and create it anew?"):
            raise Failure(f"cannot deploy over the stack {stack} in {state}; run scripts/deploy --remove-failed to remove it first")
        step("stack", f"removing {stack}")
        account.remove(stack)
        return {}
    if state.endswith("_IN_PROGRESS"):
        raise Failure(f"cannot deploy {stack}: another operation is under way ({state}); wait for its end")
    if state == "UPDATE_ROLLBACK_FAILED":
        raise Failure(
            f"cannot deploy {stack}: an update failed, and so did the way back ({state}); "
            f"run `aws cloudformation continue-update-rollback --region {account.region} --stack-name {stack}`"
        )
    return {one["ParameterKey"]: one["ParameterValue"] for one in found.get("Parameters", [])}


def _agreed(question: str) -> bool:
    """Whether a person agrees; nobody does where nobody can be asked."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        return False
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def _with_concurrency(
    account: Account, stack: str, given: Mapping[str, str], before: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """The parameters with as many refreshes at a time as the account can reserve."""
    name = "RefreshConcurrency"
    most, free = account.concurrency(f"{stack}-refresh")
    step("account", f"{most} concurrent executions of AWS Lambda, of which refresh can reserve {free}")
    if most < KEPT_UNRESERVED:
        warn("account", f"more than {most} requests at a time get 429; ask AWS for a higher quota of concurrent executions")
    wanted = given.get(name) or before.get(name)
    if wanted is None:
        return {**given, name: str(_REFRESHES) if free >= _REFRESHES else "none"}, []
    if wanted != "none" and int(wanted) > free:
        reason = f"{name}={wanted} is more than the {free} that the account can reserve: AWS keeps {KEPT_UNRESERVED} unreserved"
        return dict(given), [f"{reason}; give {name}=none"]
    return dict(given), []


def _show(plan: Plan) -> int:
    """The dry run."""
    deployment = plan.deployment
    step("dry run", f"would deploy {deployment.stack} to {deployment.region}, {plan.architecture}; nothing is built or sent")
    for name, value in plan.changed.items():
        step("with", f"{name}={value}")
    if not deployment.values["OciRegistry"]:
        step("with", f"ECR as OCI registry: {deployment.oci_registry('ACCOUNT')}, repositories made when needed, the function's role, no password")
    if "RefreshConcurrency" not in plan.changed:
        step("with", f"RefreshConcurrency={_REFRESHES}, or none where the account cannot reserve as many")
    for command in plan.commands("PARAMETERS", "TEMPLATE" if plan.packages else "template.yaml"):
        step("would run", shlex.join(command))
    step("would run", f"the function {deployment.stack}-refresh with {_EVENT}, for the first release")
    step("would say", "the registry's URL, that of the action, the webhook's URL, and the secret that holds its key")
    return 0


class _Sam:
    """AWS's own tool, which builds, uploads and deploys."""

    def __init__(self, root: Path, binaries: Path, scratch: Path):
        self._root, self._binaries, self._scratch = root, binaries, scratch

    def validate(self, template: Path, region: str) -> None:
        """Fails if the template is not valid."""
        step("check", "sam validate --lint")
        if self._run(["sam", "validate", "--lint", "--template", str(template), "--region", region]) != 0:
            raise Failure("the template is not valid; see the errors above")

    def carry_out(self, plan: Plan, template: Path) -> None:
        """Builds where there are no packages, and deploys."""
        overrides = self._scratch / "parameters.yaml"
        # JSON is YAML. The architecture is there even if nobody gave it: the build has no deployment to ask.
        overrides.write_text(json.dumps({**plan.changed, "Architecture": plan.architecture}))
        for command in plan.commands(str(overrides), str(template)):
            step(command[1], f"{' '.join(command[:2])} (minutes)")
            if self._run(command) != 0:
                raise Failure(f"{' '.join(command[:2])} failed; see its output above")

    def _run(self, command: list[str]) -> int:
        path = f"{self._binaries}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = {**os.environ, "PATH": path, "SAM_CLI_TELEMETRY": "0"}
        return processes.run([self._binaries / command[0], *command[1:]], cwd=self._root, env=environment)


def _explained(failure: Failure, account: Account, stack: str, began: datetime.datetime) -> Failure:
    """A failure with the resources that CloudFormation could not create, and their reasons."""
    reasons = account.failures(stack, began)
    if not reasons:
        return failure
    state = (account.stack(stack) or {}).get("StackStatus", "gone")
    again = "; correct it and run scripts/deploy --remove-failed" if state in _EMPTY_STATES else ""
    return Failure(f"cannot deploy {stack}: {'; '.join(reasons)}{again}")


_EVENT = json.dumps({"action": "reconcile"})
"""A refresh, and after an upgrade the release anew where the new software stores it in another way."""


_CONTINUE = json.dumps({"action": "refresh"})
"""While another invocation works on the publication, the answer says how far that is; if none does, this one continues."""

_STATUS = json.dumps({"version": "2.0", "rawPath": "/status", "requestContext": {"http": {"method": "GET"}}})
"""The request for /status as the gateway sends it: no edge has an older answer, and no name is too new to resolve."""

_STATUS_READS = 3
"""serve notices a release within seconds."""

_PAUSE_SECONDS = 5
_FIRST_REFRESH_SECONDS = 2 * 60 * 60
"""Longer than refresh continues a publication by itself."""


def _publish(account: Account, outputs: Mapping[str, str], serve: str) -> dict[str, Any]:
    """The report of the first publication. A large one continues over several invocations, and its progress is shown."""
    begin, shown, function = time.monotonic(), None, outputs["RefreshFunction"]
    answer = account.invoke(function, _EVENT)
    has_continued = report.is_unfinished(answer)
    while report.is_unfinished(answer):
        if time.monotonic() - begin > _FIRST_REFRESH_SECONDS:
            return {"errorType": "Timeout", "errorMessage": "the publication goes on, but not in time; /status says how far it is"}
        words = report.progress(answer)
        if words and words != shown:
            step("refresh", words)
            shown = words
        time.sleep(_PAUSE_SECONDS)
        answer = account.invoke(function, _CONTINUE)
    if answer.get("outcome") != "unchanged":
        return answer
    # The invocation that published has its report to itself.
    status = _status(account, serve, answer)
    if status is None:
        warn("refresh", f"cannot read the quarantined parts from serve; {outputs['Url']}/status lists them")
        return answer
    return report.with_status(answer, status, has_continued)


def _status(account: Account, serve: str, answer: Mapping[str, Any]) -> Optional[dict[str, Any]]:
    """The document at /status once it is about the commit of an answer of refresh, or `None`."""
    for number in range(_STATUS_READS):
        if number:
            time.sleep(_PAUSE_SECONDS)
        status = report.document(account.invoke(serve, _STATUS))
        if report.is_about(status, answer.get("commit_hash")):
            return status
    return None


def _first_refresh(account: Account, outputs: Mapping[str, str], plan: Plan) -> int:
    step("refresh", "publishing the registry repository")
    begin = time.monotonic()
    answer = _publish(account, outputs, f"{plan.deployment.stack}-serve")
    if problem := report.problem(answer):
        warn("refresh", f"failed: {problem}")
    else:
        step("refresh", report.headline(answer, (time.monotonic() - begin) * 1000))
        for text in report.quarantined(answer):
            warn("refresh", text)
    audience = plan.deployment.values["OidcAudience"]
    console.table(
        [
            ("registry", outputs["Url"]),
            ("action", f"url: {outputs['Url']}" + (f", audience: {audience}" if audience else "")),
            ("webhook", f"{outputs['WebhookUrl']} (content type application/json, push events)"),
            ("its key", f"aws secretsmanager get-secret-value --region {account.region} --query SecretString --output text"),
            ("", f"    --secret-id {outputs['WebhookSecretArn']}"),
            ("refresh", outputs["RefreshUrl"]),
            ("dashboard", outputs["DashboardUrl"]),
        ]
    )
    if problem:
        raise Failure("everything is deployed, but the first refresh failed; correct its reason and run scripts/deploy again")
    console.good(f"ready {outputs['Url']}")
    return 0
