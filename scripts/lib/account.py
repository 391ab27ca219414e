"""The AWS account that a registry is deployed to: its limits, the state of a stack, and why one failed."""

from __future__ import annotations

import datetime
import importlib
import json
import os
import re
from typing import Any, Iterator, Mapping, Optional

from .console import Failure

KEPT_UNRESERVED = 100
"""Concurrent executions that Lambda does not let an account reserve."""

_INVOKE_SECONDS = 310
"""Longer than the refresh function may run."""

_SHOWN_FAILURES = 5

_CANCELLED = re.compile(r"^Resource (creation|update) cancelled|^The following resource\(s\) failed", re.IGNORECASE)
"""Reasons that follow from the failure of another resource."""

_HINTS = (
    (r"UnreservedConcurrentExecution", "give RefreshConcurrency=none, or ask AWS for a higher quota of concurrent executions"),
    (r"must be verified before you can add", "AWS must verify a new account for CloudFront; open a case with AWS support, which takes a day"),
    (r"CNAMEAlreadyExists|One or more of the CNAMEs", "another distribution has DomainName; remove it there first"),
    (r"InvalidViewerCertificate", "the certificate must be issued, in us-east-1 and for DomainName"),
    (r"AccessDenied|is not authorized to perform|not authorized", "deploy with a role that has deploy/deployer-policy.json"),
    (r"already exists", "a resource of that name is left from another stack; remove it, or deploy with another --stack"),
    (r"LimitExceeded|exceeded the (maximum|limit)|TooMany", "ask AWS for a higher quota (docs/operators/deploy-on-aws.md has the limits)"),
)
"""Remedies for the reasons that AWS gives."""


def region_of(option: Optional[str]) -> Optional[str]:
    """The region that is asked for: boto3 by itself does not read AWS_REGION."""
    return option or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None


class Account:
    """The AWS account that the environment has credentials for."""

    def __init__(self, region: Optional[str]):
        boto3 = importlib.import_module("boto3")
        errors = importlib.import_module("botocore.exceptions")
        self._client_error = errors.ClientError
        self._errors = (errors.BotoCoreError, errors.ClientError)
        try:
            self._session = boto3.Session(region_name=region_of(region))
            if not self._session.get_credentials():
                raise Failure(
                    "there are no AWS credentials; run `aws configure` or `aws sso login`, or set AWS_PROFILE "
                    "(scripts/deploy --dry-run needs none)"
                )
            if not self._session.region_name:
                raise Failure("there is no AWS region; set AWS_REGION or give --region")
            self.region = str(self._session.region_name)
            self.number = str(self._session.client("sts").get_caller_identity()["Account"])
        except self._errors as error:
            raise Failure(f"AWS does not take the credentials of this environment: {error}") from None

    def stack(self, name: str) -> Optional[dict[str, Any]]:
        """A stack as CloudFormation describes it; none if there is no such stack."""
        try:
            return self._session.client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
        except self._client_error as error:
            if "does not exist" in str(error):
                return None
            raise Failure(f"cannot describe the stack {name}: {error}") from None

    def outputs(self, stack: str) -> dict[str, str]:
        """The outputs of a deployment."""
        found = self.stack(stack) or {}
        return {one["OutputKey"]: one["OutputValue"] for one in found.get("Outputs", [])}

    def concurrency(self, function: str) -> tuple[int, int]:
        """The concurrent executions of the account, and how many of them a function could reserve."""
        client = self._session.client("lambda")
        try:
            limit = client.get_account_settings()["AccountLimit"]
            most, free = limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]
        except self._errors as error:
            raise Failure(f"cannot read the limits of AWS Lambda: {error}") from None
        try:
            own = client.get_function_concurrency(FunctionName=function).get("ReservedConcurrentExecutions", 0)
        except self._client_error:
            own = 0
        return int(most), max(0, int(free) + int(own) - KEPT_UNRESERVED)

    def remove(self, stack: str) -> None:
        """Removes a stack and waits until it is gone."""
        client = self._session.client("cloudformation")
        began = datetime.datetime.now(datetime.timezone.utc)
        try:
            client.delete_stack(StackName=stack)
            waiter = client.get_waiter("stack_delete_complete")
            waiter.wait(StackName=stack, WaiterConfig={"Delay": 5, "MaxAttempts": 360})
        except self._errors as error:
            reasons = self.failures(stack, began) or [str(error)]
            raise Failure(f"cannot remove the stack {stack}: {'; '.join(reasons)}") from None

    def failures(self, stack: str, since: datetime.datetime) -> list[str]:
        """The resources of a stack that failed since a time, in their order, each with its reason and remedy."""
        found = [
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {reason}{_hint(reason)}"
            for event in self._events(stack)
            if event["Timestamp"] >= since
            and event["ResourceStatus"].endswith("_FAILED")
            and event["ResourceType"] != "AWS::CloudFormation::Stack"
            and not _CANCELLED.match(reason := event.get("ResourceStatusReason", "no reason given"))
        ]
        return found[::-1][:_SHOWN_FAILURES]

    def _events(self, stack: str) -> Iterator[Mapping[str, Any]]:
        """The events of a stack, the newest first."""
        try:
            pages = self._session.client("cloudformation").get_paginator("describe_stack_events")
            for page in pages.paginate(StackName=stack):
                yield from page["StackEvents"]
        except self._errors:
            return

    def invoke(self, function: str, event: str) -> dict[str, Any]:
        """Runs a function to its end and gives its answer."""
        config = importlib.import_module("botocore.config").Config(
            read_timeout=_INVOKE_SECONDS, retries={"max_attempts": 0}
        )
        try:
            client = self._session.client("lambda", config=config)
            answer = json.loads(client.invoke(FunctionName=function, Payload=event)["Payload"].read())
        except (*self._errors, OSError, ValueError) as error:
            return {"errorType": "Invoke", "errorMessage": str(error)}
        return answer if isinstance(answer, dict) else {"errorType": "Invoke", "errorMessage": f"it answered {answer!r}"}


def _hint(reason: str) -> str:
    found = next((hint for pattern, hint in _HINTS if re.search(pattern, reason)), "")
    return f" [{found}]" if found else ""
