"""A stored request comes back exactly as it was, whatever bytes and letters it has."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.errors import SealError
from bgrs_middleware.protocol.message import RequestHead
from bgrs_middleware.protocol.stored import dump, load
from protocol.samples import request_head

TEXT = st.text(st.characters(), max_size=20)
BYTES = st.binary(max_size=20)
PORT = st.integers(0, 65535)
HEADS = st.builds(
    RequestHead,
    method=TEXT,
    path=TEXT,
    root_path=TEXT,
    raw_path=BYTES,
    query=BYTES,
    headers=st.lists(st.tuples(BYTES, BYTES), max_size=5).map(tuple),
    scheme=TEXT,
    http_version=TEXT,
    client=st.none() | st.tuples(TEXT, PORT),
    server=st.none() | st.tuples(TEXT, st.none() | PORT),
    gateway=st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
)


@given(HEADS, st.none() | BYTES)
def test_round_trip(head: RequestHead, body: bytes | None) -> None:
    assert load(dump(head, body)) == (head, body)


def test_surrogates_and_bytes_that_are_no_utf_8_survive() -> None:
    head = RequestHead(
        method="POST",
        path="/\udcff\ud83d\ude00😀",
        root_path="\ud800",
        raw_path=b"/\xff",
        query=b"\x80=\x00",
        headers=((b"x", b"\xff\xfe"), (b"x", b""), (b"cookie", b'"\\')),
        gateway=(("REMOTE_USER", "\udc80é"),),
    )
    loaded, body = load(dump(head, b"\x00" * 10))
    assert loaded == head
    assert [ord(letter) for letter in loaded.path] == [ord(letter) for letter in head.path]
    assert body == b"\x00" * 10


def test_no_body_is_not_an_empty_body() -> None:
    assert load(dump(request_head(), None))[1] is None
    assert load(dump(request_head(), b""))[1] == b""


GOOD = dump(request_head(headers=((b"a", b"b"),)), None)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        GOOD[:5],
        GOOD[:-1],
        b"\x02" + GOOD[1:],
        b"\x00" + GOOD[1:],
        GOOD[:6] + b"[" * (len(GOOD) - 6),
        b"\x01\x00\x00\x00\x00\x02[]",
        b"\x01\x00\x00\x00\x00\x02{}",
        b"\x01\x00\x00\x00\x00\x02\xff\xff",
        b"\x01\x00\x00\x00\x00\x011",
    ],
)
def test_what_is_no_stored_request_is_refused(data: bytes) -> None:
    with pytest.raises(SealError):
        load(data)


@given(st.binary(max_size=40), st.integers(0, len(GOOD)))
def test_damaged_data_are_refused_or_read_and_nothing_else_happens(damage: bytes, at: int) -> None:
    with suppress(SealError):
        load(GOOD[:at] + damage + GOOD[at + len(damage) :])
