"""The parameters of template.yaml: each one checked as CloudFormation will, and every combination that it would refuse or ignore.

`refusals` is the one list of those. The rules of the template refuse the same where a rule can express it, for stacks that are created
in the console; a test compares both.
"""

from __future__ import annotations

import difflib
import re
from typing import Any, Mapping, NamedTuple

from . import console
from .console import Failure

_NEEDS = (
    ("DomainName", "CertificateArn"),
    ("CertificateArn", "DomainName"),
    ("HostedZoneId", "DomainName"),
    ("OciUsername", "OciPasswordSecretArn"),
    ("OciUsername", "OciRegistry"),
    ("OciPasswordSecretArn", "OciUsername"),
    ("GitHubAppId", "GitHubAppKeySecretArn"),
    ("GitHubAppKeySecretArn", "GitHubAppId"),
    ("OidcAudience", "OidcRepositoryId"),
    ("OidcRepositoryId", "OidcAudience"),
    ("OidcJobWorkflowRef", "OidcAudience"),
    ("OidcIssuer", "OidcAudience"),
)
"""Parameters that are refused or without effect unless the second one of the pair has a value, too."""

_EXCLUDES = (("GitHubAppId", "GitHubTokenSecretArn"),)

_ECR = re.compile(r"^[0-9]{12}\.dkr\.ecr\.([a-z0-9-]+)\.amazonaws\.com(\.cn)?(/.+)?$")

_FIREWALL_REGION = "us-east-1"

_ECR_TAGS = 50
"""Most tags of a repository in ECR."""


class Deployment(NamedTuple):
    """A stack with the values that all its parameters are going to have."""

    stack: str
    region: str
    values: Mapping[str, str]

    @classmethod
    def of(
        cls, stack: str, region: str, described: Mapping[str, Any], before: Mapping[str, str], given: Mapping[str, str]
    ) -> Deployment:
        """Given values count before deployed ones, and those before the defaults."""
        defaults = {name: str(parameter.get("Default", "")) for name, parameter in described.items()}
        kept = {name: value for name, value in before.items() if name in described}
        return cls(stack, region, {**defaults, **kept, **given})

    def oci_registry(self, account: str) -> str:
        """The OCI registry that refresh pushes to."""
        suffix = ".cn" if self.region.startswith("cn-") else ""
        return self.values["OciRegistry"] or f"{account}.dkr.ecr.{self.region}.amazonaws.com{suffix}/{self.stack}"


def refusals(deployment: Deployment) -> list[str]:
    """Every reason for which CloudFormation would refuse the deployment, or ignore a part of it."""
    values, region = deployment.values, deployment.region
    found = [f"{name} needs {needed}" for name, needed in _NEEDS if values[name] and not values[needed]]
    found += [f"{name} and {other} exclude each other" for name, other in _EXCLUDES if values[name] and values[other]]
    if values["RateLimit"] not in ("", "0") and region != _FIREWALL_REGION:
        found.append(f"RateLimit needs a stack in {_FIREWALL_REGION}, not {region}: CloudFront's firewall is created there only")
    for name, value in values.items():
        of = value.split(":")
        if name.endswith("SecretArn") and len(of) > 3 and of[3] != region:
            found.append(f"{name} is a secret in {of[3]}; the stack is in {region}, whose function reads secrets of its own region")
    if not values["OciRegistry"] and deployment.stack != deployment.stack.lower():
        found.append(f"the stack {deployment.stack} has capital letters, which repositories of ECR below its name cannot have")
    if not values["OciRegistry"] and re.search(r"--|-$", deployment.stack):
        found.append(f"the stack {deployment.stack} has a name that repositories of ECR below it cannot have; single hyphens inside alone")
    ecr = _ECR.match(values["OciRegistry"])
    if values["OciRegistry"] and not ecr:
        found += [f"{name} needs an OciRegistry in ECR" for name in ("EcrKmsKeyArn", "EcrTags") if values[name]]
    found += _wrong_tags(values["EcrTags"])
    where = ecr[1] if ecr else region
    if values["EcrKmsKeyArn"] and (key := values["EcrKmsKeyArn"].split(":")[3]) != where:
        found.append(f"EcrKmsKeyArn is a key in {key}; ECR takes keys of the registry's region alone, which is {where}")
    if ecr and values["OciUsername"]:
        found.append("OciUsername and an OciRegistry in ECR exclude each other: the function's role opens ECR")
    if ecr and not ecr[3]:
        found.append("OciRegistry needs a prefix behind the host of ECR, such as /acme, which the function's role is limited to")
    return found


def _wrong_tags(text: str) -> list[str]:
    """The tags that ECR does not take, although they match the pattern of the parameter. refresh would end at each start."""
    keys = [tag.partition("=")[0].strip() for tag in text.split(",") if text]
    found = [f"EcrTags has {len(keys)} tags; ECR takes {_ECR_TAGS} at most"] if len(keys) > _ECR_TAGS else []
    reserved = [key for key in keys if key.lower().startswith("aws:")]
    found += [f"EcrTags has the key {key}; AWS keeps keys with aws: at their beginning for itself" for key in reserved]
    twice = [key for number, key in enumerate(keys) if key in keys[:number]]
    return found + [f"EcrTags has the key {key} twice" for key in dict.fromkeys(twice)]


def check(described: Mapping[str, Any], arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """The parameters that were given, and every mistake in them. A value that is refused is not shown: it may be a secret."""
    given: dict[str, str] = {}
    problems = []
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            problems.append(f"{name if name in described else 'an argument'} is not PARAMETER=VALUE")
        elif name not in described:
            near = difflib.get_close_matches(name, described, 1, 0.5)
            problems.append(f"there is no parameter {name}" + (f"; did you mean {near[0]}?" if near else ""))
        elif name in given:
            problems.append(f"{name} is given twice")
        elif reason := _complaint(described[name], value):
            problems.append(f"{name} {reason}")
        given[name] = value
    return given, problems


def missing(described: Mapping[str, Any], given: Mapping[str, str]) -> list[str]:
    """The parameters that a first deployment lacks."""
    lacking = [name for name, parameter in described.items() if "Default" not in parameter and name not in given]
    return [f"the first deployment needs {name}=... ({described[name]['Description']})" for name in lacking]


def refuse(problems: list[str]) -> None:
    """Fails with all problems at once, if there are any."""
    if problems:
        raise Failure(f"cannot deploy: {'; '.join(problems)}")


def show(described: Mapping[str, Any]) -> None:
    """Lists the parameters for a person."""
    for name, parameter in described.items():
        default = f" ({parameter['Default'] or 'empty'})" if "Default" in parameter else " (required)"
        console.line(f"{name}{default}\n    {parameter['Description']}")


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
