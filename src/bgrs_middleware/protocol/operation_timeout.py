"""How long a `:wait` may take: its body is a google.longrunning.WaitOperationRequest in JSON.

Its only field that matters is `timeout`, a google.protobuf.Duration, in JSON a text such as "10s" or "0.5s". The name
stands in the path; what else stands in the body is ignored, as fields that a later version may have.
"""

from __future__ import annotations

import json
import re

from ..errors import BadRequest

_DURATION = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?s")


def read_timeout(body: bytes) -> float | None:
    """Return the timeout in seconds, or None where the body says nothing of it.

    Raises:
        BadRequest: it is no JSON object, or its `timeout` is no duration of 0 or more; then it names the field.
    """
    if not body.strip():
        return None
    timeout = _message(body).get("timeout")
    if timeout is None:
        return None
    if not isinstance(timeout, str) or _DURATION.fullmatch(timeout) is None:
        raise BadRequest('timeout takes a duration in seconds with an "s", such as "10s" or "2.5s".', field="timeout")
    return float(timeout[:-1])


def _message(body: bytes) -> dict[str, object]:
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise BadRequest('The body must be a JSON object such as {"timeout": "10s"}, or empty.')
    return message
