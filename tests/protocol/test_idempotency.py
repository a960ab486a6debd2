"""The header `Idempotency-Key`: its grammar against RFC 9651's own algorithm, and what the store is told of it."""

from __future__ import annotations

import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bgrs_middleware.errors import BadRequest
from bgrs_middleware.models import Headers
from bgrs_middleware.orders import Idempotency
from bgrs_middleware.protocol.idempotency import MAX_KEY_LENGTH, idempotency_of, read_key
from bgrs_middleware.protocol.message import RequestHead

BODY = bytes(32)
HEAD = RequestHead(method="POST", path="/a", root_path="", raw_path=b"/a", query=b"b=c", headers=())
LOWER, DIGITS = string.ascii_lowercase, string.digits
TOKEN = string.ascii_letters + DIGITS + "!#$%&'*+-.^_`|~:/"


def key_of(*lines: bytes) -> str | None:
    headers: Headers = tuple((b"idempotency-key", line) for line in lines)
    return read_key(replace(HEAD, headers=((b"host", b"a"), *headers)))


class Malformed(Exception):
    """The oracle's word for a value that is no such item."""


class Oracle:
    """The parsing algorithm of RFC 9651, section 4.2, character by character, for Items that are Strings.

    Of a parameter's value only the form is looked at: no base64, no UTF-8 is decoded.
    """

    def __init__(self, value: bytes) -> None:
        self.rest = value.decode("latin-1")

    def keys(self) -> list[str]:
        """Section 4.2.1, as several lines are joined: Items between commas."""
        self.rest = self.rest.lstrip(" ")
        found = []
        while True:
            found.append(self.string())
            self.parameters()
            self.rest = self.rest.lstrip(" \t")
            if not self.rest:
                return found
            self.take(",")
            self.rest = self.rest.lstrip(" \t")

    def take(self, expected: str) -> str:
        """Consume the first character, which must be one of these."""
        if not self.rest or self.rest[0] not in expected:
            raise Malformed
        first, self.rest = self.rest[0], self.rest[1:]
        return first

    def run(self, characters: str) -> str:
        """Consume all that are of these."""
        rest = self.rest.lstrip(characters)
        taken, self.rest = self.rest[: len(self.rest) - len(rest)], rest
        return taken

    def string(self) -> str:
        self.take('"')
        found = ""
        while self.rest:
            character, self.rest = self.rest[0], self.rest[1:]
            if character == "\\":
                found += self.take('"\\')
            elif character == '"':
                return found
            elif not " " <= character <= "~":
                raise Malformed
            else:
                found += character
        raise Malformed

    def parameters(self) -> None:
        while self.rest.startswith(";"):
            self.rest = self.rest[1:].lstrip(" ")
            self.take(LOWER + "*")
            self.run(LOWER + DIGITS + "_-.*")
            if self.rest.startswith("="):
                self.rest = self.rest[1:]
                self.bare_item()

    def bare_item(self) -> None:
        first = self.rest[:1]
        if first and first in "-" + DIGITS:
            self.number()
        elif first == '"':
            self.string()
        elif first == ":":
            self.take(":")
            self.run(string.ascii_letters + DIGITS + "+/=")
            self.take(":")
        elif first == "?":
            self.take("?")
            self.take("01")
        elif first == "@":
            self.take("@")
            if self.number() == "decimal":
                raise Malformed
        elif first == "%":
            self.display_string()
        else:
            self.take(string.ascii_letters + "*")
            self.run(TOKEN)

    def number(self) -> str:
        if self.rest.startswith("-"):
            self.take("-")
        whole = self.run(DIGITS)
        if not whole:
            raise Malformed
        if not self.rest.startswith("."):
            if len(whole) > 15:
                raise Malformed
            return "integer"
        self.take(".")
        fraction = self.run(DIGITS)
        if len(whole) > 12 or not 1 <= len(fraction) <= 3:
            raise Malformed
        return "decimal"

    def display_string(self) -> None:
        self.take("%")
        self.take('"')
        while self.rest:
            character, self.rest = self.rest[0], self.rest[1:]
            if character == '"':
                return
            if character == "%":
                self.take(DIGITS + "abcdef")
                self.take(DIGITS + "abcdef")
            elif not " " <= character <= "~":
                raise Malformed
        raise Malformed


def expected(value: bytes) -> str | None:
    """The key that a value means; None where it is to be refused."""
    try:
        keys = set(Oracle(value).keys())
    except Malformed:
        return None
    key = keys.pop()
    return None if keys or not 1 <= len(key) <= MAX_KEY_LENGTH else key


def read(*lines: bytes) -> str | None:
    try:
        return key_of(*lines)
    except BadRequest:
        return None


keys = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=MAX_KEY_LENGTH)
parameters = st.sampled_from(
    [
        b";a",
        b"; a=1",
        b";*b=-12.125",
        b";c=tok:en/x",
        b';d="x, \\"y"',
        b";e=?0",
        b";f=:YQ==:",
        b";g=@1",
        b';h=%"%c3%a9"',
    ]
)
# What is almost an Item: each part is right or wrong by itself, most are right.
gaps = st.sampled_from([b"", b"", b"", b" ", b"  ", b"\t", b" \t "])
insides = st.lists(
    st.sampled_from([b"k", b"k", b" ", b"~", b"!", b"#", b'\\"', b"\\\\", b"\\k", b'"', b"\x7f", b"\x1f", b"\xe9"]),
    max_size=3,
).map(b"".join)
names = st.sampled_from([b"a", b"a", b"*", b"*a", b"z9_-.*", b"A", b"aA", b"9", b"_", b"", b"\xe9", b"a "])
numbers = [b"1", b"-1", b"--1", b"-", b"+1", b"1.5", b"-1.555", b"1.5555", b"1.", b".5", b"1.5.5", b"1" * 15, b"1" * 16]
decimals = [b"1" * 12 + b".123", b"1" * 13 + b".1", b"1a", b"01"]
dates = [b"@1", b"@-1", b"@", b"@1.5", b"@" + b"1" * 15, b"@" + b"1" * 16]
tokens = [b"t", b"*t", b"T:/!#$%&'*+-.^_`|~9", b"t(", b"(t)", b"/t", b"?1", b"?0", b"?", b"?2", b"?1t"]
octets = [b":YQ==:", b"::", b":a", b":a-:", b":\xe9:"]
strings = [
    b'""',
    b'"a;,b"',
    b'"a',
    b'"\\"',
    b'"\\a"',
    b'%"a"',
    b'%"%c3%a9"',
    b'%"%C3"',
    b'%"%c"',
    b'%"\xe9"',
    b'%"a',
    b"%a",
    b"%",
]
values = st.sampled_from([*numbers, *decimals, *dates, *tokens, *octets, *strings, b"", b" 1"])
ends = st.sampled_from([b"", b"", b"", b"", b",", b", ,", b',"k"', b', "k"', b"k", b'"k"', b"\x00"])


@st.composite
def almost_items(draw: st.DrawFn) -> bytes:
    item = draw(gaps) + b'"' + draw(insides) + b'"'
    for _ in range(draw(st.integers(0, 2))):
        item += b";" + draw(gaps) + draw(names)
        if draw(st.booleans()):
            item += b"=" + draw(values)
    return item + draw(gaps) + draw(ends)


def written(key: str) -> bytes:
    """A key as an Item."""
    return b'"' + key.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"'


@given(keys, st.lists(parameters, max_size=3))
def test_every_key_that_can_be_written_is_read_and_its_parameters_are_ignored(key: str, more: list[bytes]) -> None:
    value = written(key) + b"".join(more)
    assert read(value) == expected(value) == key
    assert read(value, written(key)) == key


@settings(max_examples=3_000)
@given(almost_items())
def test_the_grammar_is_that_of_the_specification(value: bytes) -> None:
    assert read(value) == expected(value)


@given(st.binary(max_size=20))
def test_whatever_is_sent_is_read_or_refused(value: bytes) -> None:
    assert read(value) == expected(value)


def test_a_request_without_the_header_has_no_key() -> None:
    assert key_of() is None


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b'"8e03978e-40d5-43dd-bc93-6894a57f9324"', "8e03978e-40d5-43dd-bc93-6894a57f9324"),
        (b'  "a" ', "a"),
        (b'" "', " "),
        (rb'"a\"b\\c"', 'a"b\\c'),
        (b'"a";v=1;w', "a"),
        (b'"' + b"k" * 255 + b'"', "k" * 255),
    ],
)
def test_a_string_is_a_key(value: bytes, key: str) -> None:
    assert key_of(value) == key


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b" ",
        b"abc",
        b"8e03978e-40d5",
        b'"a',
        b'a"',
        b"'a'",
        b'""',
        b'"a" b',
        b'"a";',
        b'"a"; =1',
        b'"a";a=',
        b"1",
        b"?1",
        b":YQ==:",
        b'("a")',
        b'"\xc3\xa9"',
        b'"a\tb"',
        rb'"a\b"',
        b'"' + b"k" * 256 + b'"',
        b'"a",',
        b',"a"',
    ],
)
def test_anything_else_is_refused(value: bytes) -> None:
    with pytest.raises(BadRequest, match="Idempotency-Key takes a key"):
        key_of(value)


def test_lines_that_say_the_same_are_one_key_and_lines_that_differ_are_none() -> None:
    assert key_of(b'"a"', b'"a";v=2') == key_of(b'"a", "a"') == "a"
    for lines in ([b'"a"', b'"b"'], [b'"a", "b"'], [b'"a"', b'"A"']):
        with pytest.raises(BadRequest, match="more than once"):
            key_of(*lines)
    with pytest.raises(BadRequest, match="double quotes"):
        key_of(b'"a"', b"a")


# What the store is told.


def meaning(
    key: str = "k", identity: str | None = "alice", former: tuple[str, ...] = (), body: bytes = BODY, **head: Any
) -> Idempotency:
    asked = replace(HEAD, **head)
    return idempotency_of(key, asked, asked.query, body, identity=identity, former=former)


def test_the_same_request_means_the_same_and_its_headers_are_no_part_of_it() -> None:
    assert meaning() == meaning(headers=((b"traceparent", b"1"),))
    assert len(meaning().key) == len(meaning().fingerprint) == 64


@pytest.mark.parametrize(
    "change", [{"method": "PUT"}, {"raw_path": b"/a/"}, {"query": b"b=d"}, {"body": b"1" * 32}, {"query": b"b=%63"}]
)
def test_another_request_has_the_same_key_and_another_fingerprint(change: dict[str, Any]) -> None:
    assert meaning(**change).key == meaning().key
    assert meaning(**change).fingerprint != meaning().fingerprint


def test_each_caller_has_keys_of_their_own_and_anonymous_callers_share_theirs() -> None:
    assert meaning(identity="bob").key != meaning().key != meaning(identity=None).key
    assert meaning(identity=None) == meaning(identity=None)
    assert meaning("k", "").key != meaning("k", None).key


def test_no_two_pairs_of_a_key_and_a_caller_are_mixed_up() -> None:
    assert meaning("ab", "c").key != meaning("a", "bc").key
    assert meaning("a1:b", None).key != meaning("a", "b").key
    assert meaning(raw_path=b"/a1", query=b"").fingerprint != meaning(raw_path=b"/a", query=b"1").fingerprint


def test_the_fingerprint_tells_nothing_to_who_guesses_the_request_without_the_key() -> None:
    assert meaning("k").fingerprint != meaning("l").fingerprint


def test_former_identities_have_the_keys_that_they_had() -> None:
    now = meaning(identity="new", former=("old", "older"))
    assert now.former_keys == (meaning(identity="old").key, meaning(identity="older").key)
    assert now.fingerprint == meaning(identity="old").fingerprint
