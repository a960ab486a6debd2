"""Accepting a request for the background: the record is committed and flushed before the client hears of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

from ..bodies.base import Bodies
from ..bodies.spool import Spool
from ..errors import BgrsError, CallerQueueFull, CommitInDoubt, KeyReused, QueueFull, StorageError
from ..ledger import Ledger
from ..models import Record
from ..orders import Add, AddBatch, Added, Existing, Idempotency
from ..protocol.ask import Ask
from ..protocol.idempotency import idempotency_of
from ..protocol.message import Reply, RequestHead
from ..protocol.replayed import replayed_query
from ..protocol.replies import accepted
from ..protocol.result import answer_reply
from ..protocol.retry_after import retry_after_seconds
from ..protocol.urls import base_url
from ..reader import Reader
from ..sealing import Keyring
from ..settings import Settings
from ..stores.rules import new_fields
from ..waiting import Waiter, Waiting
from .answers import Answers, Story
from .callers import Caller
from .doubt import made_sure, sent
from .new_orders import new_add
from .operations import Operations

logger = logging.getLogger("bgrs_middleware.accept")


class Acceptance:
    """Accepts requests, and answers at once or after the wait they asked for."""

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        reader: Reader,
        waiting: Waiting,
        bodies: Bodies,
        keyring: Keyring,
        answers: Answers,
        operations: Operations,
        drop_body: Callable[[str], object],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._reader = reader
        self._waiting = waiting
        self._bodies = bodies
        self._keyring = keyring
        self._answers = answers
        self._operations = operations
        self._drop_body = drop_body

    def spool(self, rid: str, ask: Ask) -> Spool:
        """Where a door puts the body of the request that is to get this id.

        Raises:
            DiskFull: the disk is at its floor; nothing is read.
        """
        self._bodies.check_room()
        return Spool(
            rid, self._bodies, self._keyring, self._settings.max_body_bytes, hashed=ask.idempotency_key is not None
        )

    def accept(
        self,
        *,
        rid: str,
        head: RequestHead,
        ask: Ask,
        caller: Caller,
        body_length: int,
        body: bytes | None,
        body_name: str | None,
        operations_parent: str,
        body_sha256: bytes | None = None,
    ) -> Story:
        """Record a request and answer: 202, or its response if that is there within the wait, or its operation.

        To be awaited. What repeats an earlier request with its `Idempotency-Key` records nothing, and gets the answer
        of that one.

        Parameters:
            rid: its new id.
            head: the request as received.
            body_length: in bytes; the body itself is `body`, or lies sealed under `body_name`.
            operations_parent: what the name of its operation begins with.
            body_sha256: the digest of the body, where there is an `Idempotency-Key`.

        Raises:
            KeyReused: its key stands for another request.
            QueueFull, CallerQueueFull: nothing was recorded.
            CommitInDoubt: nobody knows whether it was.
            StorageError: nothing was recorded.
        """
        order = new_add(
            rid=rid,
            head=head,
            rule=ask.rule,
            owner=caller.identity,
            body_length=body_length,
            body=body,
            body_name=body_name,
            settings=self._settings,
            keyring=self._keyring,
            operations_parent=operations_parent,
            idempotency=self._idempotency(ask, head, caller, body_sha256),
        )
        return self.record(order, head, ask, () if body_name is None else (body_name,))

    async def record(self, order: Add | AddBatch, head: RequestHead, ask: Ask, body_names: Sequence[str]) -> Reply:
        """Record a request, or a batch and its items, and answer as `accept` does.

        Parameters:
            body_names: the sealed bodies that it has; removed where nothing is recorded.

        Raises:
            As `accept`.
        """
        rid = order.rid
        waiter = self._waiter(rid, ask)
        try:
            try:
                try:
                    added = await sent(order, self._ledger)
                except CommitInDoubt as doubt:
                    added = await made_sure(
                        order, doubt, ledger=self._ledger, reader=self._reader, waiting=self._waiting
                    )
                existing = _check(added, order.idempotency)
            except BgrsError as error:
                # Where there may be a record, it needs its body. One that nobody names is swept later.
                if not isinstance(error, CommitInDoubt):
                    self._drop(body_names)
                raise
            if existing is not None and existing != rid:
                self._drop(body_names)
                if waiter is not None:
                    waiter.close()
                rid, waiter = existing, self._waiter(existing, ask)
            return await self._answer(rid, head, ask, waiter, order)
        finally:
            if waiter is not None:
                waiter.close()

    def _idempotency(
        self, ask: Ask, head: RequestHead, caller: Caller, body_sha256: bytes | None
    ) -> Idempotency | None:
        if ask.idempotency_key is None:
            return None
        assert body_sha256 is not None, "the spool hashes what has a key"
        query = replayed_query(head, self._settings)
        return idempotency_of(
            ask.idempotency_key, head, query, body_sha256, identity=caller.identity, former=caller.former
        )

    def _drop(self, body_names: Sequence[str]) -> None:
        for name in body_names:
            self._drop_body(name)

    def _waiter(self, rid: str, ask: Ask) -> Waiter | None:
        return self._waiting.waiter(rid, ask.wait_seconds) if ask.wait_seconds > 0 else None

    async def _answer(
        self, rid: str, head: RequestHead, ask: Ask, waiter: Waiter | None, order: Add | AddBatch
    ) -> Reply:
        retry_after = 1
        returns_operation = ask.rule is not None and ask.rule.returns_operation
        try:
            if waiter is not None or returns_operation:
                record = await self._answers.wait_until_final(rid, waiter)
                if record is not None and returns_operation:
                    return await self._operations.shown(record, head)
                if record is not None and record.status.is_final:
                    return answer_reply(record, await self._answers.captured_of(record, head))
                if record is not None:
                    retry_after = retry_after_seconds(record, time.time())
        except StorageError as error:
            if rid != order.rid:
                raise  # A repeat, which may be sent once more.
            # It is recorded. Who is told of a store that cannot be read would send it again.
            logger.warning("A request was recorded, and could not be read again: %s", error)
        if returns_operation and isinstance(order, Add) and rid == order.rid:
            return await self._operations.shown(_as_recorded(order), head)
        return accepted(
            rid,
            rule=ask.rule,
            by_prefer=ask.by_prefer,
            base_url=base_url(head, self._settings),
            settings=self._settings,
            retry_after_seconds=retry_after,
        )


def _as_recorded(order: Add) -> Record:
    """The record of an order as it was at first; its id is not known."""
    return Record(id=0, **new_fields(order))


def _check(added: Added | Existing, idempotency: Idempotency | None) -> str | None:
    """The rid of the request that there is already, None where this one was recorded; raises where it was refused."""
    if isinstance(added, Existing):
        if idempotency is None or added.fingerprint != idempotency.fingerprint:
            raise KeyReused(
                "This Idempotency-Key was used for another request, or with other cookies: for something else, take a"
                " new key."
            )
        return added.rid
    if added is Added.QUEUE_FULL:
        raise QueueFull("The queue is full: too many background requests are waiting. Send this one again later.")
    if added is Added.CALLER_QUEUE_FULL:
        raise CallerQueueFull("Too many of your background requests are waiting. Send this one again later.")
    return None
