"""Errors as answers, by the one table in `errors.py`: `application/problem+json` (RFC 9457), or in Google's form.

A refusal speaks for itself. A storage error is told in a sentence of ours, never in the driver's words, which may hold
paths, statements or credentials; what is in no table is a fault of ours, and says nothing but that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar

from ..errors import (
    HTTP_STATUS,
    BadRequest,
    BgrsError,
    BodyError,
    BodyNotFound,
    CommitInDoubt,
    InvalidFilter,
    NotFound,
    Refusal,
    SchemaError,
    StorageError,
    StoreDataError,
    StoreUnavailable,
)
from ..models import Headers
from .documents import to_json
from .message import Reply
from .operations import error_document
from .replies import retry_after_field

T = TypeVar("T")

_NOTHING_CHANGED = "Nothing was recorded or changed; the same call may succeed later."

_SENTENCES: dict[type[BgrsError], str] = {
    StoreUnavailable: f"The store of background requests cannot be used just now. {_NOTHING_CHANGED}",
    CommitInDoubt: (
        "The store of background requests was lost while it recorded this. It is not known whether it was recorded."
    ),
    StoreDataError: "The store of background requests refused what was to be recorded; nothing was changed.",
    SchemaError: "The store of background requests does not fit this version of the server.",
    BodyError: f"Stored bodies cannot be read or written just now. {_NOTHING_CHANGED}",
    BodyNotFound: "The stored body is no longer there.",
}
_OUR_FAULT = "Something went wrong on the server."

_DEFAULT_RETRY_AFTER_SECONDS = {429: 5, 503: 10}

# As RFC 9110 has them; Python before 3.13 has older names.
_TITLES = {413: "Content Too Large", 416: "Range Not Satisfiable", 422: "Unprocessable Content"}


def problem_reply(error: BgrsError, method: str = "GET") -> Reply:
    """Return the answer to an error; a HEAD gets the headers alone.

    The 404 is the same byte for byte whatever led to it, so it names no rid.
    """
    status = _by_class(error, HTTP_STATUS, 500)
    document: dict[str, str | int] = {
        "type": "about:blank",
        "title": _TITLES.get(status) or HTTPStatus(status).phrase,
        "status": status,
        "detail": _detail(error),
    }
    if isinstance(error, Refusal) and error.rid is not None and not isinstance(error, NotFound):
        document["rid"] = error.rid
    return _reply(error, status, to_json(document), b"application/problem+json", method)


def google_error_reply(error: BgrsError, method: str = "GET") -> Reply:
    """Return the answer to the same error as clients of Google's operations read it (AIP-193, CONTRACT, section 5).

    The reason is the name of the error's class, in capitals: `InvalidFilter` is INVALID_FILTER.
    """
    status = _by_class(error, HTTP_STATUS, 500)
    known = isinstance(error, Refusal | StorageError)
    reason = _INSIDE_A_NAME.sub("_", type(error).__name__).upper() if known else "INTERNAL"
    body = error_document(status, _detail(error), reason=reason, metadata=_metadata(error))
    return _reply(error, status, body, b"application/json", method)


_INSIDE_A_NAME = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _metadata(error: BgrsError) -> dict[str, str]:
    metadata = {}
    if isinstance(error, BadRequest) and error.field is not None:
        metadata["field"] = error.field
    if isinstance(error, InvalidFilter):
        metadata["position"] = str(error.position)
    return metadata


def _reply(error: BgrsError, status: int, body: bytes, content_type: bytes, method: str) -> Reply:
    headers: Headers = (
        (b"content-type", content_type),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    )
    return Reply(status=status, headers=headers + _more_headers(error, status), body=b"" if method == "HEAD" else body)


def _detail(error: BgrsError) -> str:
    if isinstance(error, Refusal):
        return error.detail
    if isinstance(error, StorageError) and error.reason is not None:
        return f"{error.reason} {_NOTHING_CHANGED}"
    return _by_class(error, _SENTENCES, _OUR_FAULT)


def _by_class(error: BgrsError, table: Mapping[type[BgrsError], T], default: T) -> T:
    """What the table says of the error's class or of the nearest class above it."""
    for kind in type(error).__mro__:
        if kind in table:
            return table[kind]
    return default


def _more_headers(error: BgrsError, status: int) -> Headers:
    seconds = _DEFAULT_RETRY_AFTER_SECONDS.get(status)
    headers: Headers = ()
    if isinstance(error, Refusal):
        headers = error.headers
        if error.retry_after_seconds is not None:
            seconds = error.retry_after_seconds
    return headers if seconds is None else (*headers, retry_after_field(seconds))
