"""The orders: what the ledger asks of the store, one class for each verb, and what became of them.

Each verb of `stores.base.Transaction` takes a sequence of one kind. An order says what is wanted and under which
condition; times are seconds since the epoch, and passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .hot import hot_dataclass
from .models import DEFAULT_OPERATIONS_PARENT, Captured, Item, Record, Rerun, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """What an asking request's `Idempotency-Key` means to the store (CONTRACT, section 6).

    Parameters:
        key: digest of caller and key, in hex; no two records have the same one.
        fingerprint: digest of what was asked for, in hex; the same key with another one is an error of the client.
        former_keys: digests of the same caller and key under identities that the caller had before a key rotation.
    """

    key: str
    fingerprint: str
    former_keys: tuple[str, ...] = ()


@hot_dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """Record a new request as queued, unless the queue is full.

    `max_queued` and `max_queued_per_caller` count queued requests; the second is not applied where `owner` is None.
    `request_body_name` names the sealed body where it was too large for `sealed_request`. Where `idempotency` is given,
    only if no record has its key yet.
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
    operations_parent: str = DEFAULT_OPERATIONS_PARENT
    parent: str | None = None
    batch_items: int | None = None
    idempotency: Idempotency | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AddBatch:
    """Record a batch and all its items, or nothing. Limits count the items; for its caller the batch counts as one.

    `parent` has `batch_items`, and each of the items has the parent's rid as its `parent`.
    """

    parent: Add
    items: tuple[Add, ...]

    @property
    def rid(self) -> str:
        """The rid of the batch."""
        return self.parent.rid

    @property
    def idempotency(self) -> Idempotency | None:
        """What the `Idempotency-Key` of the batch means."""
        return self.parent.idempotency


class Added(StrEnum):
    """What became of an `Add` or an `AddBatch`."""

    ADDED = "added"
    QUEUE_FULL = "queue full"
    CALLER_QUEUE_FULL = "caller queue full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Existing:
    """What became of an `Add` or an `AddBatch` whose key a record has already: that record, and what it stands for.

    `rid` is the order's own where that very order was recorded before, by a commit that nobody was told of.
    """

    rid: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Take up to `limit` queued requests, oldest first, for `worker` until `lease_until`."""

    worker: str
    limit: int
    now: float
    lease_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ByHolder:
    """An order that does nothing unless `worker` holds the request; where `attempt` is given, by that claim of it."""

    rid: str
    worker: str
    attempt: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """A record that this worker now holds, with the sealed request that it is to replay."""

    record: Record
    sealed_request: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Renew(ByHolder):
    """Hold a claimed request until `lease_until`."""

    lease_until: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(ByHolder):
    """Record what a running request reported. What is None or empty stays as it was."""

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
class Finish(ByHolder):
    """End a request in the final `status`, with its response where there is one.

    `keep_request` keeps the sealed request for a retry, otherwise it is wiped. `progress` is the last value known.
    `notes` become details, `now` their time. Where `lease_until` is given, only while that lease was not renewed.
    """

    status: Status
    now: float
    captured: Captured | None = None
    progress: float | None = None
    items: tuple[Item, ...] | None = None
    message: str | None = None
    keep_request: bool = False
    notes: tuple[str, ...] = ()
    lease_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(ByHolder):
    """Take a request from `worker` without an outcome of its own: back to QUEUED, or LOST, FAILED or CANCELLED.

    `died` counts a death of the worker. `lease_until` as in `Finish`. `note` becomes a detail.
    """

    status: Status
    now: float
    died: bool
    note: str
    lease_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """Queued: cancelled at once. Running: cancelling. Anything else stays as it is. A batch: each of its items, too."""

    rid: str
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Queue a failed, lost or cancelled request again while its request is still kept."""

    rid: str
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Remove a request that no worker holds: record and details. A batch that has ended: its items, too.

    Where `finished_at` is given, only while that is still when it ended: one that was queued again meanwhile stays.
    `now` is when a batch has ended that waited for nothing but this item; None: when it was changed last.
    """

    rid: str
    finished_at: float | None = None
    now: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire:
    """End up to `limit` requests queued since before `queued_before` as EXPIRED. `note` becomes a detail of each."""

    queued_before: float
    now: float
    limit: int
    note: str = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What became of an order about one request.

    `done`: whether the order had its effect. `before` is the record as it was found, or None where there is none;
    what must be cleaned up after it (body names) is read from there. `items`: those of a batch that were cancelled or
    removed with it, as they were found.
    """

    done: bool
    before: Record | None
    items: tuple[Record, ...] = ()

    @property
    def body_names(self) -> list[str]:
        """The bodies that nobody needs any more where all of this was removed."""
        records = [record for record in (self.before, *self.items) if record is not None] if self.done else []
        names = [name for record in records for name in (record.request_body_name, record.result_body_name)]
        return [name for name in names if name is not None]
