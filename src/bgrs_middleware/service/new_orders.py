"""What is to be recorded of a request: from its head and body to the order that the ledger takes.

One place for all ways to ask: a request of its own, and each item of a batch.
"""

from __future__ import annotations

import time

from ..models import DEFAULT_OPERATIONS_PARENT
from ..orders import Add, Idempotency
from ..protocol.message import RequestHead
from ..protocol.replayed import name_of, replayed_head, type_of
from ..protocol.stored import dump
from ..sealing import Keyring
from ..settings import Rule, Settings


def new_add(
    *,
    rid: str,
    head: RequestHead,
    rule: Rule | None,
    owner: str | None,
    body_length: int,
    body: bytes | None,
    body_name: str | None,
    settings: Settings,
    keyring: Keyring,
    operations_parent: str = DEFAULT_OPERATIONS_PARENT,
    parent: str | None = None,
    idempotency: Idempotency | None = None,
) -> Add:
    """Return the order that records a request, with what is to be replayed sealed for its rid.

    Parameters:
        rid: its new id.
        head: the request as received; what asked for the background is taken out.
        rule: the rule that matched, None where none did; what it says goes before the settings.
        owner: the caller's identity.
        body_length: in bytes; the body itself is `body`, or lies sealed under `body_name`.
        operations_parent: what the name of its operation begins with.
        parent: the rid of the batch that it is an item of.
        idempotency: what its `Idempotency-Key` means, None where it has none.
    """
    stored = dump(replayed_head(head, settings, body_length), body)
    return Add(
        rid=rid,
        owner=owner,
        method=head.method,
        name=name_of(head),
        type=type_of(head, rule),
        now=time.time(),
        sealed_request=keyring.seal(stored, context=rid.encode()),
        request_body_name=body_name,
        rerun=settings.rerun if rule is None or rule.rerun is None else rule.rerun,
        max_run_seconds=(
            settings.max_run_seconds if rule is None or rule.max_run_seconds is None else rule.max_run_seconds
        ),
        retention_days=settings.retention_days,
        max_queued=settings.max_queued,
        max_queued_per_caller=settings.max_queued_per_caller,
        operations_parent=operations_parent,
        parent=parent,
        idempotency=idempotency,
    )
