"""Between rows and records: the columns in one order, and cheap conversions in both directions.

A status read turns rows into records by position; nothing here goes through an ORM.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...models import DEFAULT_OPERATIONS_PARENT, Captured, Detail, Headers, Item, Record, Rerun, Status
from ...orders import Add
from .. import rules
from .schema import detail, request

RECORD_COLUMNS = (
    request.c.id,
    request.c.rid,
    request.c.owner,
    request.c.method,
    request.c.name,
    request.c.type,
    request.c.status,
    request.c.created_at,
    request.c.queued_at,
    request.c.updated_at,
    request.c.max_run_seconds,
    request.c.retention_days,
    request.c.started_at,
    request.c.finished_at,
    request.c.progress,
    request.c.message,
    request.c["items"],
    request.c.attempt,
    request.c.deaths,
    request.c.worker,
    request.c.lease_until,
    request.c.rerun,
    request.c.parent,
    request.c.has_request,
    request.c.request_body_name,
    request.c.http_status,
    request.c.content_type,
    request.c.result_length,
    request.c.result_body_name,
    request.c.operations_parent,
    request.c.batch_items,
)
"""The fields of `Record`, in their order."""

CAPTURED_COLUMNS = (
    request.c.rid,
    request.c.http_status,
    request.c.result_headers,
    request.c.result_length,
    request.c.result_sha256,
    request.c.result_inline,
    request.c.result_body_name,
)

DETAIL_COLUMNS = (detail.c.id, detail.c.rid, detail.c.at, detail.c.text)

_STATUS = {int(status): status for status in Status}
_RERUN = {rerun.value: rerun for rerun in Rerun}

_RARE = ("parent", "batch_items", "request_body_name")
"""Columns of a new request that hardly any has a value for."""

_ENCODERS: dict[str, Callable[[Any], Any]] = {
    "status": int,
    "has_request": int,
    "rerun": str,
    "items": lambda items: _items_text(items),
}


def record_of(row: Sequence[Any]) -> Record:
    """The record of a row of `RECORD_COLUMNS`; further columns after them are ignored."""
    return Record(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        row[5],
        _STATUS[row[6]],
        row[7],
        row[8],
        row[9],
        row[10],
        row[11],
        row[12],
        row[13],
        row[14],
        row[15],
        () if row[16] is None else _items_of(row[16]),
        row[17],
        row[18],
        row[19],
        row[20],
        _RERUN[row[21]],
        row[22],
        row[23] != 0,
        row[24],
        row[25],
        row[26],
        row[27],
        row[28],
        # None where an older version inserted it.
        row[29] or DEFAULT_OPERATIONS_PARENT,
        row[30],
    )


def captured_of(row: Sequence[Any]) -> Captured:
    """The captured response of a row of `CAPTURED_COLUMNS`."""
    return Captured(
        status=row[1],
        headers=_headers_of(row[2]),
        length=row[3],
        sha256=row[4],
        inline=row[5],
        body_name=row[6],
    )


def detail_of(row: Sequence[Any]) -> Detail:
    """The detail of a row of `DETAIL_COLUMNS`."""
    return Detail(id=row[0], rid=row[1], at=row[2], text=row[3])


def new_row(order: Add) -> dict[str, Any]:
    """The columns of a new request."""
    columns = _encoded(rules.new_fields(order))
    columns["sealed_request"] = order.sealed_request
    for name in _RARE:
        # Each column more is paid by all.
        if columns[name] is None:
            del columns[name]
    if order.idempotency is not None:
        columns["idempotency_key"] = order.idempotency.key
        columns["idempotency_fingerprint"] = order.idempotency.fingerprint
    return columns


def changed_columns(move: rules.Move) -> dict[str, Any]:
    """The columns that a move changes."""
    columns = _encoded(move.changes)
    if columns.get("has_request") == 0:
        columns["sealed_request"] = None
    if move.captured is not None:
        columns["result_headers"] = _headers_text(move.captured.headers)
        columns["result_sha256"] = move.captured.sha256
        columns["result_inline"] = move.captured.inline
    elif move.drops_captured:
        columns["result_headers"] = columns["result_sha256"] = columns["result_inline"] = None
    return columns


def _encoded(fields: rules.Changes) -> dict[str, Any]:
    columns = dict(fields)
    for name, encode in _ENCODERS.items():
        if name in columns:
            columns[name] = encode(columns[name])
    return columns


def _items_text(items: Iterable[Item]) -> str | None:
    rows = [[item.name, item.state, item.message] for item in items]
    return json.dumps(rows, separators=(",", ":")) if rows else None


def _items_of(text: str) -> tuple[Item, ...]:
    return tuple(Item(name=name, state=state, message=message) for name, state, message in json.loads(text))


def _headers_text(headers: Headers) -> str:
    pairs = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in headers]
    return json.dumps(pairs, separators=(",", ":"))


def _headers_of(text: str) -> Headers:
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in json.loads(text))
