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

from ..models import Detail, Record

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

# Text as it is, in UTF-8: shorter, and readable in a terminal.
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False).encode


def to_json(document: Any) -> bytes:
    """Return a document as JSON in UTF-8; what cannot be encoded (lone surrogates) becomes `?`."""
    return _encode(document).encode("utf-8", "replace")


def etag_of(body: bytes) -> bytes:
    """Return a strong entity tag of these bytes, with its quotes."""
    return b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode("ascii")


def status_document(record: Record) -> list[dict[str, Any]]:
    """Return the status document: a list of one object, as BEAR gives it."""
    return [_status(record)]


def details_document(details: Sequence[Detail]) -> list[dict[str, str]]:
    """Return the details list in the order given."""
    return [
        {"id": str(detail.id), "rid": detail.rid, "dt": _time(detail.at), "details": detail.text} for detail in details
    ]


def list_document(records: Sequence[Record], next_page_token: str | None) -> dict[str, Any]:
    """Return a page of requests: the objects of their status documents, and the token of the next page or null."""
    return {"requests": [_status(record) for record in records], "next_page_token": next_page_token}


def _status(record: Record) -> dict[str, Any]:
    return {
        "id": str(record.id),
        "rid": record.rid,
        "user_id": record.owner,
        "name": record.name,
        "created_dt": _time(record.created_at),
        "status_id": str(int(record.status)),
        "status_name": record.status.label,
        "progress": _percent(record.progress),
        "finished_dt": _time_or_none(record.finished_at),
        "status": None if record.http_status is None else str(record.http_status),
        "content_type": record.content_type,
        "result": _result_name(record),
        "method": record.method,
        "type": record.type,
        "parent": record.parent,
        "attempt": str(record.attempt),
        "message": record.message,
        "queued_dt": _time(record.queued_at),
        "started_dt": _time_or_none(record.started_at),
        "items": [{"name": item.name, "state": item.state, "message": item.message} for item in record.items],
    }


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


def _time_or_none(seconds: float | None) -> str | None:
    return None if seconds is None else _time(seconds)


def _percent(progress: float | None) -> str | None:
    if progress is None:
        return None
    # 99.999 is not done yet, and clients compare with "100.00".
    return f"{progress if progress >= 100.0 else min(progress, 99.99):.2f}"


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
