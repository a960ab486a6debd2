"""How an operation ended that did not succeed, and when and how far it is, for the documents of both vendors.

An operation has succeeded where the application answered with a status below 400; every other end is a failure with a
code, a reason that programs read and a message that people read (CONTRACT, section 5). Codes are those of google.rpc,
from the HTTP status, by the one table `CODES` (AIP-193).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum

from ..errors import HTTP_STATUS
from ..models import Record, Status
from .operation_state import FIRST_ERROR_STATUS, microseconds
from .replies import no_response


class Code(IntEnum):
    """google.rpc.Code, as far as it is used here. Never 0, which would say that all is well."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


CODES: dict[int, Code] = {
    400: Code.INVALID_ARGUMENT,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    408: Code.DEADLINE_EXCEEDED,
    409: Code.ABORTED,
    412: Code.FAILED_PRECONDITION,
    428: Code.FAILED_PRECONDITION,
    429: Code.RESOURCE_EXHAUSTED,
    500: Code.INTERNAL,
    501: Code.UNIMPLEMENTED,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.DEADLINE_EXCEEDED,
}
"""The code of an HTTP status. Other 4xx are FAILED_PRECONDITION, anything else is UNKNOWN."""

REASONS: dict[Status, str] = {
    Status.FINISHED: "RESPONSE_REMOVED",
    Status.FAILED: "REQUEST_FAILED",
    Status.CANCELLED: "REQUEST_CANCELLED",
    Status.LOST: "REQUEST_LOST",
    Status.EXPIRED: "REQUEST_EXPIRED",
}
"""Why there is no response; where there is one, of 400 or above, the reason is `HTTP_` and its status."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """How an operation ended that did not succeed. `http_status` is None where the application gave no response."""

    code: Code
    reason: str
    message: str
    http_status: int | None = None


def code_of(http_status: int) -> Code:
    """Return the code of the HTTP status of an error."""
    known = CODES.get(http_status)
    if known is not None:
        return known
    return Code.FAILED_PRECONDITION if 400 <= http_status < 500 else Code.UNKNOWN


def failure_of(record: Record) -> Failure | None:
    """Return how a request failed, or None where it succeeded or has not ended.

    One without a response gets the code of the status that its `/result` answers with, and the same words; a cancelled
    one is always CANCELLED.
    """
    if not record.status.is_final:
        return None
    if record.status is not Status.FINISHED or record.http_status is None:
        return _without_response(record)
    if record.http_status < FIRST_ERROR_STATUS:
        return None
    return Failure(
        code=code_of(record.http_status),
        reason=f"HTTP_{record.http_status}",
        message=f"The application answered with status {record.http_status}.",
        http_status=record.http_status,
    )


def _without_response(record: Record) -> Failure:
    refusal = no_response(record)
    code = Code.CANCELLED if record.status is Status.CANCELLED else code_of(HTTP_STATUS[type(refusal)])
    return Failure(code=code, reason=REASONS[record.status], message=refusal.detail)


def rfc3339(seconds: float) -> str:
    """Return a time of RFC 3339 in UTC with `Z`, always with six digits of a second, so that it sorts as text."""
    moment = _EPOCH + timedelta(microseconds=microseconds(seconds))
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def percent(record: Record) -> float | None:
    """Return the progress, 0 to 100, with two decimals; None while it is unknown. 99.999 is not done yet."""
    progress = record.progress
    if progress is None or not math.isfinite(progress):
        return None
    return 100.0 if progress >= 100.0 else max(0.0, min(round(progress, 2), 99.99))
