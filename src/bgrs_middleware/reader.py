"""The one reader of a process: answers all status reads that wait with one query.

It has its own thread because a driver's connection blocks; a batch of reads costs one hop and one query, however many
callers share it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from .batching import Batcher
from .errors import StorageError, StoreUnavailable
from .models import Captured, Record
from .pending import Delivery, Pending, deliver
from .stores.base import Store

T = TypeVar("T")

logger = logging.getLogger("bgrs_middleware.reader")


class _Lookup(NamedTuple):
    rid: str
    pending: Pending[Record | None]


class _Query(NamedTuple):
    ask: Callable[[Store], Any]
    pending: Pending[Any]


class Reader:
    """Reads from an opened store, from one thread. What is read was committed before the call, or later."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batcher: Batcher[_Lookup | _Query] = Batcher("bgrs-reader", self._handle)

    def get(self, rid: str) -> Pending[Record | None]:
        """The record of a well-formed rid, or None."""
        pending: Pending[Record | None] = Pending()
        self._put(_Lookup(rid, pending))
        return pending

    def captured(self, rid: str) -> Pending[Captured | None]:
        """The captured response of a rid, or None."""
        return self.query(lambda store: store.captured([rid]).get(rid))

    def query(self, ask: Callable[[Store], T]) -> Pending[T]:
        """The answer to any other question, asked in the reader's thread."""
        pending: Pending[T] = Pending()
        self._put(_Query(ask, pending))
        return pending

    def close(self) -> None:
        """Answer what is waiting and end the thread. What comes later fails with `StoreUnavailable`."""
        self._batcher.close()

    def _put(self, job: _Lookup | _Query) -> None:
        if not self._batcher.put(job):
            job.pending.fail(StoreUnavailable("The server is shutting down."))

    def _handle(self, jobs: list[_Lookup | _Query]) -> None:
        lookups = [job for job in jobs if isinstance(job, _Lookup)]
        deliveries: list[Delivery] = []
        if lookups:
            deliveries += self._look_up(lookups)
        for job in jobs:
            if isinstance(job, _Query):
                deliveries.append(self._ask(job))
        deliver(deliveries)

    def _look_up(self, lookups: list[_Lookup]) -> list[Delivery]:
        try:
            records = self._store.get([lookup.rid for lookup in lookups])
        except Exception as error:  # noqa: BLE001  # whatever it is, every caller must hear of it
            failure = _as_storage_error(error)
            return [(lookup.pending, None, failure) for lookup in lookups]
        return [(lookup.pending, records.get(lookup.rid), None) for lookup in lookups]

    def _ask(self, query: _Query) -> Delivery:
        try:
            return query.pending, query.ask(self._store), None
        except Exception as error:  # noqa: BLE001  # whatever it is, every caller must hear of it
            return query.pending, None, _as_storage_error(error)


def _as_storage_error(error: Exception) -> StorageError:
    if isinstance(error, StorageError):
        return error
    logger.error("A read failed for a reason that is not the store's.", exc_info=error)
    wrapped = StoreUnavailable("The store failed in an unexpected way.")
    wrapped.__cause__ = error
    return wrapped
