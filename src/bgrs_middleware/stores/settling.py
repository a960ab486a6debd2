"""How a batch follows its items: what becomes of it when they change, and what becomes of them with it. Pure.

A batch is a record that no worker holds. Whenever a transaction changed items so that it matters to their batch, the
store settles the batch once, as the last thing of the transaction: it counts the items, and asks `settle`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping

from ..models import Record, Status
from ..orders import Cancel, Delete
from . import rules
from .rules import Changes, Move

BATCH_STATUS = 200
BATCH_CONTENT_TYPE = "application/json"
"""Of the result of a batch that has ended: a list of its items, made whenever it is read."""

DONE_NOTE = "done: all items have ended"
CANCELLED_NOTE = "cancelled: all items have ended"
AGAIN_NOTE = "running again: an item was queued again"

WHOLE = 100.0

Parts = Mapping[tuple[Status, float | None], int]
"""How many items of a batch have this status, and this progress, which counts only until they have ended."""


class Touched:
    """The batches that a transaction must settle, each with the time of the latest change."""

    def __init__(self) -> None:
        self._latest: dict[str, float] = {}

    def changed(self, record: Record, move: Move) -> None:
        """A record is changed. Of items alone, and of what matters to their batch, anything is kept."""
        if record.parent is not None and _matters(record, move.changes):
            self.batch(record.parent, move.changes["updated_at"])

    def removed(self, item: Record, order: Delete) -> None:
        """An item is removed, and its batch is not."""
        if item.parent is not None and not item.status.is_final:
            self.batch(item.parent, item.updated_at if order.now is None else order.now)

    def batch(self, rid: str, at: float) -> None:
        """A batch itself was changed."""
        self._latest[rid] = max(at, self._latest.get(rid, at))

    def take(self) -> dict[str, float]:
        """All of them; none are left."""
        latest, self._latest = self._latest, {}
        return latest


def _matters(before: Record, changes: Changes) -> bool:
    status: Status = changes.get("status", before.status)
    progress: float | None = changes.get("progress", before.progress)
    if status.is_final != before.status.is_final:
        return True
    return _share(status, progress) != _share(before.status, before.progress)


def _share(status: Status, progress: float | None) -> float:
    """How much of an item is done: 0 to 100."""
    if status.is_final:
        return WHOLE
    return 0.0 if progress is None or math.isnan(progress) else min(max(progress, 0.0), WHOLE)


def parts_of(items: Iterable[Record]) -> Parts:
    """Count the items of one batch."""
    return Counter((item.status, None if item.status.is_final else item.progress) for item in items)


def settle(batch: Record, parts: Parts, at: float) -> Move | None:
    """What becomes of a batch, given what its items are now. None: it stays as it is.

    Its progress is the mean of its items; one that has ended counts as whole, and so does one that was removed. It has
    ended when all have: CANCELLED where that was asked for and an item was cancelled, else FINISHED. It runs again when
    one of its items does.

    Parameters:
        at: when they changed.
    """
    status, progress = _status(batch, parts), _progress(batch, parts)
    if status is batch.status and progress == batch.progress:
        return None
    changes: Changes = {"progress": progress, "updated_at": max(at, batch.updated_at)}
    if status is batch.status:
        return Move(changes=changes)
    changes["status"] = status
    if not status.is_final:
        changes |= {"finished_at": None, "http_status": None, "content_type": None}
        return Move(changes=changes, at=at, notes=(AGAIN_NOTE,))
    changes["finished_at"] = at
    if status is Status.CANCELLED:
        return Move(changes=changes, at=at, notes=(CANCELLED_NOTE,))
    changes |= {"http_status": BATCH_STATUS, "content_type": BATCH_CONTENT_TYPE}
    return Move(changes=changes, at=at, notes=(DONE_NOTE,))


def _status(batch: Record, parts: Parts) -> Status:
    if any(count and not status.is_final for (status, _), count in parts.items()):
        return Status.RUNNING if batch.status.is_final else batch.status
    if batch.status.is_final:
        return batch.status
    was_cancelled = any(count and status is Status.CANCELLED for (status, _), count in parts.items())
    return Status.CANCELLED if batch.status is Status.CANCELLING and was_cancelled else Status.FINISHED


def _progress(batch: Record, parts: Parts) -> float:
    present = sum(parts.values())
    count = max(batch.batch_items or 0, present)
    if not count:
        return WHOLE
    # Added exactly, so that every store, in whatever order it counts, comes to the same.
    done = math.fsum([WHOLE * (count - present), *(_share(*part) * number for part, number in parts.items())])
    return min(done / count, WHOLE)


def cancelled_with(record: Record, items: Iterable[Record], order: Cancel) -> list[tuple[Record, Move]]:
    """The moves of what is cancelled, and of its items where it is a batch, all of them or none of them."""
    moves = [(each, rules.cancel(each, order)) for each in (record, *items)]
    return [(each, move) for each, move in moves if move is not None]


def may_delete(record: Record, items: Iterable[Record], order: Delete) -> bool:
    """Whether a request may go, and its items with it where it is a batch."""
    return rules.may_delete(record, order) and not any(item.status.is_running for item in items)
