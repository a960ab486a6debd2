"""Which headers of a captured response are kept, and which length they declare."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.models import Headers
from bgrs_middleware.protocol.captured import declared_length, has_no_body, withhold

WITHHELD = [
    "Set-Cookie", "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "TE",
    "Trailer", "Transfer-Encoding", "Upgrade", "Clear-Site-Data", "Refresh", "Strict-Transport-Security", "Alt-Svc",
]  # fmt: skip


@pytest.mark.parametrize("name", WITHHELD)
def test_what_belongs_to_one_connection_or_one_client_is_withheld(name: str) -> None:
    pairs: Headers = ((b"X-A", b"1"), (name.encode(), b"x"), (name.upper().encode(), b"y"), (b"X-B", b"2"))
    assert withhold(pairs) == (((b"X-A", b"1"), (b"X-B", b"2")), (name.lower(),))


def test_every_header_that_connection_names_is_withheld() -> None:
    pairs: Headers = (
        (b"x-one", b"1"), (b"Connection", b"close, X-One"), (b"X-TWO", b"2"), (b"connection", b"\tx-two ,"), (b"x", b"")
    )  # fmt: skip
    assert withhold(pairs) == (((b"x", b""),), ("x-one", "connection", "x-two"))


@pytest.mark.parametrize("name", [b"", b"a b", b"a:b", b"\xc3\xa9", b"a\r\nb", b"a\0", b"(a)"])
def test_a_name_that_is_no_token_is_withheld_and_named_in_printable_ascii(name: bytes) -> None:
    kept, withheld = withhold([(name, b"x")])
    assert kept == ()
    assert len(withheld) == 1
    assert withheld[0].isascii()
    assert withheld[0].isprintable()


@pytest.mark.parametrize("value", [b"a\rb", b"a\nb", b"a\0b", b"a\r\nSet-Cookie: b=c"])
def test_a_value_that_breaks_out_of_its_line_is_withheld(value: bytes) -> None:
    assert withhold([(b"X-A", value), (b"x-a", b"\xff fine \x01")]) == (((b"x-a", b"\xff fine \x01"),), ("x-a",))


@given(st.lists(st.tuples(st.sampled_from([b"X-A", b"x-a", b"X-B", b"Set-Cookie", b"TE"]), st.binary(max_size=3))))
def test_what_is_kept_keeps_order_repetition_and_spelling(pairs: list[tuple[bytes, bytes]]) -> None:
    kept, withheld = withhold(pairs)
    safe = [pair for pair in pairs if not set(pair[1]) & set(b"\r\n\0")]
    assert list(kept) == [pair for pair in safe if pair[0].lower() in (b"x-a", b"x-b")]
    assert {name.lower().decode() for name, value in pairs if (name, value) not in kept} == set(withheld)


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [("GET", 100, True), ("GET", 199, True), ("POST", 204, True), ("GET", 304, True), ("HEAD", 200, True)]
    + [("GET", status, False) for status in (200, 205, 206, 300, 303, 404, 500)],
)
def test_which_responses_have_no_body(method: str, status: int, expected: bool) -> None:
    assert has_no_body(method, status) is expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([b"0"], 0),
        ([b"12"], 12),
        ([b" 12\t"], 12),
        ([b"12", b"12"], 12),
        ([b"12, 12"], 12),
        ([b"12", b"13"], None),
        ([b""], None),
        ([b"-1"], None),
        ([b"+1"], None),
        ([b"1_0"], None),
        ([b"0x10"], None),
        (["١".encode()], None),
        ([b"1" * 5000], None),
    ],
)
def test_the_declared_length(values: list[bytes], expected: int | None) -> None:
    assert declared_length([(b"Content-Length", value) for value in values]) == expected


def test_a_transfer_encoding_overrides_the_content_length() -> None:
    assert declared_length([(b"content-length", b"5"), (b"Transfer-Encoding", b"chunked")]) is None
