"""Repeats: an order whose `Idempotency-Key` a record has already adds nothing, and is told of that record.

Pure, and shared by all stores. A repeat is found before the queue's limits are looked at: it takes no place in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from ..orders import Add, Added, Existing, Idempotency


def keys_of(orders: Iterable[Add]) -> list[str]:
    """The keys under which a record may be that one of these orders repeats."""
    keyed = [order.idempotency for order in orders if order.idempotency is not None]
    return [key for idempotency in keyed for key in (idempotency.key, *idempotency.former_keys)]


def find(idempotency: Idempotency | None, known: Mapping[str, Existing]) -> Existing | None:
    """The record that has the key already, under the caller's present identity or a former one."""
    if idempotency is None or not known:
        return None
    keys = (idempotency.key, *idempotency.former_keys)
    return next((known[key] for key in keys if key in known), None)


def outcomes_of(
    orders: Sequence[Add], admit: Callable[[Add], Added], existing: Mapping[str, Existing] | None
) -> list[Added | Existing]:
    """What becomes of each order: recorded, refused for a full queue, or a repeat.

    Parameters:
        admit: whether there is room for one that repeats nothing; counts it if there is.
        existing: by key, the records that have one of their keys; None where the orders have none. What comes twice in
            one call is a repeat, too.
    """
    if existing is None:
        return [admit(order) for order in orders]
    known = dict(existing)
    outcomes: list[Added | Existing] = []
    for order in orders:
        outcome = find(order.idempotency, known) or admit(order)
        if outcome is Added.ADDED and order.idempotency is not None:
            known[order.idempotency.key] = Existing(rid=order.rid, fingerprint=order.idempotency.fingerprint)
        outcomes.append(outcome)
    return outcomes


def corrected(
    orders: Sequence[Add], outcomes: Sequence[Added | Existing], beaten: Mapping[str, Existing]
) -> list[Added | Existing]:
    """The outcomes after all, where another process was faster with some keys.

    Parameters:
        beaten: by the rid of an order that was to be recorded, the record that has its key instead.
    """
    return [
        beaten.get(order.rid if outcome is Added.ADDED else outcome.rid, outcome)
        if outcome is Added.ADDED or isinstance(outcome, Existing)
        else outcome
        for order, outcome in zip(orders, outcomes, strict=True)
    ]
