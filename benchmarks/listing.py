"""(e) A page of operations, of a caller with a million of them and of one with a thousand.

What the store takes for it, in this process, without HTTP: newest first, fifty of them, and what filters cost that
nearly all meet, or none. The two stores take turns page by page, so that drift meets both.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace
from statistics import median
from time import perf_counter

from bgrs_middleware.models import DEFAULT_OPERATIONS_PARENT, OperationsQuery
from bgrs_middleware.protocol.filters import condition_of
from bgrs_middleware.protocol.operation_pages import SCAN_LIMIT
from bgrs_middleware.settings import Settings
from bgrs_middleware.stores import make_store
from bgrs_middleware.stores.base import Store

from .filling import FEW, OWNER, Filled
from .report import Report, at_most, median_ratio

SIZE_TARGET = at_most(1.3)

PAGES = 100
"""In a round, of each store."""

PAGE_SIZE = 50
FILTERS = {
    "no filter": "",
    "filter met by all": "metadata.state = SUCCEEDED",
    "filter met by none": "metadata.state = FAILED OR type = *ZEBRA*",
}

_MILLISECONDS = 1_000.0


def run(report: Report, filled: Filled, *, rounds: int) -> None:
    """Measure and report.

    Parameters:
        filled: the stores.
        rounds: how often each is measured.
    """
    report.title(
        f"(e) Pages of {PAGE_SIZE} operations from the store, at most {SCAN_LIMIT:,} looked at; {rounds} rounds of "
        f"{PAGES} pages, medians"
    )
    filled.make(report)
    stores = {name: make_store(Settings(data_dir=os.path.join(filled.data, name))) for name in ("few", "many")}
    for store in stores.values():
        store.open()
    for name, text in FILTERS.items():
        _compare(report, stores, filled.records, name, _query(text), rounds)
    _anywhere(report, stores["many"], filled.records, rounds)
    for store in stores.values():
        store.close()


def _query(text: str) -> OperationsQuery:
    return OperationsQuery(
        owners=(OWNER,),
        operations_parent=DEFAULT_OPERATIONS_PARENT,
        condition=condition_of(text) if text else None,
        before_id=None,
        limit=PAGE_SIZE,
        scan_limit=SCAN_LIMIT,
    )


def _compare(
    report: Report, stores: dict[str, Store], records: int, name: str, query: OperationsQuery, rounds: int
) -> None:
    """The newest page of both stores."""
    medians: dict[str, list[float]] = {"few": [], "many": []}
    for _ in range(rounds):
        times: dict[str, list[float]] = {"few": [], "many": []}
        for _ in range(PAGES):
            for which, store in stores.items():
                times[which].append(_milliseconds(store, query))
        for which in stores:
            medians[which].append(median(times[which]))
    ratio = median_ratio(medians["many"], medians["few"])
    report.figure(f"a page, {name}, {FEW:,} records", f"{median(medians['few']):.2f} ms")
    report.figure(f"a page, {name}, {records:,} records", f"{median(medians['many']):.2f} ms")
    report.figure(f"a page, {name}, {records:,} records, with {FEW:,} = 1", f"{ratio:.2f}", ratio, SIZE_TARGET)


def _anywhere(report: Report, store: Store, records: int, rounds: int) -> None:
    """Pages that begin at places drawn from all records, so that no cache is flattered."""
    draw = random.Random(160)
    places = [draw.randrange(1, records + 1) for _ in range(rounds * PAGES)]
    times = [_milliseconds(store, replace(_query(""), before_id=place)) for place in places]
    report.figure(f"a page, no filter, anywhere in {records:,} records", f"{median(times):.2f} ms")


def _milliseconds(store: Store, query: OperationsQuery) -> float:
    started = perf_counter()
    store.operations(query)
    return (perf_counter() - started) * _MILLISECONDS
