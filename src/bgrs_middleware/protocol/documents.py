"""BEAR's surface: what a client reads about a background request, key for key (CONTRACT, section 3).

BEAR's documents hold strings and nulls, numbers included; ours keep to that for every key. After BEAR's keys come
ours: `method`, `type`, `parent`, `attempt` (how often it was started, "0" while it never was), `message` (what the
application reported last), `queued_dt` (when it last entered the queue), `started_dt`, and `items`, a list of objects
with `name`, `state` and `message`.
"""

from __future__ import annotations

import hashlib
import json
import math
import mimetypes
from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from ..models import Detail, Item, Record

# The usual types, so that their extensions do not depend on the version of Python.
_EXTENSIONS = {
    "application/gzip": "gz",
    "application/javascript": "js",
    "application/json": "json",
    "application/pdf": "pdf",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/x-ndjson": "ndjson",
    "application/xhtml+xml": "xhtml",
    "application/xml": "xml",
    "application/zip": "zip",
    "audio/mpeg": "mp3",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/svg+xml": "svg",
    "image/tiff": "tif",
    "image/webp": "webp",
    "text/csv": "csv",
    "text/html": "html",
    "text/javascript": "js",
    "text/markdown": "md",
    "text/plain": "txt",
    "text/tab-separated-values": "tsv",
    "text/xml": "xml",
    "video/mp4": "mp4",
}
_SUFFIXES = {"json": "json", "xml": "xml", "zip": "zip", "gzip": "gz"}
_UNKNOWN_EXTENSION = "bin"

_FIRST_DAY = date(1970, 1, 1).toordinal()

# Text as it is, in UTF-8: shorter, and readable in a terminal. `_quoted` does for one text what `_encode` does for all.
_quoted = json.encoder.encode_basestring
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode


def to_json(document: Any) -> bytes:
    """Return a document as JSON in UTF-8; what cannot be encoded (lone surrogates) becomes `?`."""
    return _encoded(_encode(document))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def etag_of(body: bytes) -> bytes:
    """Return a strong entity tag of these bytes, with its quotes."""
    return b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode("ascii")


def status_document(record: Record) -> bytes:
    """Return the status document: a list of one object, as BEAR gives it."""
    return _encoded(f"[{_status(record)}]")


def details_document(details: Sequence[Detail]) -> bytes:
    """Return the details list in the order given."""
    return to_json([_detail(detail) for detail in details])


def list_document(records: Sequence[Record], next_page_token: str | None) -> bytes:
    """Return a page of requests: the objects of their status documents, and the token of the next page or null."""
    requests = ", ".join(map(_status, records))
    return _encoded(f'{{"requests": [{requests}], "next_page_token": {_or_null(next_page_token)}}}')


def _status(record: Record) -> str:
    """One object. Put together as text: clients ask for it over and over, and by way of a dict it takes twice as long.

    What can be nothing but digits, hex or a date needs no escaping.
    """
    return (
        f'{{"id": "{record.id}", '
        f'"rid": "{record.rid}", '
        f'"user_id": {_or_null(record.owner)}, '
        f'"name": {_quoted(record.name)}, '
        f'"created_dt": "{_time(record.created_at)}", '
        f'"status_id": "{int(record.status)}", '
        f'"status_name": "{record.status.label}", '
        f'"progress": {_percent(record.progress)}, '
        f'"finished_dt": {_time_or_null(record.finished_at)}, '
        f'"status": {_number_or_null(record.http_status)}, '
        f'"content_type": {_or_null(record.content_type)}, '
        f'"result": {_or_null(_result_name(record))}, '
        f'"method": {_quoted(record.method)}, '
        f'"type": {_quoted(record.type)}, '
        f'"parent": {_or_null(record.parent)}, '
        f'"attempt": "{record.attempt}", '
        f'"message": {_or_null(record.message)}, '
        f'"queued_dt": "{_time(record.queued_at)}", '
        f'"started_dt": {_time_or_null(record.started_at)}, '
        f'"items": {_items(record.items)}}}'
    )


def _detail(detail: Detail) -> dict[str, str]:
    return {"id": str(detail.id), "rid": detail.rid, "dt": _time(detail.at), "details": detail.text}


def _items(items: Sequence[Item]) -> str:
    if not items:
        return "[]"
    return _encode([{"name": item.name, "state": item.state, "message": item.message} for item in items])


def _or_null(text: str | None) -> str:
    return "null" if text is None else _quoted(text)


def _number_or_null(number: int | None) -> str:
    return "null" if number is None else f'"{number}"'


def _time(seconds: float) -> str:
    return _time_of(math.floor(seconds))


# The four times of one status mostly lie within one second; and `strftime` takes several times as long as this.
@lru_cache(maxsize=1024)
def _time_of(whole_seconds: int) -> str:
    day, second = divmod(whole_seconds, 86_400)
    return f"{_date(day)} {second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    return date.fromordinal(_FIRST_DAY + day).isoformat()


def _time_or_null(seconds: float | None) -> str:
    return "null" if seconds is None else f'"{_time(seconds)}"'


def _percent(progress: float | None) -> str:
    if progress is None:
        return "null"
    # 99.999 is not done yet, and clients compare with "100.00".
    return f'"{progress if progress >= 100.0 else min(progress, 99.99):.2f}"'


def _result_name(record: Record) -> str | None:
    """The name of the stored result: how long it is kept, the rid, the extension of its content type."""
    if record.http_status is None or record.result_length is None:
        return None
    return f"media/{_kept(record.retention_days)}.bgrs.{record.rid}.result.{extension_of(record.content_type)}"


def _kept(retention_days: float) -> str:
    days = math.ceil(retention_days)
    if days and days % 365 == 0:
        return f"keep{days // 365}y"
    if days and days % 30 == 0:
        return f"keep{days // 30}m"
    return f"keep{days}d"


@lru_cache(maxsize=256)
def extension_of(content_type: str | None) -> str:
    """Return the usual file extension of a content type, without the dot; `bin` where there is none."""
    media_type = (content_type or "").partition(";")[0].strip().lower()
    suffix = _SUFFIXES.get(media_type.rpartition("+")[2]) if "+" in media_type else None
    known = _EXTENSIONS.get(media_type) or suffix
    if known is not None:
        return known
    guessed = _types_of_python().guess_extension(media_type) if media_type else None
    return guessed[1:] if guessed else _UNKNOWN_EXTENSION


@lru_cache(maxsize=1)
def _types_of_python() -> mimetypes.MimeTypes:
    # A table of its own, without what the machine's files add: the same name on every machine.
    return mimetypes.MimeTypes()
