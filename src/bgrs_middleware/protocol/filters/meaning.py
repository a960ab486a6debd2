"""What a filter means: each comparison that the grammar found becomes a condition on the record's own fields.

    type, TYPE                          texts; `*` in a value of = != : stands for any text, or none
    done                                true or false; = != :
    metadata.state                      PENDING, RUNNING, CANCELLING, SUCCEEDED, FAILED, CANCELLED; = != : and `*`
    metadata.createTime, .updateTime    RFC 3339, compared as they are shown: rounded to microseconds
    metadata.progressPercent            numbers; while it is unknown only != and NOT are true of it

`:` is "has": for one value the same as =, and `field:*` asks whether there is a value at all. `NOT a = b` is `a != b`,
also where there is no value. A value may stand in quotes or not. Fields and values are written in exactly this case.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Literal, NoReturn

from ..operation_state import DONE, OperationState, first_seconds
from . import grammar
from .grammar import Comparison
from .matching import (
    AllOf,
    AnyOf,
    Condition,
    Not,
    Order,
    ProgressCompared,
    ProgressKnown,
    StateIn,
    TimeWithin,
    TypeCompared,
    TypeLike,
    is_like,
)
from .tokens import Comparator, quoted, refuse

_EVERYTHING = AllOf(conditions=())
_ANY_VALUE = ("", "")
_EQUALITIES = (Comparator.EQUAL, Comparator.UNEQUAL, Comparator.HAS)
_ORDERS: dict[Comparator, Order] = {
    Comparator.EQUAL: Comparator.EQUAL,
    Comparator.UNEQUAL: Comparator.EQUAL,
    Comparator.HAS: Comparator.EQUAL,
    Comparator.LESS: Comparator.LESS,
    Comparator.AT_MOST: Comparator.AT_MOST,
    Comparator.GREATER: Comparator.GREATER,
    Comparator.AT_LEAST: Comparator.AT_LEAST,
}
"""`!=` is the opposite of what this says; see `_opposite_where_unequal`."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS_PER_MICROSECOND = 1_000
_NANOSECONDS_PER_SECOND = 1_000_000_000
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_NUMBER = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,20})?(?:[eE][+-]?[0-9]{1,3})?")


def condition_of(text: str) -> Condition:
    """Read a filter (AIP-160) of a list of operations. The empty one, or white space, is met by all.

    Raises:
        InvalidFilter: with the position, the field where it is about one, and what is allowed there.
    """
    return _condition(grammar.parse(text))


def _condition(expression: grammar.Expression) -> Condition:
    match expression:
        case grammar.And():
            return AllOf(conditions=tuple(map(_condition, expression.terms)))
        case grammar.Or():
            return AnyOf(conditions=tuple(map(_condition, expression.terms)))
        case grammar.Not():
            return Not(condition=_condition(expression.term))
        case Comparison():
            return _meaning(expression)


def _meaning(comparison: Comparison) -> Condition:
    meaning = FIELDS.get(comparison.field)
    if meaning is None:
        known = ", ".join(FIELDS)
        what = f"{quoted(comparison.field)} is no field of a filter; the fields are {known}."
        refuse(comparison.position, what, field=comparison.field)
    return meaning(comparison)


def _type(comparison: Comparison) -> Condition:
    value = comparison.value
    if comparison.comparator in _EQUALITIES:
        return _opposite_where_unequal(comparison, TypeLike(parts=value.parts))
    if value.has_wildcard:
        _refuse_value(comparison, "a text without `*`, which has a meaning only after =, != and :")
    return TypeCompared(order=_ORDERS[comparison.comparator], text=value.text)


def _done(comparison: Comparison) -> Condition:
    _require_equality(comparison)
    if _asks_for_any_value(comparison):
        return _EVERYTHING
    if comparison.value.parts not in (("true",), ("false",)):
        _refuse_value(comparison, "true or false")
    is_done = StateIn(states=DONE if comparison.value.text == "true" else frozenset(OperationState) - DONE)
    return _opposite_where_unequal(comparison, is_done)


def _state(comparison: Comparison) -> Condition:
    _require_equality(comparison)
    states = frozenset(state for state in OperationState if is_like(state, comparison.value.parts))
    if not states and not comparison.value.has_wildcard:
        _refuse_value(comparison, f"one of {', '.join(OperationState)}")
    return _opposite_where_unequal(comparison, StateIn(states=states))


def _create_time(comparison: Comparison) -> Condition:
    return _time(comparison, "created_at")


def _update_time(comparison: Comparison) -> Condition:
    return _time(comparison, "updated_at")


def _time(comparison: Comparison, column: Literal["created_at", "updated_at"]) -> Condition:
    """A filter's time may lie between two microseconds; a record's is a whole number of them."""
    if _asks_for_any_value(comparison):
        return _EVERYTHING
    nanoseconds = _nanoseconds(comparison)
    not_before = first_seconds(-(-nanoseconds // _NANOSECONDS_PER_MICROSECOND))
    after = first_seconds(nanoseconds // _NANOSECONDS_PER_MICROSECOND + 1)
    match _ORDERS[comparison.comparator]:
        case Comparator.LESS:
            return TimeWithin(column=column, below=not_before)
        case Comparator.AT_MOST:
            return TimeWithin(column=column, below=after)
        case Comparator.GREATER:
            return TimeWithin(column=column, at_least=after)
        case Comparator.AT_LEAST:
            return TimeWithin(column=column, at_least=not_before)
        case Comparator.EQUAL:
            return _opposite_where_unequal(comparison, TimeWithin(column=column, at_least=not_before, below=after))


def _nanoseconds(comparison: Comparison) -> int:
    """The value as RFC 3339 has it, in nanoseconds since the epoch. Leap seconds are no times, as for Google."""
    found = _TIME.fullmatch(comparison.value.text)
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
        since = datetime(year, month, day, hour, minute, second, tzinfo=UTC) - _EPOCH
    except ValueError:
        _refuse_value(comparison, "a time as RFC 3339 has it, such as 2026-01-31T12:00:00.5Z")
    fraction, sign, hours, minutes = found.group(7, 8, 9, 10)
    if sign is not None:
        since -= timedelta(hours=int(hours), minutes=int(minutes)) * (1 if sign == "+" else -1)
    return since // timedelta(seconds=1) * _NANOSECONDS_PER_SECOND + int((fraction or "").ljust(9, "0"))


def _progress(comparison: Comparison) -> Condition:
    if _asks_for_any_value(comparison):
        return ProgressKnown()
    text = comparison.value.text
    percent = float(text) if _NUMBER.fullmatch(text) else math.inf
    if not math.isfinite(percent):
        _refuse_value(comparison, "a number of percent")
    compared = ProgressCompared(order=_ORDERS[comparison.comparator], percent=percent)
    return _opposite_where_unequal(comparison, compared)


def _opposite_where_unequal(comparison: Comparison, equal: Condition) -> Condition:
    return Not(condition=equal) if comparison.comparator is Comparator.UNEQUAL else equal


def _asks_for_any_value(comparison: Comparison) -> bool:
    return comparison.comparator is Comparator.HAS and comparison.value.parts == _ANY_VALUE


def _require_equality(comparison: Comparison) -> None:
    if comparison.comparator not in _EQUALITIES:
        what = f"{quoted(comparison.field)} can be compared with = != : alone."
        refuse(comparison.position, what, field=comparison.field)


def _refuse_value(comparison: Comparison, expected: str) -> NoReturn:
    value = comparison.value
    what = f"{quoted(comparison.field)} is compared with {quoted(value.text)}; it takes {expected}."
    refuse(value.position, what, field=comparison.field)


FIELDS: dict[str, Callable[[Comparison], Condition]] = {
    "type": _type,
    "TYPE": _type,
    "done": _done,
    "metadata.state": _state,
    "metadata.createTime": _create_time,
    "metadata.updateTime": _update_time,
    "metadata.progressPercent": _progress,
}
"""All that can be filtered by, as it is written."""
