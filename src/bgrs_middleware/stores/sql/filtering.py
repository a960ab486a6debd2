"""Filters in SQL: a condition on records (`protocol/filters/matching.py`) as a clause of a WHERE.

It says the same as `matches` on every database: no part of it is ever NULL, so that NOT is the plain opposite; letters'
case counts, which SQLite's LIKE ignores; texts are ordered by code points, whatever the database's collation. What a
client wrote travels as bound parameters alone.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Double, Text, and_, bindparam, false, literal_column, not_, or_, true
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ColumnElement

from ...models import Status
from ...protocol.filters.matching import (
    OPERATORS,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Not,
    Order,
    ProgressCompared,
    ProgressKnown,
    StateIn,
    TimeWithin,
    TypeCompared,
    TypeLike,
)
from ...protocol.operation_state import FIRST_ERROR_STATUS, STATE_OF, OperationState
from .schema import request

_LIKE_ESCAPE = "|"

_STATUS: ColumnElement[int] = request.c.status + literal_column("0")
"""The status, in words that keep a database from its indexes of states: a page is read by another one, which bounds it,
and most of all records may be in one state."""

Clause = ColumnElement[bool]


def clause_of(condition: Condition, dialect: Dialect) -> Clause:
    """Return the clause that is true of the rows whose records match.

    It is as shallow as it can be, because SQLite's parser keeps at most 100 things in mind: NOT stands before single
    comparisons alone, and of what is joined the deepest comes first, so that a parenthesis at most waits for its end.

    Parameters:
        dialect: of the database that will evaluate it.
    """
    return _clause(condition, dialect, is_wanted=True)


def _clause(condition: Condition, dialect: Dialect, *, is_wanted: bool) -> Clause:
    """The clause that is true where the condition is, or where it is not."""
    match condition:
        case Not():
            return _clause(condition.condition, dialect, is_wanted=not is_wanted)
        case AllOf() | AnyOf():
            deepest_first = sorted(condition.conditions, key=_height, reverse=True)
            clauses = [_clause(each, dialect, is_wanted=is_wanted) for each in deepest_first]
            is_all = isinstance(condition, AllOf) == is_wanted
            return and_(true(), *clauses) if is_all else or_(false(), *clauses)
        case _:
            clause = _comparison(condition, dialect)
            return clause if is_wanted else not_(clause)


def _height(condition: Condition) -> int:
    match condition:
        case Not():
            return _height(condition.condition)
        case AllOf() | AnyOf():
            return 1 + max(map(_height, condition.conditions), default=0)
        case _:
            return 0


def _comparison(condition: Comparison, dialect: Dialect) -> Clause:
    match condition:
        case StateIn():
            return _state_in(condition.states)
        case TypeLike():
            return _type_like(condition.parts, dialect)
        case TypeCompared():
            return _compared(condition.order, _by_code_points(dialect), _text(condition.text))
        case TimeWithin():
            return _time_within(condition)
        case ProgressCompared():
            percent = bindparam(None, condition.percent, type_=Double, unique=True)
            return and_(request.c.progress.is_not(None), _compared(condition.order, request.c.progress, percent))
        case ProgressKnown():
            return request.c.progress.is_not(None)


def _state_in(states: frozenset[OperationState]) -> Clause:
    statuses = [status for status in Status if STATE_OF.get(status) in states]
    good = and_(request.c.http_status.is_not(None), request.c.http_status < literal_column(str(FIRST_ERROR_STATUS)))
    has_good, has_bad = OperationState.SUCCEEDED in states, OperationState.FAILED in states
    if has_good and has_bad:
        statuses.append(Status.FINISHED)
    clauses: list[Clause] = [_STATUS.in_([_number(status) for status in statuses])] if statuses else []
    if has_good != has_bad:
        clauses.append(and_(_STATUS.in_([_number(Status.FINISHED)]), good if has_good else not_(good)))
    return or_(false(), *clauses)


def _number(status: Status) -> ColumnElement[int]:
    return literal_column(str(int(status)))


def _type_like(parts: tuple[str, ...], dialect: Dialect) -> Clause:
    if len(parts) == 1:
        return request.c.type == _text(parts[0])
    if dialect.name == "sqlite":
        glob = request.c.type.op("GLOB", is_comparison=True, return_type=true().type)
        return glob(_text("*".join(map(_escaped_for_glob, parts))))
    return request.c.type.like(_text("%".join(map(_escaped_for_like, parts))), escape=_LIKE_ESCAPE)


def _escaped_for_glob(part: str) -> str:
    """`[`, `?` and `*` alone have a meaning outside brackets; within brackets they stand for themselves."""
    return "".join(f"[{character}]" if character in "[?*" else character for character in part)


def _escaped_for_like(part: str) -> str:
    return "".join(
        f"{_LIKE_ESCAPE}{character}" if character in f"{_LIKE_ESCAPE}%_" else character for character in part
    )


def _by_code_points(dialect: Dialect) -> ColumnElement[str]:
    """SQLite orders texts so, and so do the tables in MySQL; PostgreSQL by the database's language, unless told."""
    column: ColumnElement[str] = request.c.type
    return column.collate("C") if dialect.name == "postgresql" else column


def _time_within(condition: TimeWithin) -> Clause:
    column = request.c[condition.column]
    clauses: list[Clause] = []
    if condition.at_least is not None:
        clauses.append(column >= bindparam(None, condition.at_least, type_=Double, unique=True))
    if condition.below is not None:
        clauses.append(column < bindparam(None, condition.below, type_=Double, unique=True))
    return and_(true(), *clauses)


def _compared(order: Order, column: ColumnElement[Any], value: ColumnElement[Any]) -> Clause:
    clause: Clause = OPERATORS[order](column, value)
    return clause


def _text(text: str) -> ColumnElement[str]:
    return bindparam(None, text, type_=Text, unique=True)
