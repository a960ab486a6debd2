"""Answers to the background request's own routes: status, details, result, list, cancel, retry, delete."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from ..errors import Conflict
from ..ledger import Ledger
from ..models import Captured, ListQuery, Record, Status
from ..orders import Cancel, Delete, Retry
from ..pending import Pending
from ..progress import Run
from ..protocol import replies
from ..protocol.ask import read_wait, says_wait
from ..protocol.message import Reply, RequestHead
from ..protocol.pages import dump_token, read_page
from ..protocol.result import result_reply
from ..protocol.routes import Action, Route
from ..reader import Reader
from ..settings import Settings
from ..waiting import Waiter, Waiting
from . import views
from .callers import Caller, check_manageable, check_readable
from .polling import Polling
from .runs import Runs

MAX_DETAILS = 1_000

Story = Coroutine[Pending[Any], None, Reply]
"""What is to be done until there is an answer: driven by `on_loop` or `in_thread`."""


class Answers:
    """Answers what clients ask about background requests.

    Parameters:
        settings: `access`, `max_wait_seconds`.
        polling: refuses who asks far too fast.
        page_secret: signs page tokens.
        drop_body: removes a stored body, some time soon.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        ledger: Ledger,
        reader: Reader,
        waiting: Waiting,
        runs: Runs,
        polling: Polling,
        page_secret: bytes,
        drop_body: Callable[[str], object],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._reader = reader
        self._waiting = waiting
        self._runs = runs
        self._polling = polling
        self._page_secret = page_secret
        self._drop_body = drop_body
        # Looked up once: a method that waits with each read is one more thing for the garbage collector.
        self._show = self._shown
        self._stories: dict[Action, Callable[[Route, RequestHead, Caller], Story]] = {
            Action.STATUS: self._status,
            Action.DETAILS: self._details,
            Action.RESULT: self._result,
            Action.CANCEL: self._cancel,
            Action.RETRY: self._retry,
            Action.DELETE: self._delete,
            Action.LIST: self._list,
        }

    def answer(self, route: Route, head: RequestHead, caller: Caller) -> Story:
        """Answer one of our own routes. To be awaited.

        Raises:
            Refusal: what the client asked for cannot be done; it says why.
            StorageError: the store cannot answer.
        """
        return self._stories[route.action](route, head, caller)

    async def wait_until_final(self, rid: str, waiter: Waiter | None) -> Record | None:
        """Wait until a request has ended or the waiter's time is up; returns what is known then, at once to nobody."""
        record = await self.record(rid)
        while waiter is not None and record is not None and not record.status.is_final and await waiter.change(record):
            record = await self.record(rid)
        return record

    async def held_until_final(
        self, rid: str, wait_seconds: float, check: Callable[[Record | None], Record]
    ) -> tuple[Record, float]:
        """The record once it has ended, at the latest after so many seconds; and for how many it could be held.

        Parameters:
            check: returns a record that the caller may have, and raises for any other; asked before the wait, too.
        """
        waiter = self._waiting.waiter(rid, wait_seconds) if wait_seconds > 0 else None
        try:
            record = check(await self.record(rid))
            if waiter is None:
                return record, 0.0
            if not record.status.is_final:
                record = check(await self.wait_until_final(rid, waiter))
            return record, wait_seconds
        finally:
            if waiter is not None:
                waiter.close()

    async def captured_of(self, record: Record, head: RequestHead) -> Captured:
        """The captured response of a request that has ended; see `views.captured`."""
        return await views.captured(record, self._reader, head, self._settings)

    async def cancel(self, rid: str, caller: Caller) -> Record:
        """Cancel a request where it can still be; returns it as it is then.

        Raises:
            NotFound, NotAllowed: it is not this caller's to manage.
        """
        check_manageable(await self.record(rid), caller, self._settings)
        changed = await self._ledger.cancel(Cancel(rid=rid, now=time.time()))
        for each in (rid, *(item.rid for item in changed.items)):
            self._runs.cancel(each)
        return check_manageable(await self.record(rid), caller, self._settings)

    async def delete(self, rid: str, caller: Caller) -> bool:
        """Remove a request and all that is kept of it, of a batch its items, too. False where it runs: then it stays.

        Raises:
            NotFound, NotAllowed: it is not this caller's to manage.
        """
        check_manageable(await self.record(rid), caller, self._settings)
        changed = await self._ledger.delete(Delete(rid=rid, now=time.time()))
        for name in changed.body_names:
            self._drop_body(name)
        return changed.done or changed.before is None

    async def _status(self, route: Route, head: RequestHead, caller: Caller) -> Reply:
        wait_seconds = read_wait(head, self._settings, 0.0)
        if wait_seconds == 0.0 and self._runs.run_of(route.rid) is None:
            reply = await self._reader.view(route.rid, self._show, caller, head)
            if reply is not None:
                return reply
        record = await self._record_after(wait_seconds, route, caller)
        return replies.status_reply(await views.shown(record, self._reader), head, time.time())

    async def _record_after(self, wait_seconds: float, route: Route, caller: Caller) -> Record:
        """The record once its state has changed, at the latest after so many seconds."""
        waiter = self._waiting.waiter(route.rid, wait_seconds) if wait_seconds > 0 else None
        try:
            record = check_readable(await self.record(route.rid), caller, self._settings)
            first = record.status
            while waiter is not None and record.status is first and not first.is_final:
                if not await waiter.change(record):
                    break
                record = check_readable(await self.record(route.rid), caller, self._settings)
            self._polling.check(record, caller.identity, 0.0 if waiter is None else wait_seconds)
            return record
        finally:
            if waiter is not None:
                waiter.close()

    def _shown(self, record: Record | None, caller: Caller, head: RequestHead) -> Reply | None:
        """None where the record alone does not tell all."""
        record = check_readable(record, caller, self._settings)
        if record.is_batch:
            return None
        self._polling.check(record, caller.identity)
        return replies.status_reply(record, head, time.time())

    async def _result(self, route: Route, head: RequestHead, caller: Caller) -> Reply:
        default_seconds = 0.0
        if route.natif is not None:
            default_seconds = self._settings.max_wait_seconds
            if route.natif.wait_seconds is not None:
                default_seconds = route.natif.wait_seconds
        wait_seconds = read_wait(head, self._settings, default_seconds)
        record, held_seconds = await self.held_until_final(
            route.rid, wait_seconds, lambda found: check_readable(found, caller, self._settings)
        )
        if record.status.is_final:
            return result_reply(record, await self.captured_of(record, head), head)
        if route.natif is None or says_wait(head):
            # The loops that natif.ai's clients have take every status but 202 for the end.
            self._polling.check(record, caller.identity, held_seconds)
        return replies.not_ready(await views.shown(record, self._reader), head, time.time(), route.natif)

    async def _details(self, route: Route, head: RequestHead, caller: Caller) -> Reply:
        after_id = replies.read_after(head)
        record = check_manageable(await self.record(route.rid), caller, self._settings)
        self._polling.check(record, caller.identity)
        for pending in self._runs.send_notes(route.rid):
            await pending
        details = await self._reader.query(lambda store: store.details(route.rid, after_id, MAX_DETAILS))
        return replies.details_reply(details, head)

    async def _list(self, route: Route, head: RequestHead, caller: Caller) -> Reply:
        page = read_page(head, self._page_secret, caller.identity)
        if caller.identity is None:
            return replies.list_reply((), None, head)
        query = ListQuery(
            owner=caller.identity, statuses=page.statuses, before_id=page.before_id, limit=page.page_size + 1
        )
        records = list(await self._reader.query(lambda store: store.list(query)))
        token = None
        if len(records) > page.page_size:
            records.pop()
            token = dump_token(self._page_secret, caller.identity, page.statuses, records[-1].id)
        return replies.list_reply([self.as_known(record) for record in records], token, head)

    async def _cancel(self, route: Route, head: RequestHead, caller: Caller) -> Reply:
        record = await self.cancel(route.rid, caller)
        if record.status.is_final and record.status is not Status.CANCELLED:
            raise Conflict(f"It is {record.status.label} already and cannot be cancelled.", rid=route.rid)
        return replies.cancel_reply(await views.shown(record, self._reader), head, time.time())

    async def _retry(self, route: Route, head: RequestHead, caller: Caller) -> Reply:
        record = check_manageable(await self.record(route.rid), caller, self._settings)
        changed = await self._ledger.retry(Retry(rid=route.rid, now=time.time()))
        if not changed.done:
            raise _no_retry(changed.before or record)
        return replies.retry_reply(route.rid, head)

    async def _delete(self, route: Route, head: RequestHead, caller: Caller) -> Reply:
        if not await self.delete(route.rid, caller):
            raise Conflict("It is running. Cancel it first, or wait until it has ended.", rid=route.rid)
        return replies.deleted()

    def as_known(self, record: Record) -> Record:
        """A record as read, with what this process knows better."""
        snapshot, ending = self._runs.snapshot(record.rid), self._runs.run_of(record.rid)
        if snapshot is not None and not record.status.is_final:
            return snapshot
        return record if ending is None else _with_progress(record, ending)

    async def record(self, rid: str) -> Record | None:
        """The record of a rid, with what this process knows better than the store, or None."""
        snapshot = self._runs.snapshot(rid)
        if snapshot is not None:
            return snapshot
        # Taken before the store is asked: while an outcome is being written, the store's progress is the older one.
        ending = self._runs.run_of(rid)
        record = await self._reader.get(rid)
        return record if ending is None or record is None else _with_progress(record, ending)


def _with_progress(record: Record, run: Run) -> Record:
    """What a run has reported is never older than what the store says, as long as it runs."""
    if not record.status.is_running:
        return record
    return replace(record, progress=run.progress, message=run.message, items=run.items)


def _no_retry(record: Record) -> Conflict:
    if record.is_batch:
        return Conflict("It is a batch, which is not run itself. Retry those of its items that failed.", rid=record.rid)
    if record.status in (Status.FAILED, Status.LOST, Status.CANCELLED):
        return Conflict("Its request is no longer kept, so it cannot run again. Send it anew.", rid=record.rid)
    return Conflict(f"It is {record.status.label}; only failed, lost or cancelled requests run again.", rid=record.rid)
