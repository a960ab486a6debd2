"""Accepting a request for the background: the record is committed and flushed before the client hears of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..bodies.base import Bodies
from ..bodies.spool import Spool
from ..errors import BgrsError, CallerQueueFull, CommitInDoubt, QueueFull
from ..ledger import Ledger
from ..orders import Add, Added
from ..protocol.ask import Ask
from ..protocol.message import Reply, RequestHead
from ..protocol.replayed import name_of, replayed_head, type_of
from ..protocol.replies import accepted, retry_after_seconds
from ..protocol.result import answer_reply
from ..protocol.stored import dump
from ..protocol.urls import base_url
from ..reader import Reader
from ..sealing import Keyring
from ..settings import Settings
from ..waiting import Waiter, Waiting
from .answers import Answers
from .callers import Caller
from .doubt import add_surely


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
        drop_body: Callable[[str], object],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._reader = reader
        self._waiting = waiting
        self._bodies = bodies
        self._keyring = keyring
        self._answers = answers
        self._drop_body = drop_body

    def spool(self, rid: str) -> Spool:
        """Where a door puts the body of the request that is to get this id.

        Raises:
            DiskFull: the disk is at its floor; nothing is read.
        """
        self._bodies.check_room()
        return Spool(rid, self._bodies, self._keyring, self._settings.max_body_bytes)

    async def accept(
        self,
        *,
        rid: str,
        head: RequestHead,
        ask: Ask,
        caller: Caller,
        body_length: int,
        body: bytes | None,
        body_name: str | None,
    ) -> Reply:
        """Record a request and answer: 202, or its response if that is there within the wait.

        Parameters:
            rid: its new id.
            head: the request as received.
            body_length: in bytes; the body itself is `body`, or lies sealed under `body_name`.

        Raises:
            QueueFull, CallerQueueFull: nothing was recorded.
            CommitInDoubt: nobody knows whether it was.
            StorageError: nothing was recorded.
        """
        order = self._order(rid, head, ask, caller, body_length, body, body_name)
        waiter = self._waiting.waiter(rid, ask.wait_seconds) if ask.wait_seconds > 0 else None
        try:
            try:
                _check(await add_surely(order, ledger=self._ledger, reader=self._reader, waiting=self._waiting))
            except BgrsError as error:
                # Where there may be a record, it needs its body. One that nobody names is swept later.
                if body_name is not None and not isinstance(error, CommitInDoubt):
                    self._drop_body(body_name)
                raise
            return await self._answer(rid, head, ask, waiter)
        finally:
            if waiter is not None:
                waiter.close()

    async def _answer(self, rid: str, head: RequestHead, ask: Ask, waiter: Waiter | None) -> Reply:
        retry_after = 1
        if waiter is not None:
            record = await self._answers.wait_until_final(rid, waiter)
            if record is not None and record.status.is_final:
                return answer_reply(record, await self._answers.captured_of(record))
            if record is not None:
                retry_after = retry_after_seconds(record, time.time())
        return accepted(
            rid,
            rule=ask.rule,
            by_prefer=ask.by_prefer,
            base_url=base_url(head, self._settings),
            settings=self._settings,
            retry_after_seconds=retry_after,
        )

    def _order(
        self,
        rid: str,
        head: RequestHead,
        ask: Ask,
        caller: Caller,
        body_length: int,
        body: bytes | None,
        body_name: str | None,
    ) -> Add:
        settings, rule = self._settings, ask.rule
        stored = dump(replayed_head(head, settings, body_length), body)
        return Add(
            rid=rid,
            owner=caller.identity,
            method=head.method,
            name=name_of(head),
            type=type_of(head, rule),
            now=time.time(),
            sealed_request=self._keyring.seal(stored, context=rid.encode()),
            request_body_name=body_name,
            rerun=settings.rerun if rule is None or rule.rerun is None else rule.rerun,
            max_run_seconds=(
                settings.max_run_seconds if rule is None or rule.max_run_seconds is None else rule.max_run_seconds
            ),
            retention_days=settings.retention_days,
            max_queued=settings.max_queued,
            max_queued_per_caller=settings.max_queued_per_caller,
        )


def _check(added: Added) -> None:
    if added is Added.QUEUE_FULL:
        raise QueueFull("The queue is full: too many background requests are waiting. Send this one again later.")
    if added is Added.CALLER_QUEUE_FULL:
        raise CallerQueueFull("Too many of your background requests are waiting. Send this one again later.")
