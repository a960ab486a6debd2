"""Whether a request asks to be run in the background, and how long its caller waits for the answer (CONTRACT, 1).

Three ways lead there: the marker in the query, the header `Prefer: respond-async`, a rule. The marker's `no` beats the
other two. Whatever cannot be understood is refused before anything is recorded.
"""

from __future__ import annotations

import re

from ..errors import BadRequest
from ..hot import hot_dataclass
from ..settings import Rule, Settings
from . import prefer, query
from .idempotency import read_key
from .message import RequestHead
from .rules import NEVER_ASKED, Rules

WAIT_FOR = b"wait_for"

_MEANINGS = {"yes": True, "1": True, "true": True, "no": False, "0": False, "false": False}
_NUMBER = re.compile(r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MAX_NUMBER_LENGTH = 100


@hot_dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request asked for in the background.

    `wait_seconds` is already within `max_wait_seconds`. `rule` is the rule that matched, whether or not it was what
    asked. `by_prefer`: the header `Prefer` asked for it, alone or beside another way. `idempotency_key` is what the
    header of that name says, None without it.
    """

    wait_seconds: float
    rule: Rule | None
    by_prefer: bool
    idempotency_key: str | None = None


def read_ask(head: RequestHead, settings: Settings, rules: Rules) -> Ask | None:
    """Return what is asked for, or None for an ordinary request, which is passed on untouched.

    Raises:
        BadRequest: the marker has no known meaning or two of them, `wait_for` beside it is no number of seconds, or
            the `Idempotency-Key` beside it cannot be understood.
    """
    if head.method in NEVER_ASKED:
        return None
    marker = _marker(head.query, settings.param)
    if marker is False:
        return None
    preferences = prefer.parse(head.header_values(b"prefer"))
    rule = rules.match(head.method, head.route_path)
    by_rule = rule is not None and rule.background
    if not (marker or preferences.respond_async or by_rule):
        return None
    return Ask(
        wait_seconds=min(_wait_seconds(head, preferences, rule, settings), settings.max_wait_seconds),
        rule=rule,
        by_prefer=preferences.respond_async,
        idempotency_key=read_key(head),
    )


def read_batch_ask(head: RequestHead, settings: Settings) -> Ask:
    """Return how a batch is asked for. It needs no marker, and no rule holds for it.

    Raises:
        BadRequest: as `read_ask`.
    """
    preferences = prefer.parse(head.header_values(b"prefer"))
    return Ask(
        wait_seconds=min(_wait_seconds(head, preferences, None, settings), settings.max_wait_seconds),
        rule=None,
        by_prefer=preferences.respond_async,
        idempotency_key=read_key(head),
    )


def read_wait(head: RequestHead, settings: Settings, default: float) -> float:
    """Return how many seconds a route waits: `wait_for` if given, else `default`, at most `max_wait_seconds`.

    Raises:
        BadRequest: `wait_for` is no number of seconds, or given twice with different numbers.
    """
    asked = _wait_for(head.query)
    return min(default if asked is None else asked, settings.max_wait_seconds)


def says_wait(head: RequestHead) -> bool:
    """Tell whether the client itself says how long to wait."""
    return _wait_for(head.query) is not None


def _marker(raw_query: bytes, param: str) -> bool | None:
    """What the marker says; None where there is none."""
    name = param.encode()
    if raw_query == name + b"=yes":
        return True  # As nearly all say it.
    texts = query.values(raw_query, name)
    if not texts:
        return None
    found = {_MEANINGS.get(text.lower()) for text in texts}
    if None in found:
        raise BadRequest(f"{param} takes yes or no (or 1, true, 0, false).")
    if len(found) > 1:
        raise BadRequest(f"{param} is given more than once, with different meanings.")
    return found.pop()


def _wait_seconds(head: RequestHead, preferences: prefer.Preferences, rule: Rule | None, settings: Settings) -> float:
    """The first that says something: `wait_for`, `Prefer: wait`, the rule, the setting."""
    seconds = _wait_for(head.query)
    if seconds is None:
        seconds = preferences.wait_seconds
    if seconds is None and rule is not None:
        seconds = rule.wait_seconds
    return settings.default_wait_seconds if seconds is None else seconds


def _wait_for(raw_query: bytes) -> float | None:
    texts = query.values(raw_query, WAIT_FOR)
    if not texts:
        return None
    found = {_seconds(text) for text in texts}
    if len(found) > 1:
        raise BadRequest("wait_for is given more than once, with different numbers.")
    return found.pop()


def _seconds(text: str) -> float:
    # Not `float` alone: it takes "nan", "inf", "1_0", spaces and other scripts' digits.
    if len(text) > _MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(text):
        raise BadRequest("wait_for takes a number of seconds, 0 or more, such as 2.5.")
    return float(text)
