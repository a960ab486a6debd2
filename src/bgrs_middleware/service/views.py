"""What is shown of a batch: the batch and its items, read together, so that the one fits the other.

Of a record that is no batch, everything here is the record itself; nothing is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..models import Captured, Record, Status
from ..protocol.batches import as_items, captured_batch
from ..protocol.message import RequestHead
from ..protocol.replies import no_response
from ..protocol.urls import base_url
from ..reader import Reader
from ..settings import Settings


async def with_items(record: Record, reader: Reader) -> tuple[Record, Sequence[Record]]:
    """A record as it is now, and the records of its items; as it was, where it was removed meanwhile."""
    if not record.is_batch:
        return record, ()
    found = await reader.query(lambda store: store.with_items(record.rid))
    return (found[0], found[1:]) if found else (record, ())


async def shown(record: Record, reader: Reader) -> Record:
    """A record as its status document tells of it: with its items, like those that an application reported."""
    batch, items = await with_items(record, reader)
    return replace(batch, items=as_items(items)) if batch.is_batch else batch


async def captured(record: Record, reader: Reader, head: RequestHead, settings: Settings) -> Captured:
    """The captured response of a request that has ended; of a batch, the list of its items.

    Parameters:
        head: of who asks: it tells what absolute URLs begin with.

    Raises:
        Refusal: there is none; it says why.
    """
    found: Captured | None = None
    if record.status is Status.FINISHED and record.is_batch:
        batch, items = await with_items(record, reader)
        found = captured_batch(batch, items, base_url=base_url(head, settings), settings=settings)
    elif record.status is Status.FINISHED:
        found = await reader.captured(record.rid)
    if found is None:
        raise no_response(record)
    return found
