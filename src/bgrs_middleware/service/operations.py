"""Answers to the routes of long-running operations: Google's five, and the document that Azure's pollers read.

They tell of the same records as the other routes, and wait, cancel and delete in the same way (`answers.py`); what is
theirs is the form. An operation has the parent that its path names, or there is none there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..models import Captured, Record, Status
from ..protocol.azure import azure_reply
from ..protocol.message import Reply, RequestHead
from ..protocol.operation_ends import Code, failure_of
from ..protocol.operation_names import operation_name
from ..protocol.operation_pages import next_page_token, read_operations_query
from ..protocol.operation_timeout import read_timeout
from ..protocol.operations import (
    MAX_RESPONSE_BYTES,
    batch_item,
    error_document,
    late_cancel_document,
    operation_document,
    operations_list,
)
from ..protocol.replies import json_reply, result_url, when_to_ask
from ..protocol.routes import Action, Route
from ..protocol.urls import base_url
from ..reader import Reader
from ..settings import Settings
from .answers import Answers, Story
from .callers import Caller, check_manageable, check_readable
from .polling import Polling
from .views import with_items


class Operations:
    """Answers what clients ask about operations.

    Parameters:
        settings: `access`, `max_wait_seconds`, `path`, `public_url`.
        answers: what the other routes do with the same records.
        polling: refuses who asks far too fast.
        page_secret: signs page tokens.
    """

    def __init__(
        self,
        *,
        settings: Settings,
        answers: Answers,
        polling: Polling,
        reader: Reader,
        page_secret: bytes,
    ) -> None:
        self._settings = settings
        self._answers = answers
        self._polling = polling
        self._reader = reader
        self._page_secret = page_secret
        self._stories: dict[Action, Callable[[Route, RequestHead, Caller, bytes], Story]] = {
            Action.OPERATION: self._get,
            Action.OPERATIONS: self._list,
            Action.WAIT_OPERATION: self._wait,
            Action.CANCEL_OPERATION: self._cancel,
            Action.DELETE_OPERATION: self._delete,
            Action.AZURE_OPERATION: self._azure,
        }

    def has(self, action: Action) -> bool:
        """Whether it is answered here."""
        return action in self._stories

    def answer(self, route: Route, head: RequestHead, caller: Caller, body: bytes) -> Story:
        """Answer one of the routes of operations. To be awaited.

        Parameters:
            body: of a request to wait; empty for all others.

        Raises:
            Refusal: what the client asked for cannot be done; it says why.
            StorageError: the store cannot answer.
        """
        return self._stories[route.action](route, head, caller, body)

    async def shown(self, record: Record, head: RequestHead) -> Reply:
        """The operation of a record, and where it has not ended, when to ask again."""
        record, items = await with_items(record, self._reader)
        captured = await self._reader.captured(record.rid) if _carries_response(record) else None
        document = self._document(record, captured, head, items)
        return json_reply(head, 200, document, when_to_ask(record, time.time()))

    async def _get(self, route: Route, head: RequestHead, caller: Caller, body: bytes) -> Reply:
        record = self._readable(await self._answers.record(route.rid), route, caller)
        self._polling.check(record, caller.identity)
        return await self.shown(record, head)

    async def _wait(self, route: Route, head: RequestHead, caller: Caller, body: bytes) -> Reply:
        longest = self._settings.max_wait_seconds
        asked = read_timeout(body)
        seconds = longest if asked is None else min(asked, longest)
        record, held_seconds = await self._answers.held_until_final(
            route.rid, seconds, lambda found: self._readable(found, route, caller)
        )
        self._polling.check(record, caller.identity, held_seconds)
        return await self.shown(record, head)

    async def _list(self, route: Route, head: RequestHead, caller: Caller, body: bytes) -> Reply:
        query = read_operations_query(
            head,
            secret=self._page_secret,
            owners=() if caller.identity is None else (caller.identity, *caller.former),
            operations_parent=str(route.operations_parent),
        )
        page = await self._reader.query(lambda store: store.operations(query))
        records = [self._answers.as_known(record) for record in page.records]
        rids = [record.rid for record in _carried_by_a_page(records)]
        captured = await self._reader.query(lambda store: store.captured(rids)) if rids else {}
        documents = [self._document(record, captured.get(record.rid), head) for record in records]
        token = next_page_token(head, secret=self._page_secret, query=query, page=page)
        return json_reply(head, 200, operations_list(documents, token))

    async def _cancel(self, route: Route, head: RequestHead, caller: Caller, body: bytes) -> Reply:
        record = self._manageable(await self._answers.record(route.rid), route, caller)
        if not record.status.is_final:
            record = await self._answers.cancel(route.rid, caller)
            if not record.status.is_final or record.status is Status.CANCELLED:
                return json_reply(head, 200, b"{}")
        return json_reply(head, 400, late_cancel_document(_name_of(record)))

    async def _delete(self, route: Route, head: RequestHead, caller: Caller, body: bytes) -> Reply:
        record = self._manageable(await self._answers.record(route.rid), route, caller)
        if await self._answers.delete(route.rid, caller):
            return json_reply(head, 200, b"{}")
        name = _name_of(record)
        refusal = error_document(
            400,
            f"Operation is running and cannot be deleted: '{name}'. Cancel it first, or wait until it is done.",
            reason="OPERATION_RUNNING",
            code=Code.FAILED_PRECONDITION,
            metadata={"operation": name},
        )
        return json_reply(head, 400, refusal)

    async def _azure(self, route: Route, head: RequestHead, caller: Caller, body: bytes) -> Reply:
        record = check_readable(await self._answers.record(route.rid), caller, self._settings)
        self._polling.check(record, caller.identity)
        return azure_reply(record, head, result_uri=self._result_uri(record, head), now=time.time())

    def _readable(self, record: Record | None, route: Route, caller: Caller) -> Record:
        return check_readable(_of_parent(record, route), caller, self._settings)

    def _manageable(self, record: Record | None, route: Route, caller: Caller) -> Record:
        return check_manageable(_of_parent(record, route), caller, self._settings)

    def _document(
        self, record: Record, captured: Captured | None, head: RequestHead, items: Sequence[Record] = ()
    ) -> bytes:
        return operation_document(
            record,
            captured,
            name=_name_of(record),
            result_uri=self._result_uri(record, head),
            batch_items=[
                batch_item(item, name=_name_of(item), result_uri=self._result_uri(item, head)) for item in items
            ],
        )

    def _result_uri(self, record: Record, head: RequestHead) -> str:
        return result_url(record.rid, base_url=base_url(head, self._settings), settings=self._settings)


def _of_parent(record: Record | None, route: Route) -> Record | None:
    """None where the record's operation has another name than the path."""
    return None if record is None or record.operations_parent != route.operations_parent else record


def _name_of(record: Record) -> str:
    return operation_name(record.operations_parent, record.rid)


def _carries_response(record: Record) -> bool:
    """Whether its operation carries the captured response: it succeeded, and the response is not in a file."""
    return record.status.is_final and failure_of(record) is None and record.result_body_name is None


def _carried_by_a_page(records: Sequence[Record]) -> list[Record]:
    """Those whose response a list carries: the newest, as long as all of them together are no more than one may be."""
    carried: list[Record] = []
    left = MAX_RESPONSE_BYTES
    for record in filter(_carries_response, records):
        left -= record.result_length or 0
        if left < 0:
            break
        carried.append(record)
    return carried
