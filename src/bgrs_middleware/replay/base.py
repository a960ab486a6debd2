"""What both gateways share: the mark by which a replay is known, what an application looks like, how either is copied.

A replay runs one `Job` (`service/job.py`) against the application, feeds its recorder and tells its listener, once.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, Protocol

REPLAY_KEY = "bgrs_middleware.replay"
"""The key in the ASGI scope and the WSGI environ that holds the `Run` of a replay; no client can set it."""

_PARSED = ("bottle.request", "_ls_connection_state")
"""What the names begin with under which Bottle (environ) and Litestar (scope, `state`) keep what they have parsed."""


class Application(Protocol):
    """A wrapped application, of either gateway."""

    def __call__(self, *args: Any) -> Any: ...


def copied(gateway: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a scope or environ to write into: its dictionaries, lists and sets are copies too, one level down.

    What a framework has parsed of the request and keeps there stays behind: the copy becomes another request's.
    """
    return {name: _copied_value(value) for name, value in _unparsed(gateway).items()}


def _copied_value(value: Any) -> Any:
    if type(value) is dict:
        return _unparsed(value)
    return copy(value) if isinstance(value, (dict, list, set)) else value


def _unparsed(gateway: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in gateway.items() if not str(name).startswith(_PARSED)}
