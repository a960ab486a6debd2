"""Generated filters and records, and an oracle of its own that knows the generated tree, not the filter's text.

Each comparison is made together with what it must mean, told with decimals, regular expressions and tables of its own.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

from hypothesis import strategies as st

from bgrs_middleware.models import Record, Rerun, Status, new_rid

NOON_NANOSECONDS = 1_769_860_800 * 10**9
EPOCH = datetime(1970, 1, 1, tzinfo=timezone(timedelta()))

# Texts of few characters, so that patterns match: letters in both cases, and all that LIKE, GLOB and quotes know.
LETTERS = "aAbB_%*?[]^-|\\'\" é😀"
TYPES = st.text(LETTERS, max_size=4)


@dataclass(frozen=True)
class Leaf:
    """One comparison as a client would write it, and what it must mean."""

    text: str
    means: Callable[[Record], bool]


@dataclass(frozen=True)
class Branch:
    """`AND`, `OR` or `NOT` over others, as it is written (`joined`)."""

    kind: str
    joined: str
    children: tuple[Tree, ...]


Tree = Leaf | Branch

ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    ":": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
EQUALITIES = st.sampled_from(("=", ":", "!="))


def oracle(tree: Tree, record: Record) -> bool:
    if isinstance(tree, Leaf):
        return tree.means(record)
    answers = [oracle(child, record) for child in tree.children]
    return {"AND": False not in answers, "OR": True in answers, "NOT": answers == [False]}[tree.kind]


def written(tree: Tree) -> str:
    """The tree as text, with parentheses around every branch but the outermost."""
    if isinstance(tree, Leaf):
        return tree.text
    parts = [child.text if isinstance(child, Leaf) else f"({written(child)})" for child in tree.children]
    return f"{tree.joined}{parts[0]}" if tree.kind == "NOT" else tree.joined.join(parts)


def in_quotes(text: str, quote: str) -> str:
    return quote + "".join(f"\\{each}" if each in (quote, "\\", "*") else each for each in text) + quote


@st.composite
def type_patterns(draw: st.DrawFn) -> Leaf:
    field, comparator, quote = draw(st.sampled_from(("type", "TYPE"))), draw(EQUALITIES), draw(st.sampled_from("'\""))
    parts = draw(st.lists(st.text(LETTERS, max_size=2), min_size=1, max_size=4))
    pattern = re.compile(".*".join(map(re.escape, parts)), re.DOTALL)
    value = quote + "*".join(in_quotes(part, quote)[1:-1] for part in parts) + quote
    return Leaf(
        f"{field} {comparator} {value}",
        lambda record: (pattern.fullmatch(record.type) is None) == (comparator == "!="),
    )


@st.composite
def type_orders(draw: st.DrawFn) -> Leaf:
    comparator, text = draw(st.sampled_from(("<", "<=", ">", ">="))), draw(TYPES)
    code_points = list(map(ord, text))
    return Leaf(
        f"type{comparator}" + in_quotes(text, '"'),
        lambda record: ORDERS[comparator](list(map(ord, record.type)), code_points),
    )


def named_state(record: Record) -> str:
    if record.status == Status.FINISHED:
        return "SUCCEEDED" if record.http_status in range(400) else "FAILED"
    return ["", "PENDING", "RUNNING", "CANCELLING", "", "FAILED", "CANCELLED", "FAILED", "FAILED"][record.status]


@st.composite
def states(draw: st.DrawFn) -> Leaf:
    comparator = draw(EQUALITIES)
    names = (
        "PENDING",
        "RUNNING",
        "CANCELLING",
        "SUCCEEDED",
        "FAILED",
        "CANCELLED",
        "CANCELL*",
        "*ED",
        "*N*G",
        "*",
        "x*",
    )
    name = draw(st.sampled_from(names))
    pattern = re.compile(name.replace("*", ".*"))
    return Leaf(
        f"metadata.state{comparator}{name}",
        lambda record: (pattern.fullmatch(named_state(record)) is None) == (comparator == "!="),
    )


@st.composite
def dones(draw: st.DrawFn) -> Leaf:
    comparator, value = draw(EQUALITIES), draw(st.sampled_from(("true", "false")))
    return Leaf(
        f"done {comparator} {value}",
        lambda record: ORDERS[comparator]("true" if record.status >= 4 else "false", value),
    )


def nanoseconds_of(seconds: float) -> int:
    with localcontext(prec=200):
        return int((Decimal(seconds) * 10**6).to_integral_value(ROUND_HALF_UP)) * 1_000


NANOSECONDS = st.one_of(
    st.integers(-3, 3).map(lambda count: NOON_NANOSECONDS + count * 500),
    st.integers(-20, 20).map(lambda count: NOON_NANOSECONDS + count * 7_812_500),  # 1/128 s, between two microseconds
    st.integers(0, 4 * 10**18),
)


@st.composite
def times(draw: st.DrawFn) -> Leaf:
    field, column = draw(st.sampled_from((("createTime", "created_at"), ("updateTime", "updated_at"))))
    comparator, nanoseconds = draw(st.sampled_from(sorted(ORDERS))), draw(NANOSECONDS)
    zone = timezone(timedelta(minutes=draw(st.integers(-1439, 1439))))
    whole, fraction = divmod(nanoseconds, 10**9)
    local = (EPOCH + timedelta(seconds=whole)).astimezone(zone).isoformat()
    text = f"{local[:19]}.{fraction:09}{local[19:]}"
    return Leaf(
        f"metadata.{field}{comparator}{text}",
        lambda record: ORDERS[comparator](nanoseconds_of(getattr(record, column)), nanoseconds),
    )


@st.composite
def percents(draw: st.DrawFn) -> Leaf:
    comparator = draw(st.sampled_from(sorted(ORDERS)))
    number = draw(st.sampled_from(("0", "-0.0", "50", "5e1", "33.3", "100", "99.99999999999999", "-1", "1e300")))

    def means(record: Record) -> bool:
        if record.progress is None:
            return comparator == "!="
        return ORDERS[comparator](record.progress, float(number))

    return Leaf(f"metadata.progressPercent{comparator}{number}", means)


PRESENT = st.one_of(
    st.just(Leaf("metadata.progressPercent:*", lambda record: record.progress is not None)),
    st.sampled_from(("type", "done", "metadata.state", "metadata.createTime", "metadata.updateTime")).map(
        lambda field: Leaf(f"{field}:*", lambda record: True)
    ),
)
LEAVES = st.one_of(type_patterns(), type_orders(), states(), dones(), times(), percents(), PRESENT)
JOINED = {"AND": (" AND ", " "), "OR": (" OR ",), "NOT": ("NOT ", "-")}


def branches(children: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    def branch(kind: str) -> st.SearchStrategy[Branch]:
        most = 1 if kind == "NOT" else 4
        few = st.lists(children, min_size=min(2, most), max_size=most).map(tuple)
        return st.builds(Branch, st.just(kind), st.sampled_from(JOINED[kind]), few)

    return st.sampled_from(sorted(JOINED)).flatmap(branch)


TREES: st.SearchStrategy[Tree] = st.recursive(LEAVES, branches, max_leaves=12)

SECONDS = NANOSECONDS.map(lambda nanoseconds: nanoseconds / 10**9).flatmap(
    lambda seconds: st.sampled_from(
        (seconds, math.nextafter(seconds, math.inf), math.nextafter(seconds, -math.inf), seconds + 5e-7)
    )
)
RECORDS = st.builds(
    Record,
    id=st.just(0),
    rid=st.builds(new_rid),
    owner=st.none(),
    method=st.just("GET"),
    name=st.just("/"),
    type=TYPES,
    status=st.sampled_from(Status),
    created_at=SECONDS,
    queued_at=st.just(0.0),
    updated_at=SECONDS,
    max_run_seconds=st.just(1.0),
    retention_days=st.just(1.0),
    progress=st.sampled_from((None, None, 0.0, 33.3, 50.0, 99.99999999999999, 100.0)),
    http_status=st.sampled_from((None, 200, 399, 400, 500)),
    rerun=st.just(Rerun.SAFE),
)


def numbered(records: Sequence[Record]) -> list[Record]:
    return [replace(record, id=number) for number, record in enumerate(records, start=1)]
