"""Tests of deploy/deployer-policy.json: enough for the resources of the template and the calls of scripts/deploy, and no more.

The schema of a type of resources, which cfn-lint has, names the calls of CloudFormation. `test_aws` deploys with the policy.
"""

from __future__ import annotations

import fnmatch
import importlib
import json
import re
import unittest
from pathlib import Path

from .test_template import TEMPLATE, code
from .translate import translated

POLICY = json.loads(code("deploy/deployer-policy.json"))

MANAGED_POLICY_CHARACTERS = 6144
"""Longest policy that IAM takes, without white space."""

UNUSED = re.compile(
    # Other services that a resource can be connected with.
    r"^(ec2|elasticfilesystem|firehose|kms|payments|s3files|s3tables):|^iam:(Attach|Detach|.*PermissionsBoundary)"
    r"|^s3:(REST\.|GetObject$|getObject$|DeleteObject$|PutObjectAcl$)"
    # Features that the template leaves alone.
    r"|^s3:(Create|Put|Delete|Update).*(Abac|Accelerate|Acl|Analytics|Intelligent|Inventory|Journal|Annotation|Logging|Metadata|Metrics"
    r"|Notification|ObjectLock|Replication|Website).*"
    r"|^lambda:.*(AssociateRuntimeAlias|CodeSigning|GetLayerVersion|CapacityProvider|PublishVersion|PutFunctionRecursion|Scaling"
    r"|PutRuntimeManagement)"
    r"|^logs:.*(BearerToken|DataProtection|DeletionProtection|IndexPolic|KmsKey|LogDelivery|ResourcePolic)"
    r"|^sns:PutDataProtectionPolicy$|^cloudfront:.*(ConnectionGroup|StagingConfig|VpcOrigin)"
    r"|^secretsmanager:(RemoveRegions|Replicate)"
)
"""Calls that handlers of CloudFormation can make, and do not for this template."""

TOOLS = {
    "sam uploads packages and makes change sets": {
        *("cloudformation:CreateChangeSet", "cloudformation:DescribeChangeSet", "cloudformation:ExecuteChangeSet"),
        *("cloudformation:DeleteChangeSet", "cloudformation:GetTemplateSummary", "cloudformation:ListStackResources"),
        *("cloudformation:TagResource", "s3:PutObject", "s3:GetObject", "s3:GetObjectVersion"),
    },
    "the first HTTP API of an account gives the gateway a role": {"iam:CreateServiceLinkedRole"},
    "the webhook's key is shown and rotated": {"secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"},
    "functions get roles": {"iam:PassRole"},
}
"""Further calls, with the reason."""

GENERAL = {"Account"}
"""Statements on actions that know no resources."""


def called() -> set[str]:
    """The actions of scripts/deploy: the methods of boto3's clients in account.py."""
    text = code("scripts/lib/account.py")
    names = {"lambda": {"get_account_settings", "get_function_concurrency", "invoke"}}
    names |= {"cloudformation": {"describe_stacks", "delete_stack", "describe_stack_events"}, "sts": {"get_caller_identity"}}
    for service, methods in names.items():
        assert f'client("{service}"' in text, service
        for method in methods:
            assert re.search(rf'[."]{method}\b', text), method
    known = {method for methods in names.values() for method in methods}
    found = set(re.findall(r"client(?:\(\"\w+\"\))?\.(\w+)\(", text)) - {"get_paginator", "get_waiter"}
    assert found <= known, found - known
    actions = {f"{service}:{''.join(part.title() for part in m.split('_'))}" for service, ms in names.items() for m in ms}
    return {action.replace("lambda:Invoke", "lambda:InvokeFunction") for action in actions}


def needed() -> set[str]:
    """The actions that CloudFormation needs for the types of the template."""
    template = json.loads(json.dumps(TEMPLATE, default=str))
    for resource in template["Resources"].values():
        if "CodeUri" in resource.get("Properties", {}):
            resource["Properties"]["CodeUri"] = {"Bucket": "bucket", "Key": "key"}
    made = translated(template, "us-east-1", {name: "" for name in TEMPLATE["Parameters"]})
    types = {resource["Type"] for resource in made["Resources"].values()}
    folder = Path(importlib.import_module("cfnlint").__file__).parent / "data/schemas/resources"
    actions: set[str] = set()
    for path in folder.glob("*.json"):
        text = path.read_text()
        schema = json.loads(text) if any(f'"{one}"' in text for one in types) else {}
        if schema.get("typeName") in types:
            types.discard(schema["typeName"])
            handlers = {name: one for name, one in schema["handlers"].items() if name != "list"}
            actions |= {action for handler in handlers.values() for action in handler["permissions"]}
    assert not types, f"no schema has what {types} needs"
    return {action for action in actions if not UNUSED.search(action)}


def allowed() -> list[str]:
    found = []
    for statement in POLICY["Statement"]:
        actions = statement["Action"]
        found += actions if isinstance(actions, list) else [actions]
    return found


class Policy(unittest.TestCase):
    def test_policy_allows_all_that_the_template_and_the_scripts_need(self) -> None:
        wanted = needed() | called() | set().union(*TOOLS.values())
        lacking = {action for action in wanted if not any(fnmatch.fnmatchcase(action, one) for one in allowed())}
        self.assertEqual(lacking, set())

    def test_policy_allows_nothing_that_neither_needs(self) -> None:
        wanted = needed() | called() | set().union(*TOOLS.values())
        idle = [one for one in allowed() if not any(fnmatch.fnmatchcase(action, one) for action in wanted)]
        self.assertEqual(idle, [])
        self.assertFalse([one for one in allowed() if one.endswith(":*")], "a service as a whole is more than any deployment needs")

    def test_policy_is_about_resources_of_the_stack_alone(self) -> None:
        for statement in POLICY["Statement"]:
            resources = statement["Resource"]
            for resource in resources if isinstance(resources, list) else [resources]:
                if statement["Sid"] not in GENERAL:
                    self.assertNotEqual(resource, "*", statement["Sid"])
        named = {"Roles", "Functions", "Logs", "Schedule", "Queue", "AlarmTopic", "Alarms"}
        for statement in POLICY["Statement"]:
            if statement["Sid"] in named:
                self.assertIn("devfile-registry-", json.dumps(statement["Resource"]), statement["Sid"])

    def test_policy_is_no_longer_than_iam_takes(self) -> None:
        self.assertLessEqual(len(json.dumps(POLICY, separators=(",", ":"))), MANAGED_POLICY_CHARACTERS)

    def test_page_names_the_policy(self) -> None:
        self.assertTrue("deploy/deployer-policy.json" in code("docs/operators/deploy-on-aws.md"))
