"""The template that the console's "create stack" takes: one file, with nothing to build and nothing to upload.

Functions need their code in a bucket of the stack's own region. So the stack has a function of its own, in the template as text, that
fetches the packages of the release, checks their digests and puts them into the cache bucket before the others are created.
"""

from __future__ import annotations

import copy
import hashlib
import json
from pathlib import Path
from typing import Any, Mapping, Optional

from .packages import ARCHITECTURES, FUNCTIONS
from .translate import translated

INLINE_CHARACTERS = 4096
"""Longest code that CloudFormation takes as text."""

PREFIX = "packages/"
"""The place of the packages in the bucket. Neither function may write there."""

_FETCH = Path(__file__).with_name("fetch_packages.py")

_RUNTIME = "python3.13"


def packaged(template: Mapping[str, Any], digests: Mapping[str, str], url: Optional[str]) -> dict[str, Any]:
    """The template of a release, from that of the checkout and the digests of its packages. `url` is where the packages are."""
    prepared = copy.deepcopy(dict(template))
    programs = {}
    for name, resource in prepared["Resources"].items():
        if code := resource.get("Properties", {}).get("CodeUri"):
            programs[name] = code.rpartition("/")[2]
            resource["Properties"]["CodeUri"] = {"Bucket": "replaced", "Key": "below"}
    defaults = {name: str(one.get("Default", "")) for name, one in template["Parameters"].items()}
    made = translated(prepared, "us-east-1", defaults)
    _add_parameter(made, url)
    made["Conditions"]["IsArm"] = {"Fn::Equals": [{"Ref": "Architecture"}, "arm64"]}
    resources = made["Resources"]
    resources.update(_fetcher(digests))
    for name, program in programs.items():
        key = {"Fn::Sub": f"{_folder(digests)}/{program}-${{Architecture}}.zip"}
        resources[name]["Properties"]["Code"] = {"S3Bucket": {"Ref": "CacheBucket"}, "S3Key": key}
        resources[name]["DependsOn"] = ["Packages"]
    return made


def _add_parameter(made: dict[str, Any], url: Optional[str]) -> None:
    parameter = {
        "Type": "String",
        "Description": "The URL of the packages of this release.",
        "AllowedPattern": "^https://[A-Za-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._~+-]+)*$",
        "ConstraintDescription": "must be an https URL without a slash at its end",
    }
    made["Parameters"]["PackagesUrl"] = {**parameter, **({"Default": url} if url else {})}
    groups = made["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    groups.append({"Label": {"default": "Release"}, "Parameters": ["PackagesUrl"]})


def _folder(digests: Mapping[str, str]) -> str:
    """Another one for every release, so that an update fetches its packages."""
    return PREFIX + hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]


def _fetcher(digests: Mapping[str, str]) -> dict[str, Any]:
    """The function that fetches packages, its role and its use."""
    bucket = {"Fn::GetAtt": ["CacheBucket", "Arn"]}
    statements = [
        {
            "Effect": "Allow",
            "Action": ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
            "Resource": {"Fn::Sub": f"${{CacheBucket.Arn}}/{PREFIX}*"},
        },
        {"Effect": "Allow", "Action": "s3:ListBucketVersions", "Resource": bucket},
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": {"Fn::GetAtt": ["FetchPackagesLog", "Arn"]},
        },
    ]
    lambda_may = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    digest = lambda function: {"Fn::If": ["IsArm", *(digests[f"{function}-{one}.zip"] for one in ARCHITECTURES)]}  # noqa: E731
    return {
        "FetchPackagesLog": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {"LogGroupName": {"Fn::Sub": "/aws/lambda/${AWS::StackName}-fetch-packages"}, "RetentionInDays": 7},
        },
        "FetchPackagesRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [lambda_may]},
                "Policies": [
                    {"PolicyName": "fetch", "PolicyDocument": {"Version": "2012-10-17", "Statement": statements}},
                ],
            },
        },
        "FetchPackages": {
            "Type": "AWS::Lambda::Function",
            "Properties": {
                "FunctionName": {"Fn::Sub": "${AWS::StackName}-fetch-packages"},
                "Description": "Fetches the packages of both functions when the stack is created or updated",
                "Runtime": _RUNTIME,
                "Handler": "index.handler",
                "Timeout": 300,
                "MemorySize": 256,
                "Role": {"Fn::GetAtt": ["FetchPackagesRole", "Arn"]},
                "LoggingConfig": {"LogFormat": "JSON", "LogGroup": {"Ref": "FetchPackagesLog"}},
                "Code": {"ZipFile": _FETCH.read_text()},
            },
        },
        "Packages": {
            "Type": "Custom::Packages",
            "Properties": {
                "ServiceToken": {"Fn::GetAtt": ["FetchPackages", "Arn"]},
                "ServiceTimeout": 330,
                "Url": {"Ref": "PackagesUrl"},
                "Bucket": {"Ref": "CacheBucket"},
                "Folder": _folder(digests),
                "Packages": [
                    {"Name": {"Fn::Sub": f"{function}-${{Architecture}}.zip"}, "Sha256": digest(function)} for function in FUNCTIONS
                ],
            },
        },
    }
