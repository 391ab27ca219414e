"""Signed S3 requests without a body: is the bucket there, and make one.

An S3 server answers unsigned requests long before it is of use, and a stranger's server on the same port answers them
as well. Only a signed one shows that it is ours, knows our key, and has made the bucket.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import http.client
from typing import Optional

_EMPTY = hashlib.sha256(b"").hexdigest()


def sign(
    method: str, host: str, path: str, *, access_key: str, secret_key: str, region: str, now: datetime.datetime
) -> dict[str, str]:
    """The headers of a request without body and query, signed as AWS Signature Version 4 prescribes."""
    moment = now.strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": host, "x-amz-content-sha256": _EMPTY, "x-amz-date": moment}
    names = ";".join(sorted(headers))
    canonical = "\n".join(
        [method, path, "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, _EMPTY]
    )
    scope = [moment[:8], region, "s3", "aws4_request"]
    text = "\n".join(["AWS4-HMAC-SHA256", moment, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    signature = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key}/{'/'.join(scope)}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


def bucket_exists(port: int, bucket: str, access_key: str, secret_key: str, region: str) -> bool:
    """Whether the S3 server on a loopback port has the bucket and lets us in."""
    return _ask("HEAD", port, bucket, access_key, secret_key, region)


def create_bucket(port: int, bucket: str, access_key: str, secret_key: str, region: str) -> bool:
    """Makes a bucket on the S3 server on a loopback port; whether it did."""
    return _ask("PUT", port, bucket, access_key, secret_key, region)


def _ask(method: str, port: int, bucket: str, access_key: str, secret_key: str, region: str) -> bool:
    headers = sign(
        method,
        f"127.0.0.1:{port}",
        f"/{bucket}",
        access_key=access_key,
        secret_key=secret_key,
        region=region,
        now=datetime.datetime.now(datetime.timezone.utc),
    )
    return get_status(port, f"/{bucket}", method=method, headers=headers) == 200


def get_status(port: int, path: str, method: str = "GET", headers: Optional[dict[str, str]] = None) -> Optional[int]:
    """The status that a loopback server answers with, or None while it does not answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request(method, path, headers=headers or {})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
