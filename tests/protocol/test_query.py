"""The raw query: what is read from it, and that editing leaves the rest byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.protocol.query import first_value, parameters, values, without

QUERY_BYTES = st.text("ab&=%26+; \xe9", max_size=40).map(lambda text: text.encode("latin-1"))
SEGMENTS = st.lists(
    st.sampled_from(
        [b"bgrs=yes", b"bgrs", b"wait_for=3", b"a=1", b"", b"bgrsx=1", b"%62grs=1", b"=", b"b=%zz", b"x=bgrs"]
    )
)


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (b"", b""),
        (b"bgrs=yes", b""),
        (b"bgrs", b""),
        (b"a=1&bgrs=yes", b"a=1"),
        (b"bgrs=yes&a=1", b"a=1"),
        (b"a=1&bgrs=yes&b=2&bgrs=1", b"a=1&b=2"),
        (b"b=2&a=%C3%A9+%20&a=1&wait_for=5&&c", b"b=2&a=%C3%A9+%20&a=1&&c"),
        (b"a=bgrs&bgrsx=1&xbgrs=1&BGRS=1", b"a=bgrs&bgrsx=1&xbgrs=1&BGRS=1"),
        (b"%62grs=yes", b"%62grs=yes"),
        (b"a=1;bgrs=yes", b"a=1;bgrs=yes"),
        (b"a==&bgrs==yes&=", b"a==&="),
        (b"a=\xff\xfe&bgrs=yes&\x00", b"a=\xff\xfe&\x00"),
    ],
)
def test_only_the_named_parameters_are_removed(query: bytes, left: bytes) -> None:
    assert without(query, (b"bgrs", b"wait_for")) == left


@given(SEGMENTS)
def test_editing_is_the_same_as_never_having_sent_the_parameters(segments: list[bytes]) -> None:
    kept = [segment for segment in segments if segment not in (b"bgrs=yes", b"bgrs", b"wait_for=3")]
    assert without(b"&".join(segments), (b"bgrs", b"wait_for")) == b"&".join(kept)


# Hypothesis tries the constants of the code that it tests, these names among them.
@given(
    st.one_of(QUERY_BYTES, st.binary(max_size=60)).filter(
        lambda query: b"bgrs" not in query and b"wait_for" not in query
    )
)
def test_a_query_without_the_names_comes_back_as_it_is(query: bytes) -> None:
    assert without(query, (b"bgrs", b"wait_for")) == query
    assert without(query, ()) == query


@given(st.binary(max_size=60), st.sets(st.binary(min_size=1, max_size=2), max_size=4))
def test_removed_names_are_gone_and_the_others_are_unchanged(query: bytes, names: set[bytes]) -> None:
    assert parameters(without(query, names)) == [pair for pair in parameters(query) if pair[0] not in names]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"", []),
        (b"a", [""]),
        (b"a=", [""]),
        (b"a=1&a=2&b=3", ["1", "2"]),
        (b"a=1+2%2B3%20", ["1 2+3 "]),
        (b"a=%C3%A9", ["é"]),
        (b"a=%FF&a=\xff", ["�", "�"]),
        (b"a=%&a=%zz", ["%", "%zz"]),
        (b"a=b=c", ["b=c"]),
        (b"%61=1&A=2&ab=3", []),
    ],
)
def test_values_are_decoded_and_names_are_not(query: bytes, expected: list[str]) -> None:
    assert values(query, b"a") == expected
    assert first_value(query, b"a") == (expected[0] if expected else None)


@given(st.binary(max_size=60))
def test_reading_never_fails(query: bytes) -> None:
    for name, _ in parameters(query):
        assert values(query, name)
