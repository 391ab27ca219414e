"""Runs in AWS Lambda, as text in a template (see create_stack.py): brings the packages of a release into the stack's bucket."""

import hashlib
import urllib.request

import boto3
import cfnresponse

MOST_BYTES = 64 << 20


def handler(event, context):
    wanted = event["ResourceProperties"]
    names = "+".join(one["Name"] for one in wanted["Packages"])
    identity = f"{wanted['Folder']}/{names}"
    try:
        if event["RequestType"] == "Delete":
            remove(wanted["Bucket"], event["PhysicalResourceId"])
            identity = event["PhysicalResourceId"]
        else:
            for package in wanted["Packages"]:
                fetch(wanted, package["Name"], package["Sha256"])
        cfnresponse.send(event, context, cfnresponse.SUCCESS, {}, identity)
    except Exception as error:
        # CloudFormation shows the reason, and waits for an hour where it gets no answer.
        cfnresponse.send(event, context, cfnresponse.FAILED, {}, identity, reason=f"cannot fetch the packages: {error}")


def fetch(wanted, name, digest):
    url = f"{wanted['Url']}/{name}"
    with urllib.request.urlopen(url, timeout=60) as answer:
        content = answer.read(MOST_BYTES)
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{url} is not the package of this release: its digest differs")
    boto3.client("s3").put_object(Bucket=wanted["Bucket"], Key=f"{wanted['Folder']}/{name}", Body=content)


def remove(bucket, identity):
    folder, _, names = identity.rpartition("/")
    if not folder.startswith("packages/"):
        return
    s3 = boto3.client("s3")
    for name in names.split("+"):
        # With all versions, so that a bucket whose stack failed is empty.
        found = s3.list_object_versions(Bucket=bucket, Prefix=f"{folder}/{name}")
        for version in found.get("Versions", []) + found.get("DeleteMarkers", []):
            s3.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])
