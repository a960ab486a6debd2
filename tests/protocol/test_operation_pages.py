"""What a list of operations asks for, as Google's clients ask for it, and tokens that hold for one list only."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.errors import BadRequest, InvalidFilter
from bgrs_middleware.models import OperationsPage, OperationsQuery
from bgrs_middleware.protocol.filters import condition_of
from bgrs_middleware.protocol.operation_pages import SCAN_LIMIT, next_page_token, read_operations_query
from bgrs_middleware.protocol.pages import dump_token
from protocol.samples import request_head

SECRET = b"0123456789abcdef"
PARENT = "projects/default/locations/default"
LIST: dict[str, Any] = {"secret": SECRET, "owners": ("me", "me before"), "operations_parent": PARENT}
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


def query_of(raw: bytes, **changes: Any) -> OperationsQuery:
    return read_operations_query(request_head(query=raw), **(LIST | changes))


def token_of(raw: bytes, before_id: int | None, **changes: Any) -> str | None:
    head = request_head(query=raw)
    query = read_operations_query(head, **(LIST | changes))
    page = OperationsPage(records=(), before_id=before_id)
    return next_page_token(head, secret=changes.get("secret", SECRET), query=query, page=page)


def the_token(raw: bytes = b"", before_id: int = 267, **changes: Any) -> str:
    token = token_of(raw, before_id, **changes)
    assert token is not None
    return token


def test_a_list_without_parameters_asks_for_the_newest_of_all() -> None:
    assert query_of(b"") == OperationsQuery(
        owners=("me", "me before"),
        operations_parent=PARENT,
        condition=None,
        before_id=None,
        limit=50,
        scan_limit=SCAN_LIMIT,
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"filter=metadata.state%3DFAILED%20AND%20type:%22A*%22&pageSize=7",
        b"filter=metadata.state=FAILED+AND+type:%22A*%22&page_size=7",
        b"%24alt=json%3Benum-encoding%3Dint&key=k&filter=metadata.state%3DFAILED%20AND%20type:%22A*%22&pageSize=7&fields=",
        b"pageSize=&filter=&page_size=7&filter=metadata.state%3DFAILED%20AND%20type:%22A*%22",
        b"pageSize=7&page_size=7&filter=metadata.state%3DFAILED%20AND%20type:%22A*%22&returnPartialSuccess=true",
    ],
)
def test_filter_and_size_as_clients_send_them(raw: bytes) -> None:
    query = query_of(raw)
    assert query.condition == condition_of('metadata.state=FAILED AND type:"A*"')
    assert (query.limit, query.before_id) == (7, None)


@pytest.mark.parametrize("raw", [b"filter=", b"filter=%20+%09", b"filter"])
def test_a_filter_of_nothing_is_none(raw: bytes) -> None:
    assert query_of(raw).condition is None


def test_a_filter_that_cannot_be_understood_is_refused_with_its_position_and_field() -> None:
    with pytest.raises(InvalidFilter, match=r"metadata\.colour") as refused:
        query_of(b"filter=done=true+AND+metadata.colour=red")
    assert (refused.value.position, refused.value.field) == (15, "metadata.colour")


@pytest.mark.parametrize("name", [b"pageSize", b"page_size"])
@pytest.mark.parametrize(
    ("text", "size"),
    [(b"0", 50), (b"", 50), (b"1", 1), (b"200", 200), (b"201", 200), (b"2147483648", 200), (b"9" * 5_000, 200)],
)
def test_page_sizes(name: bytes, text: bytes, size: int) -> None:
    assert query_of(name + b"=" + text).limit == size


@pytest.mark.parametrize("text", [b"-1", b"x", b"1.5", b"%D9%A3", b"1%0A", b"+5", b"1e2"])
@pytest.mark.parametrize("name", [b"pageSize", b"page_size"])
def test_a_page_size_that_is_no_number_or_negative_is_refused_by_name(name: bytes, text: bytes) -> None:
    with pytest.raises(BadRequest, match="pageSize takes a whole number"):
        query_of(name + b"=" + text)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"filter=done=true&filter=done=false", "filter"),
        (b"pageSize=1&page_size=2", "pageSize"),
        (b"pageToken=a&page_token=b", "pageToken"),
    ],
)
def test_what_is_given_twice_with_different_values_is_refused_by_name(raw: bytes, name: str) -> None:
    with pytest.raises(BadRequest, match=f"{name} is given more than once"):
        query_of(raw)


@pytest.mark.parametrize("name", ["pageToken", "page_token"])
@given(before_id=st.integers(1, 2**63 - 1), owner=TEXTS, parent=TEXTS, types=TEXTS)
def test_a_token_leads_on_in_its_own_list(name: str, before_id: int, owner: str, parent: str, types: str) -> None:
    text = "type:'" + "".join(f"\\{each}" if each in "'\\*" else each for each in types.replace("\x00", "")) + "'"
    raw = f"filter={quote(text)}".encode()
    place: dict[str, Any] = {"owners": (owner,), "operations_parent": parent}
    token = the_token(raw, before_id, **place)
    again = query_of(urlencode({"pageSize": 3, name: token, "filter": text}).encode(), **place)
    assert (again.before_id, again.limit, again.condition) == (before_id, 3, condition_of(text))


def test_the_last_page_has_no_token() -> None:
    assert token_of(b"", None) is None


def test_a_token_survives_that_an_old_key_is_dropped_and_another_page_size() -> None:
    assert query_of(b"pageSize=3&pageToken=" + the_token().encode(), owners=("me",)).before_id == 267


@pytest.mark.parametrize(
    ("raw", "changes"),
    [
        (b"", {"secret": b"another secret"}),
        (b"", {"owners": ("you", "me before")}),
        (b"", {"owners": ("me before",)}),
        (b"", {"owners": ()}),
        (b"", {"operations_parent": "projects/default/locations/other"}),
        (b"filter=done=false", {}),
        (b"filter=done%20=%20true", {}),
        (b"filter=", {}),
    ],
)
def test_a_token_of_another_list_is_refused_by_name(raw: bytes, changes: dict[str, Any]) -> None:
    token = the_token(b"filter=done=true")
    with pytest.raises(BadRequest, match="pageToken takes"):
        query_of(raw + b"&pageToken=" + token.encode(), **changes)


@pytest.mark.parametrize(
    "token",
    [
        "x",
        ".",
        "a.b",
        the_token()[:-2],
        the_token()[1:],
        "é",
        "267",
        dump_token(SECRET, "me", None, 1),
    ],
)
def test_a_token_that_was_tampered_with_or_is_of_another_kind_is_refused_by_name(token: str) -> None:
    with pytest.raises(BadRequest, match="pageToken takes the nextPageToken"):
        query_of(b"pageToken=" + quote(token).encode())


def test_a_token_is_opaque() -> None:
    token = the_token(b"filter=done=true")
    assert not any(word in token.partition(".")[0] for word in ("me", "267", "done", "projects"))


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_any_query_is_read_or_refused(query: bytes, text: bytes) -> None:
    for raw in (query, b"pageToken=" + text, b"page_size=" + text, b"filter=" + text):
        try:
            query_of(raw)
        except BadRequest:
            continue
