"""The words: what a background request is, in records that nothing changes after they are made.

Times are seconds since the epoch, UTC, as floats. Header names and values are bytes, in pairs, in order. A record is
what the store knows; what the store is asked to do is in `orders.py`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from .hot import hot_dataclass

if TYPE_CHECKING:
    from .protocol.filters import Condition

Headers = tuple[tuple[bytes, bytes], ...]
"""Header pairs in the order received, repeated names repeated."""

RID_LENGTH = 32

DEFAULT_OPERATIONS_PARENT = "projects/default/locations/default"
"""What the names of operations begin with where nothing else is said (CONTRACT, section 5)."""


def new_rid() -> str:
    """Return a new id of a background request: 32 lower-case hex characters of the system's randomness."""
    return secrets.token_hex(RID_LENGTH // 2)


def is_rid(text: str) -> bool:
    """Tell whether a text has the form of a rid. Only such a text may reach the store or become a file name."""
    return len(text) == RID_LENGTH and not text.strip("0123456789abcdef")


_FIRST_FINAL = 4
"""FINISHED as a number: it is asked for in every read, and Python 3.11 takes ten times as long to find a member."""


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
        return self >= _FIRST_FINAL

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


@hot_dataclass(frozen=True, slots=True)
class Record:
    """One background request as the store knows it, without the bytes of its request and response.

    `operations_parent` is what the name of its operation begins with. `parent` is the rid of the batch that it is an
    item of. `batch_items` is how many items it has where it is a batch itself, which nobody runs: it is RUNNING, held
    by no worker, until all of them have ended.
    """

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
    max_run_seconds: float
    retention_days: float
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
    parent: str | None = None
    has_request: bool = True
    request_body_name: str | None = None
    http_status: int | None = None
    content_type: str | None = None
    result_length: int | None = None
    result_body_name: str | None = None
    operations_parent: str = DEFAULT_OPERATIONS_PARENT
    batch_items: int | None = None

    @property
    def is_batch(self) -> bool:
        """Whether it stands for a batch, and not for a request that is run."""
        return self.batch_items is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListQuery:
    """A page of one owner's requests, newest first: ids below `before_id`, at most `limit`."""

    owner: str
    statuses: frozenset[Status] | None
    before_id: int | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsQuery:
    """A page of a caller's operations below one parent, newest first.

    Parameters:
        owners: the caller's identity, then the ones that they had before; none of them: nothing is found.
        operations_parent: what the operations' names begin with.
        condition: what they must meet; None: all do.
        before_id: only ids below this one; None: from the newest on.
        limit: how many at most; at least 1.
        scan_limit: how many of each owner's records may be looked at for them; at least 1.
    """

    owners: tuple[str, ...]
    operations_parent: str
    condition: Condition | None
    before_id: int | None
    limit: int
    scan_limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationsPage:
    """What was found, newest first, and the id below which the next page begins; None: there is no more.

    It may hold fewer than were asked for, or none, while there is a next page: then the others did not match.
    """

    records: tuple[Record, ...]
    before_id: int | None
