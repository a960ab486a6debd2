"""The header `Prefer`: RFC 7240's grammar, and whatever else a client may send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.protocol.prefer import Preferences, parse, without_async

LINES = st.lists(
    st.text('resp-ond,async;=wait10" \t\\é', max_size=60).map(lambda text: text.encode("latin-1")), max_size=4
)


@pytest.mark.parametrize(
    ("lines", "respond_async", "wait_seconds"),
    [
        ([], False, None),
        ([b""], False, None),
        ([b"respond-async"], True, None),
        ([b"Respond-ASYNC, WAIT=10"], True, 10.0),
        ([b"respond-async", b"wait=10"], True, 10.0),
        ([b"wait = 10 , respond-async"], True, 10.0),
        ([b"\twait\t=\t10\t,respond-async\t"], True, 10.0),
        ([b'wait="10"'], False, 10.0),
        ([b'wait="1\\0"'], False, 10.0),
        ([b"wait=2.5"], False, 2.5),
        ([b"wait=0"], False, 0.0),
        ([b"respond-async;a=b;c"], True, None),
        ([b'respond-async ; a="x, wait=3" , return=minimal'], True, None),
        # A parameter of another preference is not the preference `wait`.
        ([b"respond-async;wait=5"], True, None),
        ([b"return=minimal; respond-async"], False, None),
        # A comma within a quoted string separates nothing.
        ([b'foo="a, respond-async, b"'], False, None),
        ([b'foo="a\\", respond-async, b"'], False, None),
        ([b'foo="", respond-async'], True, None),
        ([b",, respond-async ,,"], True, None),
        # The first of a name counts, also across lines, also where it is unusable.
        ([b"wait=1, wait=2"], False, 1.0),
        ([b"wait=1", b"wait=2"], False, 1.0),
        ([b"wait=soon, wait=2"], False, None),
        ([b"respond-async=no, respond-async"], False, None),
        # An empty value is no value (RFC 7240, section 2).
        ([b'respond-async=""'], True, None),
        ([b"respond-async="], True, None),
        ([b"wait"], False, None),
        ([b"wait="], False, None),
        ([b"wait=-1"], False, None),
        ([b"wait=nan"], False, None),
        ([b"wait=inf"], False, None),
        ([b"wait=1e3"], False, None),
        ([b"wait=1_0"], False, None),
        ([b"wait=\xb2"], False, None),
        ([b"respond-asynchronously, x-respond-async"], False, None),
        # Malformed elements are skipped, the others count.
        ([b"respond async, wait=3"], False, 3.0),
        ([b"wait==3, respond-async"], True, None),
        ([b'foo="open, respond-async'], False, None),
        ([b"\xff\x00, respond-async"], True, None),
        ([b"wait=" + b"9" * 10_000], False, None),
    ],
)
def test_preferences(lines: list[bytes], respond_async: bool, wait_seconds: float | None) -> None:
    assert parse(lines) == Preferences(respond_async=respond_async, wait_seconds=wait_seconds)


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([], []),
        ([b"respond-async"], []),
        ([b"respond-async, wait=10"], []),
        ([b"respond-async", b"return=minimal", b"wait=1"], [b"return=minimal"]),
        ([b"Respond-Async;x=y, return=minimal ;a , WAIT=3"], [b"return=minimal ;a"]),
        ([b"a=1 ,respond-async,\tb=2,c"], [b"a=1 ,\tb=2,c"]),
        ([b'foo="a, respond-async", wait=4'], [b'foo="a, respond-async"']),
        ([b"respond-async, ,"], []),
        ([b"  return=minimal,  "], [b"  return=minimal,  "]),
        ([b""], [b""]),
        ([b"respond-async=1, wait=never, x"], [b"x"]),
        ([b"respond async, wait=3"], [b"respond async"]),
    ],
)
def test_only_our_preferences_are_removed(lines: list[bytes], left: list[bytes]) -> None:
    assert without_async(lines) == left


@given(st.one_of(LINES, st.lists(st.binary(max_size=60), max_size=4)))
def test_anything_can_be_read_and_nothing_of_ours_is_left(lines: list[bytes]) -> None:
    parse(lines)
    left = without_async(lines)
    assert parse(left) == Preferences()
    assert without_async(left) == left


_ESCAPES = str.maketrans({'"': '\\"', "\\": "\\\\"})
TOKEN = st.text("abcxyz-_1", min_size=1, max_size=6).map(lambda text: "x" + text)
WORD = st.one_of(TOKEN, st.text(',;= "\\az\xe9', max_size=8).map(lambda text: f'"{text.translate(_ESCAPES)}"'))
PREFERENCE = st.builds(
    lambda name, word, parameters: (
        name + (f" = {word}" if word else "") + "".join(f"; {one}={word or 1}" for one in parameters)
    ),
    TOKEN,
    st.none() | WORD,
    st.lists(TOKEN, max_size=2),
)


@given(st.lists(PREFERENCE, max_size=4), st.lists(PREFERENCE, max_size=4), st.integers(0, 10_000))
def test_ours_are_found_among_others_and_the_others_are_kept(before: list[str], after: list[str], wait: int) -> None:
    """Preferences of others never hide ours, and come through to the letter."""
    line = ",".join([*before, "respond-async", *after, f"wait={wait}"]).encode("latin-1")
    assert parse([line]) == Preferences(respond_async=True, wait_seconds=float(wait))
    others = ",".join([*before, *after]).encode("latin-1")
    assert without_async([line]) == ([others] if others else [])


@pytest.mark.parametrize("piece", [b" ", b"a ", b"; ", b'"', b'a="', b"\\", b'="\\', b"=\t", b",", b"wait= "])
def test_long_lines_take_linear_time(piece: bytes) -> None:
    """A backtracking pattern would not come back from these; faulthandler's limit would end the run."""
    line = piece * 100_000
    parse([line])
    without_async([line, b"respond-async" + line])
