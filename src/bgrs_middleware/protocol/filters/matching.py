"""What a filter asks of a record: a small tree over the record's own fields, and whether a record meets it.

Every condition is true or false, never unknown: `Not` is the plain opposite, as in Python, also where a value is
missing. A store that evaluates the same tree in SQL must say the same as `matches`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ...models import Record
from ..operation_state import OperationState, state_of
from .tokens import Comparator

Order = Literal[Comparator.EQUAL, Comparator.LESS, Comparator.AT_MOST, Comparator.GREATER, Comparator.AT_LEAST]
"""How numbers and texts are compared. There is no "unequal": that is `Not` of "equal"."""

OPERATORS: dict[Order, Callable[[Any, Any], Any]] = {
    Comparator.EQUAL: operator.eq,
    Comparator.LESS: operator.lt,
    Comparator.AT_MOST: operator.le,
    Comparator.GREATER: operator.gt,
    Comparator.AT_LEAST: operator.ge,
}
"""Of Python, which SQLAlchemy's columns take too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AllOf:
    """All of these; none of them is always true."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnyOf:
    """At least one of these."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The opposite of this."""

    condition: Condition


@dataclass(frozen=True, slots=True, kw_only=True)
class StateIn:
    """The operation is in one of these states, of which there may be none."""

    states: frozenset[OperationState]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeLike:
    """The type consists of these parts, in order, with any text (or none) between each two. Letters' case counts."""

    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeCompared:
    """The type stands in this order to a text, code point by code point."""

    order: Order
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWithin:
    """A time (seconds since the epoch) is `at_least` this and `below` that; None is no bound."""

    column: Literal["created_at", "updated_at"]
    at_least: float | None = None
    below: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressCompared:
    """The progress is known, and stands in this order to a number of percent."""

    order: Order
    percent: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressKnown:
    """The progress is known."""


Comparison = StateIn | TypeLike | TypeCompared | TimeWithin | ProgressCompared | ProgressKnown
Condition = AllOf | AnyOf | Not | Comparison


def matches(condition: Condition, record: Record) -> bool:
    """Tell whether a record meets a condition."""
    match condition:
        case AllOf():
            return all(matches(each, record) for each in condition.conditions)
        case AnyOf():
            return any(matches(each, record) for each in condition.conditions)
        case Not():
            return not matches(condition.condition, record)
        case StateIn():
            return state_of(record.status, record.http_status) in condition.states
        case TypeLike():
            return is_like(record.type, condition.parts)
        case TypeCompared():
            return bool(OPERATORS[condition.order](record.type, condition.text))
        case TimeWithin():
            return _is_within(record.created_at if condition.column == "created_at" else record.updated_at, condition)
        case ProgressCompared():
            known = record.progress is not None
            return known and bool(OPERATORS[condition.order](record.progress, condition.percent))
        case ProgressKnown():
            return record.progress is not None


def is_like(text: str, parts: tuple[str, ...]) -> bool:
    """Tell whether a text consists of these parts with anything between them.

    Each part is looked for once, at the first place where it can be: no pattern makes it try again.
    """
    if len(parts) == 1:
        return text == parts[0]
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    start, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, start, end)
        if found < 0:
            return False
        start = found + len(part)
    return True


def _is_within(time: float, condition: TimeWithin) -> bool:
    is_late_enough = condition.at_least is None or time >= condition.at_least
    return is_late_enough and (condition.below is None or time < condition.below)
