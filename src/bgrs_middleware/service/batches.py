"""Accepting a batch: all of its requests are recorded in one commit, or none.

What may take long is done in a thread of its own: reading megabytes of JSON, and sealing each request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, TypeVar

from ..batching import Batcher
from ..bodies.base import Bodies
from ..bodies.spool import Spool
from ..errors import StoreUnavailable
from ..models import new_rid
from ..orders import Add, AddBatch, Idempotency
from ..pending import Pending
from ..protocol.ask import Ask, read_batch_ask
from ..protocol.batches import BatchItem, check_sender, read_batch, room_for_batches
from ..protocol.idempotency import idempotency_of
from ..protocol.message import Reply, RequestHead
from ..protocol.replayed import name_of, replayed_query, type_of
from ..protocol.rules import Rules
from ..sealing import Keyring
from ..settings import Settings
from .accept import Acceptance
from .callers import Caller
from .new_orders import new_add

T = TypeVar("T")

_Work = tuple[Callable[[], Any], Pending[Any]]
"""What the thread is to do, and who waits for what comes of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A batch as it was sent, and its requests where they were read before."""

    head: RequestHead
    ask: Ask
    body: bytes
    caller: Caller
    operations_parent: str
    items: Sequence[BatchItem] | None


class Batches:
    """Accepts batches, as `Acceptance` does requests.

    Parameters:
        rules: the settings' rules, compiled; what they say of an item's path holds for it.
        drop_body: removes a stored body, some time soon.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        rules: Rules,
        bodies: Bodies,
        keyring: Keyring,
        acceptance: Acceptance,
        drop_body: Callable[[str], object],
    ) -> None:
        self._settings = settings
        self._rules = rules
        self._bodies = bodies
        self._keyring = keyring
        self._acceptance = acceptance
        self._drop_body = drop_body
        self._thread: Batcher[_Work] = Batcher("bgrs-batches", _do, max_jobs=1)

    async def read(self, *, head: RequestHead, body: bytes) -> list[BatchItem]:
        """Return the requests of a batch, for who must look at them before `accept` records them.

        Raises:
            NotAllowed, BadRequest, DiskFull: as `accept`, which would say so of this batch too.
        """
        self._check(head)
        return await self._in_thread(partial(read_batch, body, head, self._settings, self._rules))

    async def accept(
        self,
        *,
        head: RequestHead,
        body: bytes,
        caller: Caller,
        operations_parent: str,
        items: Sequence[BatchItem] | None = None,
    ) -> Reply:
        """Record a batch and answer: 202, or its result if all of it has ended within the wait.

        Parameters:
            head, body: the batch as received.
            operations_parent: what the names of its operation and of its items' operations begin with.
            items: what `read` returned for this head and body. None: it is read here.

        Raises:
            NotAllowed: a page of another site sent it.
            BadRequest: something of it cannot be understood; nothing was recorded.
            As `Acceptance.accept`.
        """
        ask = self._check(head)
        sent = _Sent(head=head, ask=ask, body=body, caller=caller, operations_parent=operations_parent, items=items)
        order = await self._in_thread(partial(self._order, sent))
        names = [item.request_body_name for item in order.items if item.request_body_name is not None]
        return await self._acceptance.record(order, head, ask, names)

    def close(self) -> None:
        """End the thread, when what has begun is done. What comes later fails with `StoreUnavailable`."""
        self._thread.close()

    def _check(self, head: RequestHead) -> Ask:
        check_sender(head)
        ask = read_batch_ask(head, self._settings)
        self._bodies.check_room()
        return ask

    async def _in_thread(self, work: Callable[[], T]) -> T:
        pending: Pending[T] = Pending()
        if not self._thread.put((work, pending)):
            raise StoreUnavailable("The server is shutting down.")
        return await pending

    def _order(self, sent: _Sent) -> AddBatch:
        found = sent.items
        if found is None:
            found = read_batch(sent.body, sent.head, self._settings, self._rules)
        parent = self._parent(sent, len(found))
        items: list[Add] = []
        try:
            for item in found:
                items.append(self._item(item, parent))
        except BaseException:
            for each in items:
                if each.request_body_name is not None:
                    self._drop_body(each.request_body_name)
            raise
        return AddBatch(parent=parent, items=tuple(items))

    def _parent(self, sent: _Sent, count: int) -> Add:
        settings = self._settings
        return Add(
            rid=new_rid(),
            owner=sent.caller.identity,
            method=sent.head.method,
            name=name_of(sent.head),
            type=type_of(sent.head, None),
            now=time.time(),
            sealed_request=b"",
            request_body_name=None,
            rerun=settings.rerun,
            max_run_seconds=settings.max_run_seconds,
            retention_days=settings.retention_days,
            max_queued=room_for_batches(settings),
            max_queued_per_caller=settings.max_queued_per_caller,
            operations_parent=sent.operations_parent,
            batch_items=count,
            idempotency=_idempotency(sent, settings),
        )

    def _item(self, item: BatchItem, parent: Add) -> Add:
        rid = new_rid()
        with Spool(rid, self._bodies, self._keyring, self._settings.max_body_bytes) as spool:
            spool.write(item.body)
            body, body_name = spool.finish()
        return new_add(
            rid=rid,
            head=item.head,
            rule=item.rule,
            owner=parent.owner,
            body_length=len(item.body),
            body=body,
            body_name=body_name,
            settings=self._settings,
            keyring=self._keyring,
            operations_parent=parent.operations_parent,
            parent=parent.rid,
        )


def _do(jobs: list[_Work]) -> None:
    for work, pending in jobs:
        try:
            pending.set(work())
        except Exception as error:  # noqa: BLE001  # whatever it is, who sent the batch must hear of it
            pending.fail(error)


def _idempotency(sent: _Sent, settings: Settings) -> Idempotency | None:
    key, caller = sent.ask.idempotency_key, sent.caller
    if key is None:
        return None
    digest = sha256(sent.body).digest()
    query = replayed_query(sent.head, settings)
    return idempotency_of(key, sent.head, query, digest, identity=caller.identity, former=caller.former)
