"""The one reader of a process: answers all status reads that wait with one query.

It has its own thread because a driver's connection blocks; a batch of reads costs one hop and one query, however many
callers share it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from .batching import Batcher
from .errors import StorageError, StoreDataError, StoreUnavailable
from .models import Captured, Record
from .pending import Delivery, Pending, deliver
from .stores.base import Store

T = TypeVar("T")
C = TypeVarTuple("C")

logger = logging.getLogger("bgrs_middleware.reader")


_Lookup = tuple[str, Callable[..., Any] | None, Pending[Any], tuple[Any, ...]]
"""A rid, what to make of its record, who waits for it, and what else that is made of."""

_Query = tuple[None, Callable[[Store], Any], Pending[Any]]
"""A question of another kind, and who waits for the answer."""


class Reader:
    """Reads from an opened store, from one thread. What is read was committed before the call, or later."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._batcher: Batcher[_Lookup | _Query] = Batcher("bgrs-reader", self._handle)

    def get(self, rid: str) -> Pending[Record | None]:
        """The record of a well-formed rid, or None."""
        pending: Pending[Record | None] = Pending(self._lock)
        self._put((rid, None, pending, ()))
        return pending

    def view(self, rid: str, make: Callable[[Record | None, *C], T], *context: *C) -> Pending[T]:
        """What `make` makes of the record of a well-formed rid, or of None, and of the context; or what it raises.

        For what is made in the same way for many callers: one after another, in the reader's thread, it takes a little
        less than each in its caller's own turn. It must be quick.
        """
        pending: Pending[T] = Pending(self._lock)
        self._put((rid, make, pending, context))
        return pending

    def captured(self, rid: str) -> Pending[Captured | None]:
        """The captured response of a rid, or None."""
        return self.query(lambda store: store.captured([rid]).get(rid))

    def query(self, ask: Callable[[Store], T]) -> Pending[T]:
        """The answer to any other question, asked in the reader's thread."""
        pending: Pending[T] = Pending(self._lock)
        self._put((None, ask, pending))
        return pending

    def close(self) -> None:
        """Answer what is waiting and end the thread. What comes later fails with `StoreUnavailable`."""
        self._batcher.close()

    def _put(self, job: _Lookup | _Query) -> None:
        if not self._batcher.put(job):
            job[2].fail(StoreUnavailable("The server is shutting down."))

    def _handle(self, jobs: list[_Lookup | _Query]) -> None:
        lookups: list[_Lookup] = [job for job in jobs if job[0] is not None]
        deliveries = self._look_up(lookups) if lookups else []
        if len(lookups) < len(jobs):
            deliveries += [self._ask(job) for job in jobs if job[0] is None]
        deliver(deliveries)

    def _look_up(self, lookups: list[_Lookup]) -> list[Delivery]:
        try:
            records = self._store.get([lookup[0] for lookup in lookups])
        except StoreDataError as error:
            if len(lookups) > 1:
                # One record cannot be read: only who asked for it is told so.
                return [delivery for lookup in lookups for delivery in self._look_up([lookup])]
            return [(lookup[2], None, error) for lookup in lookups]
        except Exception as error:  # noqa: BLE001  # whatever it is, every caller must hear of it
            failure = _as_storage_error(error)
            return [(lookup[2], None, failure) for lookup in lookups]
        return [_seen(records.get(lookup[0]), lookup) for lookup in lookups]

    def _ask(self, query: _Query) -> Delivery:
        _, ask, pending = query
        try:
            return pending, ask(self._store), None
        except Exception as error:  # noqa: BLE001  # whatever it is, every caller must hear of it
            return pending, None, _as_storage_error(error)


def _seen(record: Record | None, lookup: _Lookup) -> Delivery:
    _, make, pending, context = lookup
    if make is None:
        return pending, record, None
    try:
        return pending, make(record, *context), None
    except Exception as error:  # noqa: BLE001  # it is the caller's own; the caller gets it
        return pending, None, error


def _as_storage_error(error: Exception) -> StorageError:
    if isinstance(error, StorageError):
        return error
    logger.error("A read failed for a reason that is not the store's.", exc_info=error)
    wrapped = StoreUnavailable("The store failed in an unexpected way.")
    wrapped.__cause__ = error
    return wrapped
