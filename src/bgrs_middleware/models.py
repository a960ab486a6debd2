"""The words: what a background request is, in records that nothing changes after they are made.

Times are seconds since the epoch, UTC, as floats. Header names and values are bytes, in pairs, in order. A record is
what the store knows; the orders below it are what the ledger asks the store to do, one class for each verb.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import IntEnum, StrEnum

Headers = tuple[tuple[bytes, bytes], ...]
"""Header pairs in the order received, repeated names repeated."""

RID_LENGTH = 32


def new_rid() -> str:
    """Return a new id of a background request: 32 lower-case hex characters of the system's randomness."""
    return secrets.token_hex(RID_LENGTH // 2)


def is_rid(text: str) -> bool:
    """Tell whether a text has the form of a rid. Only such a text may reach the store or become a file name."""
    return len(text) == RID_LENGTH and not text.strip("0123456789abcdef")


class Status(IntEnum):
    """Where a background request stands. The numbers and the lower-case names are on the wire (CONTRACT, section 3)."""

    QUEUED = 1
    RUNNING = 2
    CANCELLING = 3
    FINISHED = 4
    FAILED = 5
    CANCELLED = 6
    LOST = 7
    EXPIRED = 8

    @property
    def label(self) -> str:
        """The name on the wire."""
        return self.name.lower()

    @property
    def is_final(self) -> bool:
        """Whether it never changes any more, except by retry."""
        return self >= Status.FINISHED

    @property
    def is_running(self) -> bool:
        """Whether a worker holds it."""
        return self in (Status.RUNNING, Status.CANCELLING)


RETRYABLE = frozenset({Status.FAILED, Status.LOST, Status.CANCELLED})
"""The states from which `retry` leads back into the queue."""


class Rerun(StrEnum):
    """Whether a request whose worker died after the start may be started once more."""

    NEVER = "never"
    SAFE = "safe"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One item of a request's work, as `report_item` reported it last."""

    name: str
    state: str
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """One line of a request's history. `id` counts up within the store."""

    id: int
    rid: str
    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """A whole captured response.

    Exactly one of `inline` and `body_name` is set: the bytes themselves, or the name of the sealed body that holds
    them. An empty body is `inline=b""`.
    """

    status: int
    headers: Headers
    length: int
    sha256: str
    inline: bytes | None = None
    body_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One background request as the store knows it, without the bytes of its request and response."""

    id: int
    rid: str
    owner: str | None
    method: str
    name: str
    type: str
    status: Status
    created_at: float
    queued_at: float
    updated_at: float
    started_at: float | None = None
    finished_at: float | None = None
    progress: float | None = None
    message: str | None = None
    items: tuple[Item, ...] = ()
    attempt: int = 0
    deaths: int = 0
    worker: str | None = None
    lease_until: float | None = None
    rerun: Rerun = Rerun.SAFE
    max_run_seconds: float
    retention_days: float
    parent: str | None = None
    has_request: bool = True
    request_body_name: str | None = None
    http_status: int | None = None
    content_type: str | None = None
    result_length: int | None = None
    result_body_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A record that this worker now holds, with the sealed request that it is to replay."""

    record: Record
    sealed_request: bytes


# The orders: what the ledger asks of the store. Each verb of `stores.base.Transaction` takes a sequence of one kind.


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """Record a new request as queued, unless the queue is full.

    `max_queued` and `max_queued_per_caller` count queued requests; the second is not applied where `owner` is None.
    `request_body_name` names the sealed body where it was too large for `sealed_request`.
    """

    rid: str
    owner: str | None
    method: str
    name: str
    type: str
    now: float
    sealed_request: bytes
    request_body_name: str | None
    rerun: Rerun
    max_run_seconds: float
    retention_days: float
    max_queued: int
    max_queued_per_caller: int
    parent: str | None = None


class Added(StrEnum):
    """What became of an `Add`."""

    ADDED = "added"
    QUEUE_FULL = "queue full"
    CALLER_QUEUE_FULL = "caller queue full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Take up to `limit` queued requests, oldest first, for `worker` until `lease_until`."""

    worker: str
    limit: int
    now: float
    lease_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew:
    """Hold a claimed request until `lease_until`."""

    rid: str
    worker: str
    lease_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Record what a running request reported. What is None or empty stays as it was."""

    rid: str
    worker: str
    now: float
    progress: float | None = None
    message: str | None = None
    items: tuple[Item, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Append one detail."""

    rid: str
    at: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """End a request that `worker` holds in the final `status`, with its response where there is one.

    `keep_request` keeps the sealed request for a retry; otherwise it is wiped in the same commit. `progress` is the
    last value known. `notes` become details in the same commit, `now` their time.
    """

    rid: str
    worker: str
    status: Status
    now: float
    captured: Captured | None = None
    progress: float | None = None
    items: tuple[Item, ...] | None = None
    message: str | None = None
    keep_request: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """Take a request from `worker` without an outcome of its own: back to QUEUED, or LOST, FAILED or CANCELLED.

    `died` counts a death of the worker. Conditional on `worker` still holding it, and where `lease_until` is given, on
    that lease not having been renewed. `note` becomes a detail.
    """

    rid: str
    worker: str
    status: Status
    now: float
    died: bool
    note: str
    lease_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Queued: cancelled at once. Running: cancelling. Anything else stays as it is."""

    rid: str
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Queue a failed, lost or cancelled request again while its request is still kept."""

    rid: str
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Remove a request that no worker holds: record and details.

    Where `finished_at` is given, only while that is still when it ended: one that was queued again meanwhile stays.
    """

    rid: str
    finished_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire:
    """End up to `limit` requests that have been queued since before `queued_before` as EXPIRED.

    `note` becomes a detail of each.
    """

    queued_before: float
    now: float
    limit: int
    note: str = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What became of an order about one request.

    `done`: whether the order had its effect. `before` is the record as it was found, or None where there is none;
    what must be cleaned up after it (body names) is read from there.
    """

    done: bool
    before: Record | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """A page of one owner's requests, newest first: ids below `before_id`, at most `limit`."""

    owner: str
    statuses: frozenset[Status] | None
    before_id: int | None
    limit: int
