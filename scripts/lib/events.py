"""Log lines of the functions, as people read them.

The functions write one JSON object a line. The files keep it whole; the terminal shows its message.
"""

from __future__ import annotations

import json

_LEFT_OUT = ("timestamp", "level", "message", "span", "spans", "target", "request_id", "xray")
"""Fields that the terminal need not show: time passes at the same speed there, and nobody looks ids up."""


def readable(text: str) -> str:
    """A line for people. A line that is no event stays as it is."""
    try:
        event = json.loads(text)
    except ValueError:
        return text
    if not isinstance(event, dict) or "message" not in event:
        return text
    level = str(event.get("level", "INFO"))
    head = [] if level == "INFO" else [level]
    fields = [f"{name}={_value(value)}" for name, value in event.items() if name not in _LEFT_OUT]
    return " ".join([*head, str(event["message"]), *fields])


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return json.dumps(text) if " " in text and isinstance(value, str) else text
