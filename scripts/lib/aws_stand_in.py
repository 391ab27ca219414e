"""A stand-in for AWS, for tests: moto, with the services of the deployment that moto lacks.

    python -m lib.aws_stand_in PORT [CONCURRENT_EXECUTIONS]

runs with the libraries of moto and `sam`. CloudFormation knows the transform of serverless functions; a resource that fails rolls the
creation back, with an event that names it; types that moto does not know are created in name. AWS Lambda tells its limits. An
invocation answers the event that it was sent, or what `/moto-api/static/lambda-simple/response` was given before.
"""

from __future__ import annotations

import json
import secrets
import string
import sys
from typing import Any

from moto.awslambda import urls as lambda_urls
from moto.awslambda.responses import LambdaResponse
from moto.cloudformation import models, parsing
from moto.core.common_models import CloudFormationModel
from moto.core.config import default_user_config
from moto.iam.access_control import IAMRequest, S3IAMRequest
from moto.secretsmanager.models import secretsmanager_backends
from moto.server import main

from lib.aws_names import UNKNOWN_CERTIFICATE
from lib.translate import translated

_IN_NAME = {
    "AWS::ApiGatewayV2::Api": {"ApiEndpoint": "https://{name}.execute-api.{region}.amazonaws.com"},
    "AWS::ApiGatewayV2::Integration": {},
    "AWS::ApiGatewayV2::Route": {},
    "AWS::ApiGatewayV2::Stage": {},
    "AWS::CloudFront::CachePolicy": {},
    "AWS::CloudFront::Distribution": {"DomainName": "{name}.cloudfront.net"},
    "AWS::CloudFront::OriginRequestPolicy": {},
    "AWS::CloudWatch::Alarm": {"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{name}"},
    "AWS::Lambda::EventInvokeConfig": {},
    "AWS::S3::BucketPolicy": {},
    "AWS::SNS::Subscription": {},
    "AWS::SecretsManager::Secret": {},
    "AWS::WAFv2::WebACL": {"Arn": "arn:aws:wafv2:{region}:{account}:global/webacl/{name}/0"},
}
"""Types that moto's CloudFormation does not know, with the attributes that the template asks for."""


class ResourceFailure(Exception):
    """Why a resource cannot be created; reason, name and type."""


class _InName:
    kind = ""
    attributes: dict[str, str] = {}

    def __init__(self, name: str, account: str, region: str):
        self.name, self._account, self._region = name, account, region

    @property
    def physical_resource_id(self) -> str:
        return self.name

    @staticmethod
    def cloudformation_name_type() -> str:
        return ""

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.kind

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in cls.attributes

    def get_cfn_attribute(self, attribute_name: str) -> str:
        return self.attributes[attribute_name].format(name=self.name, account=self._account, region=self._region)

    @classmethod
    def create_from_cloudformation_json(cls, resource_name, cloudformation_json, account_id, region_name, **_):
        properties = cloudformation_json["Properties"]
        if cls.kind == "AWS::SecretsManager::Secret":
            letters = string.ascii_letters + string.digits
            value = "".join(secrets.choice(letters) for _ in range(properties["GenerateSecretString"]["PasswordLength"]))
            rest = {name: None for name in ("secret_binary", "kms_key_id", "client_request_token")}
            made = secretsmanager_backends[account_id][region_name].create_secret(
                name=resource_name, secret_string=value, description="", tags=[], replica_regions=[], force_overwrite=False, **rest
            )
            resource_name = (json.loads(made) if isinstance(made, str) else made)["ARN"]
        certificate = properties.get("DistributionConfig", {}).get("ViewerCertificate", {}).get("AcmCertificateArn", "")
        if certificate.endswith(UNKNOWN_CERTIFICATE):
            raise ValueError("Invalid request provided: AWS::CloudFront::Distribution: InvalidViewerCertificate: it does not exist")
        return cls(resource_name.lower() if cls.attributes else resource_name, account_id, region_name)

    @classmethod
    def update_from_cloudformation_json(cls, original_resource, *_args, **_kwargs):
        return original_resource

    @classmethod
    def delete_from_cloudformation_json(cls, *_args, **_kwargs):
        """Nothing is there to be removed."""


# moto finds its types among the direct subclasses of its model, and the service's name in that of the module.
for _kind, _attributes in _IN_NAME.items():
    _members = {"__module__": "lib.stand_in", "kind": _kind, "attributes": _attributes}
    type(_kind.replace("::", ""), (_InName, CloudFormationModel), _members)


def _transform(parse):
    """Reads templates as CloudFormation does, its transforms included."""

    def parsed(text: Any) -> dict[str, Any]:
        template = parse(text)
        if "Transform" not in template:
            return template
        defaults = {name: str(one.get("Default", "")) for name, one in template.get("Parameters", {}).items()}
        return translated(template, "us-east-1", defaults)

    return parsed


_parse = models.Stack.parse_template
models.Stack.parse_template = staticmethod(_transform(lambda text: _parse(text) if text else {}))


def _parse_change_set(self) -> None:
    self.template_dict = models.Stack.parse_template(self.template)


models.ChangeSet._parse_template = _parse_change_set

_parse_resource = parsing.parse_resource


def _without_no_value(value: Any) -> Any:
    """moto leaves `AWS::NoValue` in lists."""
    if isinstance(value, dict):
        return {name: _without_no_value(one) for name, one in value.items() if one is not None}
    return [_without_no_value(one) for one in value if one is not None] if isinstance(value, list) else value


def _parse_resource_as_aws(resource_json, resources_map):
    parsed = _parse_resource(resource_json, resources_map)
    if not parsed:
        return parsed
    model, resource, kind = parsed[0], _without_no_value(parsed[1]), parsed[2]
    if kind == "AWS::IAM::Role":
        for policy in resource["Properties"].get("Policies", []):
            policy["PolicyDocument"] = json.dumps(policy["PolicyDocument"])
    return model, resource, kind


parsing.parse_resource = _parse_resource_as_aws

_update_resource = parsing.parse_and_update_resource


def _update_resource_or_keep_it(logical_id, resource_json, resources_map, account_id, region_name):
    try:
        return _update_resource(logical_id, resource_json, resources_map, account_id, region_name)
    except AttributeError:
        # Models that have nothing to update give nothing.
        return resources_map[logical_id]


parsing.parse_and_update_resource = _update_resource_or_keep_it

_get_resource = models.ResourceMap.__getitem__


def _get_resource_or_name_it(self, key):
    try:
        return _get_resource(self, key)
    except (ResourceFailure, KeyError):
        raise
    except Exception as error:
        raise ResourceFailure(str(error), key, self._resource_json_map[key]["Type"]) from error


models.ResourceMap.__getitem__ = _get_resource_or_name_it

_execute = models.CloudFormationBackend.execute_change_set


def _execute_change_set(self, change_set_name, stack_name=None):
    stack = self.stacks[self.describe_change_set(change_set_name).stack_id]
    try:
        _execute(self, change_set_name, stack_name)
        stack._parse_template()
        stack.output_map = stack._create_output_map()
    except ResourceFailure as failure:
        reason, name, kind = failure.args
        stack.events.append(
            models.Event(
                stack_id=stack.stack_id, stack_name=stack.name, logical_resource_id=name, physical_resource_id="",
                resource_type=kind, resource_status="CREATE_FAILED", resource_status_reason=reason,
                resource_properties=None,
            )
        )  # fmt: skip
        stack._add_stack_event("ROLLBACK_IN_PROGRESS", resource_status_reason=f"The following resource(s) failed to create: [{name}].")
        stack.resource_map.delete()
        stack._add_stack_event("ROLLBACK_COMPLETE")
        stack.status = "ROLLBACK_COMPLETE"


models.CloudFormationBackend.execute_change_set = _execute_change_set


# Permissions are enforced. Signatures are not: moto computes those of some services in another way.
IAMRequest.check_signature = S3IAMRequest.check_signature = lambda _self: None


def _get_account_settings(self):
    most = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    functions = self.backend.list_functions()
    reserved = sum(int(function.reserved_concurrency or 0) for function in functions)
    limit = {"ConcurrentExecutions": most, "UnreservedConcurrentExecutions": most - reserved}
    return 200, {}, json.dumps({"AccountLimit": limit, "AccountUsage": {"FunctionCount": len(functions)}})


LambdaResponse.get_account_settings = _get_account_settings
lambda_urls.url_paths[r"{0}/(?P<api_version>[^/]+)/account-settings/?$"] = LambdaResponse.dispatch

if __name__ == "__main__":
    default_user_config["lambda"]["use_docker"] = False
    main(["--port", sys.argv[1]])
