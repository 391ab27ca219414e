"""The result of the template's transform, `AWS::Serverless`: resources of CloudFormation alone. Needs the libraries of `sam`."""

from __future__ import annotations

import copy
import importlib
import os
from typing import Any, Mapping


def translated(template: Mapping[str, Any], region: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """A template without its transform. Code must be in S3 already."""
    translator = importlib.import_module("samtranslator.translator.translator")
    parser = importlib.import_module("samtranslator.parser.parser")
    # The library asks its AWS session for the partition of the region, and nothing else.
    before = os.environ.get("AWS_DEFAULT_REGION")
    os.environ["AWS_DEFAULT_REGION"] = region
    try:
        # The policies that AWS manages are looked up by name; the template names none.
        made = translator.Translator({}, parser.Parser()).translate(copy.deepcopy(dict(template)), dict(parameters))
    finally:
        if before is None:
            del os.environ["AWS_DEFAULT_REGION"]
        else:
            os.environ["AWS_DEFAULT_REGION"] = before
    made.pop("Transform", None)
    return made
