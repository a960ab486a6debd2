"""The list's query: states, sizes, and page tokens that hold for one list only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.errors import BadRequest
from bgrs_middleware.models import Status
from bgrs_middleware.protocol.pages import Page, dump_token, load_token, read_page
from protocol.samples import request_head

SECRET = b"0123456789abcdef"
STATES = st.none() | st.sets(st.sampled_from(Status), min_size=1).map(frozenset)
OWNERS = st.none() | st.text(st.characters(), max_size=10)


def page(query: bytes, owner: str | None = "me") -> Page:
    return read_page(request_head(query=query), SECRET, owner)


@pytest.mark.parametrize(
    ("query", "statuses"),
    [
        (b"", None),
        (b"status=", None),
        (b"status=queued", {Status.QUEUED}),
        (b"status=Running,2", {Status.RUNNING}),
        (b"status=failed,%20lost,", {Status.FAILED, Status.LOST}),
        (b"status=8&status=1", {Status.EXPIRED, Status.QUEUED}),
    ],
)
def test_states(query: bytes, statuses: set[Status] | None) -> None:
    assert page(query).statuses == statuses


@pytest.mark.parametrize("query", [b"status=done", b"status=0", b"status=9", b"status=queued,nonsense", b"status=01"])
def test_an_unknown_state_is_refused_with_the_known_ones(query: bytes) -> None:
    with pytest.raises(BadRequest, match=r"status takes .*queued.*expired"):
        page(query)


@pytest.mark.parametrize(
    ("query", "size"),
    [
        (b"", 50),
        (b"page_size=", 50),
        (b"page_size=0", 50),
        (b"page_size=000", 50),
        (b"page_size=1", 1),
        (b"page_size=200", 200),
        (b"page_size=201", 200),
        (b"page_size=" + b"9" * 5_000, 200),
    ],
)
def test_page_sizes(query: bytes, size: int) -> None:
    assert page(query).page_size == size


@pytest.mark.parametrize(
    "query", [b"page_size=-1", b"page_size=x", b"page_size=1.5", b"page_size=%D9%A3", b"page_size=1%0A"]
)
def test_a_page_size_that_is_no_number_is_refused_by_name(query: bytes) -> None:
    with pytest.raises(BadRequest, match="page_size"):
        page(query)


@given(OWNERS, STATES, st.integers(1, 2**63 - 1))
def test_a_token_leads_on_in_its_own_list(
    owner: str | None, statuses: frozenset[Status] | None, before_id: int
) -> None:
    token = dump_token(SECRET, owner, statuses, before_id)
    assert load_token(SECRET, owner, statuses, token) == before_id
    query = b"page_token=" + token.encode() + b"&status=" + ",".join(one.label for one in statuses or ()).encode()
    assert page(query, owner) == Page(statuses=statuses, page_size=50, before_id=before_id)


TOKEN = dump_token(SECRET, "me", None, 267)


def test_a_token_is_opaque() -> None:
    assert "me" not in TOKEN.partition(".")[0]
    assert "267" not in TOKEN.partition(".")[0]


@pytest.mark.parametrize(
    ("secret", "owner", "statuses"),
    [
        (b"another secret", "me", None),
        (SECRET, "you", None),
        (SECRET, None, None),
        (SECRET, "None", None),
        (SECRET, "me", frozenset(Status)),
        (SECRET, "me", frozenset({Status.QUEUED})),
    ],
)
def test_a_token_of_another_list_is_refused(
    secret: bytes, owner: str | None, statuses: frozenset[Status] | None
) -> None:
    with pytest.raises(BadRequest, match="page_token"):
        load_token(secret, owner, statuses, TOKEN)


def test_a_token_of_one_choice_of_states_is_refused_for_another() -> None:
    token = dump_token(SECRET, "me", frozenset({Status.QUEUED}), 267)
    with pytest.raises(BadRequest, match="page_token"):
        load_token(SECRET, "me", frozenset({Status.FAILED}), token)


@pytest.mark.parametrize("token", ["x", ".", "a.b", TOKEN[:-2], TOKEN[1:], "é", "�" * 50, "." + TOKEN, "267"])
def test_a_token_that_was_tampered_with_is_refused(token: str) -> None:
    with pytest.raises(BadRequest, match="page_token"):
        load_token(SECRET, "me", None, token)


@given(st.binary(max_size=30), st.binary(max_size=30))
def test_any_query_is_read_or_refused(query: bytes, text: bytes) -> None:
    for raw in (query, b"page_token=" + text, b"page_size=" + text, b"status=" + text):
        try:
            page(raw)
        except BadRequest:
            continue
