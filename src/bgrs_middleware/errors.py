"""Every error this package raises, and the HTTP answer each one gets.

BgrsError
├── SettingsError             a setting is unknown or has an unusable value (also a ValueError)
├── Refusal                   an HTTP request that gets an error answer
│   ├── BadRequest            400  a marker, parameter or header that cannot be understood
│   │   └── InvalidFilter          the `filter` of a list of operations
│   ├── NotAuthenticated      401  `authorize` wants to know who is asking
│   ├── NotAllowed            403  `authorize` said no
│   ├── NotFound              404  unknown, malformed, or not the caller's to see: one answer for all three
│   ├── MethodNotAllowed      405  the route exists, the method does not
│   ├── Conflict              409  the request's state does not allow it
│   ├── Gone                  410  there is no response any more, or there never will be one
│   ├── BodyTooLarge          413  the request body is over `max_body_bytes`
│   ├── RangeNotSatisfiable   416  the range lies outside the result
│   ├── KeyReused             422  the `Idempotency-Key` stands for another request
│   ├── CallerQueueFull       429  this caller has `max_queued_per_caller` requests waiting
│   ├── PollingTooFast        429  this caller asks for one request more than `max_polls_per_second` times a second
│   ├── NoResponse            500  the request failed or was lost: there is no response to show
│   └── Unavailable           503  nothing was recorded; the same call may succeed later
│       ├── QueueFull              `max_queued` requests are waiting
│       └── DiskFull               the disk is at its floor, `min_free_bytes`
├── StorageError              the store or the bodies failed; the driver's error is the cause
│   ├── StoreUnavailable      503  locked, full, read-only, unreachable: nothing was committed
│   │   └── CommitInDoubt          the connection broke during the commit: nobody knows
│   ├── StoreDataError        503  the database refused one value; other changes are not affected
│   ├── SchemaError           503  the tables are newer than this package, or an upgrade failed
│   ├── BodyError             503  a body file could not be written or read
│   └── BodyNotFound          410  the body was removed, or was never complete
├── SealError                 what was stored encrypted cannot be opened with the keys at hand
└── ReplayError               the application gave no whole response; its text becomes a detail
    ├── ResponseBroken        it broke off, fell short of its Content-Length or overran it
    └── ResponseTooLarge      it grew beyond `max_result_bytes`

The numbers are what a client sees; the one table of them is `HTTP_STATUS`.
"""

from __future__ import annotations

from typing import Any


class BgrsError(Exception):
    """The root of all errors of this package."""


class SettingsError(BgrsError, ValueError):
    """A setting is unknown or unusable; the message names the field and what it takes."""


class Refusal(BgrsError):
    """A request to this package that is answered with an error.

    Parameters:
        detail: one sentence for the client: what is wrong and what would be right.
        rid: the background request it is about, where the caller may know of it.
        headers: further response headers, such as `Allow`.
        retry_after_seconds: sent as `Retry-After`.
    """

    def __init__(
        self,
        detail: str,
        *,
        rid: str | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.rid = rid
        self.headers = headers
        self.retry_after_seconds = retry_after_seconds


class BadRequest(Refusal):
    """A marker, parameter or header that cannot be understood.

    Parameters:
        detail, more: as for every refusal.
        field: the field of a message, or of a filter, that it is about; None where there is none.
    """

    def __init__(self, detail: str, *, field: str | None = None, **more: Any) -> None:
        super().__init__(detail, **more)
        self.field = field


class InvalidFilter(BadRequest):
    """A filter (AIP-160) that cannot be understood, or asks for what cannot be asked for.

    Parameters:
        detail, more: as for every refusal.
        position: the number of the character that it is about, the first being 1.
        field: the field that it is about, as the client wrote it; None where there is none.
    """

    def __init__(self, detail: str, *, position: int = 1, field: str | None = None, **more: Any) -> None:
        super().__init__(detail, field=field, **more)
        self.position = position


class NotAuthenticated(Refusal):
    """The caller must say who they are."""


class NotAllowed(Refusal):
    """The caller may not do this."""


class NotFound(Refusal):
    """Unknown, malformed, or not the caller's to see.

    One text for all three cases, so that nobody learns from it which ids exist.
    """

    def __init__(self) -> None:
        super().__init__("There is no such background request.")


class MethodNotAllowed(Refusal):
    """The route exists, but not with this method."""


class Conflict(Refusal):
    """The state of the background request does not allow this."""


class Gone(Refusal):
    """There is no response any more, or there will never be one."""


class BodyTooLarge(Refusal):
    """The request body is over `max_body_bytes`."""


class RangeNotSatisfiable(Refusal):
    """The requested range lies outside the result."""


class KeyReused(Refusal):
    """The `Idempotency-Key` stands for another request of this caller."""


class CallerQueueFull(Refusal):
    """This caller has `max_queued_per_caller` requests waiting."""


class PollingTooFast(Refusal):
    """This caller asks for one request, that has not ended, more than `max_polls_per_second` times a second."""


class NoResponse(Refusal):
    """The request failed or was lost: there is no response to show."""


class Unavailable(Refusal):
    """Nothing was recorded; the same call may succeed later."""


class QueueFull(Unavailable):
    """`max_queued` requests are waiting."""


class DiskFull(Unavailable):
    """The disk is at its floor, `min_free_bytes`."""


class StorageError(BgrsError):
    """The store or the bodies failed; the driver's error is the cause.

    Parameters:
        message: for the log.
        reason: one sentence that a client may read, without a driver's words, paths or names; None tells them nothing.
    """

    def __init__(self, message: str = "", *, reason: str | None = None) -> None:
        super().__init__(message or reason or "")
        self.reason = reason


class StoreUnavailable(StorageError):
    """The store is locked, full, read-only or unreachable; nothing was committed."""


class CommitInDoubt(StoreUnavailable):
    """The connection broke while a commit was on its way: all of it was committed, or nothing."""


class StoreDataError(StorageError):
    """The database refused a value; nothing of that change was committed."""


class SchemaError(StorageError):
    """The tables are newer than this package, or could not be upgraded."""


class BodyError(StorageError):
    """A body could not be written or read."""


class BodyNotFound(StorageError):
    """The body was removed, or was never complete."""


class SealError(BgrsError):
    """What was stored encrypted cannot be opened with the keys at hand."""


class ReplayError(BgrsError):
    """The application gave no whole response."""


class ResponseBroken(ReplayError):
    """The response broke off, fell short of its Content-Length or overran it."""


class ResponseTooLarge(ReplayError):
    """The response grew beyond `max_result_bytes`."""


HTTP_STATUS: dict[type[BgrsError], int] = {
    BadRequest: 400,
    InvalidFilter: 400,
    NotAuthenticated: 401,
    NotAllowed: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    Conflict: 409,
    Gone: 410,
    BodyTooLarge: 413,
    RangeNotSatisfiable: 416,
    KeyReused: 422,
    CallerQueueFull: 429,
    PollingTooFast: 429,
    NoResponse: 500,
    Unavailable: 503,
    QueueFull: 503,
    DiskFull: 503,
    StoreUnavailable: 503,
    CommitInDoubt: 503,
    StoreDataError: 503,
    SchemaError: 503,
    BodyError: 503,
    BodyNotFound: 410,
}
"""The one table of answers. What is not in it is a fault of ours and becomes a 500."""
