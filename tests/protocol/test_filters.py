"""Filters: what the language takes and refuses, with positions, what each comparison means, and in how many steps."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.errors import InvalidFilter
from bgrs_middleware.models import Record, Status
from bgrs_middleware.protocol.filters import condition_of, matches
from bgrs_middleware.protocol.filters.grammar import (
    MAX_COMPARISONS,
    MAX_DEPTH,
    And,
    Comparison,
    Expression,
    Not,
    Or,
    parse,
)
from bgrs_middleware.protocol.filters.meaning import FIELDS
from bgrs_middleware.protocol.filters.tokens import MAX_CHARACTERS
from bgrs_middleware.protocol.operation_state import OperationState, first_seconds, microseconds, state_of
from bgrs_middleware.protocol.problem import problem_reply

NOON = 1_769_860_800.0  # 2026-01-31T12:00:00Z


def a_record(**changes: Any) -> Record:
    fields: dict[str, Any] = {
        "id": 1,
        "rid": "0" * 32,
        "owner": None,
        "method": "GET",
        "name": "/",
        "type": "GET_USERS",
        "status": Status.RUNNING,
        "created_at": NOON,
        "queued_at": NOON,
        "updated_at": NOON,
        "max_run_seconds": 1.0,
        "retention_days": 1.0,
    }
    return Record(**(fields | changes))


def shape(expression: Expression) -> str:
    """The tree, with all its parentheses."""
    match expression:
        case And():
            return f"({' & '.join(map(shape, expression.terms))})"
        case Or():
            return f"({' | '.join(map(shape, expression.terms))})"
        case Not():
            return f"!{shape(expression.term)}"
        case Comparison():
            return f"{expression.field}{expression.comparator}{'~'.join(expression.value.parts)}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "()"),
        (" \t\r\n", "()"),
        ("a=1", "a=1"),
        ("  a  =  1  ", "a=1"),
        ("a!=1", "a!=1"),
        ("a<1", "a<1"),
        ("a<=1", "a<=1"),
        ("a>1", "a>1"),
        ("a>=1", "a>=1"),
        ("a:1", "a:1"),
        ("a:*", "a:~"),
        ("a.b.c=1", "a.b.c=1"),
        # OR binds tighter than AND, and than standing side by side.
        ("a=1 AND b=2 OR c=3", "(a=1 & (b=2 | c=3))"),
        ("a=1 OR b=2 AND c=3", "((a=1 | b=2) & c=3)"),
        ("a=1 b=2 OR c=3 d=4", "(a=1 & (b=2 | c=3) & d=4)"),
        ("a=1 b=2 AND c=3 OR d=4", "(a=1 & b=2 & (c=3 | d=4))"),
        ("a=1 OR b=2 OR c=3", "(a=1 | b=2 | c=3)"),
        ("(a=1 AND b=2) OR c=3", "((a=1 & b=2) | c=3)"),
        ("((a=1))", "a=1"),
        ("( a=1 )AND( b=2 )", "(a=1 & b=2)"),
        ("NOT a=1", "!a=1"),
        ("-a=1", "!a=1"),
        ("NOT (a=1 b=2)", "!(a=1 & b=2)"),
        ("NOT(a=1)", "!a=1"),
        ("-(NOT a=1)", "!!a=1"),
        ("NOT a=1 OR b=2", "(!a=1 | b=2)"),
        ("a=1 -b=2", "(a=1 & !b=2)"),
        ("a=1 NOT b=2", "(a=1 & !b=2)"),
        # A word that begins like a keyword is none, and keywords are in capitals.
        ("ANDROID=1", "ANDROID=1"),
        ("a=NOTHING", "a=NOTHING"),
        ("not=1", "not=1"),
        # After a comparator a minus, dots and colons belong to the value.
        ("a>-3.5", "a>-3.5"),
        ("a>2026-01-31T12:00:00.5+01:00", "a>2026-01-31T12:00:00.5+01:00"),
        # Strings: both quotes, escapes, wildcards.
        ('a="x y"', "a=x y"),
        ("a='x \"y\"'", 'a=x "y"'),
        (r'a="\"\'\\\*"', "a=\"'\\*"),
        ('a=""', "a="),
        ('a="AND"', "a=AND"),
        ('a="(b=1) OR c"', "a=(b=1) OR c"),
        ('a="x*y*"', "a=x~y~"),
        ("a=x*y*", "a=x~y~"),
        ("a='é\u2028😀'", "a=é\u2028😀"),
    ],
)
def test_the_grammar(text: str, expected: str) -> None:
    assert shape(parse(text)) == expected


@pytest.mark.parametrize(
    ("text", "position", "field", "words"),
    [
        # The grammar.
        ("AND", 1, None, "a field"),
        ("type=a AND", 11, None, "a field"),
        ("type=a OR", 10, None, "a field"),
        ("type=a OR AND done=true", 11, None, "a field"),
        ("NOT", 4, None, "a field"),
        ("NOT NOT done=true", 5, None, "a field"),
        ("--done=true", 2, None, "a field"),
        ("()", 2, None, "a field"),
        ("(done=true", 1, None, "never closed"),
        ("(done=true AND (done=true)", 1, None, "never closed"),
        ("done=true)", 10, None, "closes nothing"),
        (")", 1, None, "a field"),
        ("done=true,type=a", 10, None, "`,`"),
        ('type="a"done=true', 9, None, "white space"),
        ("type=a(done=true)", 7, None, "white space"),
        ('type=a "b"', 8, None, "white space"),
        ("type=a = b", 8, None, "white space"),
        ("type==a", 6, "type", "a value"),
        ("type=", 6, "type", "a value"),
        ("type= AND done=true", 7, "type", "a value"),
        ("type=(a OR b)", 6, "type", "a value"),
        ("type!a", 5, None, "`!`"),
        ("type=<a", 6, "type", "a value"),
        ("type", 5, "type", "= != < <= > >= :"),
        ("hello world", 7, "hello", "one of"),
        ("regex(type)", 6, "regex", "one of"),
        ('"type"=a', 1, None, "without quotes"),
        ('type="a', 6, None, "no end"),
        ("type='a\"", 6, None, "no end"),
        ('type="a\\', 6, None, "no end"),
        (r'type="a\n"', 8, None, "backslash"),
        (r"type=a\*", 7, None, "backslash"),
        ("type=\x00", 6, None, "cannot be part"),
        ("type='\ud800'", 7, None, "cannot be part"),
        # The fields.
        ("state=RUNNING", 1, "state", "type, TYPE, done, metadata.state, metadata.createTime"),
        ("done=true AND metadata.status=RUNNING", 15, "metadata.status", "metadata.progressPercent"),
        ("Type=a", 1, "Type", "the fields are"),
        ("metadata . state=RUNNING", 10, "metadata", "one of"),
        ("type\u00a0=a", 1, "type\u00a0", "the fields are"),
        # The values.
        ("done=True", 6, "done", "true or false"),
        ("done=t*", 6, "done", "true or false"),
        ("done<true", 1, "done", "= != :"),
        ("metadata.state=running", 16, "metadata.state", "PENDING, RUNNING, CANCELLING"),
        ("metadata.state>RUNNING", 1, "metadata.state", "= != :"),
        ("type>a*", 6, "type", "without `*`"),
        ("metadata.progressPercent>many", 26, "metadata.progressPercent", "number"),
        ("metadata.progressPercent=*", 26, "metadata.progressPercent", "number"),
        ("metadata.progressPercent=nan", 26, "metadata.progressPercent", "number"),
        ("metadata.progressPercent=inf", 26, "metadata.progressPercent", "number"),
        ("metadata.progressPercent=1e999", 26, "metadata.progressPercent", "number"),
        ("metadata.progressPercent=1_0", 26, "metadata.progressPercent", "number"),
        ("metadata.progressPercent=٣", 26, "metadata.progressPercent", "number"),
        ("metadata.progressPercent=", 26, "metadata.progressPercent", "a value"),
        ("metadata.createTime>2026", 21, "metadata.createTime", "RFC 3339"),
        ("metadata.createTime>2026-01-31", 21, "metadata.createTime", "RFC 3339"),
        ("metadata.createTime>2026-01-31T12:00:00", 21, "metadata.createTime", "RFC 3339"),
        ("metadata.createTime>'2026-01-31 12:00:00Z'", 21, "metadata.createTime", "RFC 3339"),
        ("metadata.createTime>2026-02-30T12:00:00Z", 21, "metadata.createTime", "RFC 3339"),
        ("metadata.createTime>0000-01-01T00:00:00Z", 21, "metadata.createTime", "RFC 3339"),
        ("metadata.createTime>2016-12-31T23:59:60Z", 21, "metadata.createTime", "RFC 3339"),
        ("metadata.createTime>2026-01-31T12:00:00+24:00", 21, "metadata.createTime", "RFC 3339"),
        ("metadata.createTime>2026-01-31T12:00:00.1234567890Z", 21, "metadata.createTime", "RFC 3339"),
        ("metadata.createTime>٢026-01-31T12:00:00Z", 21, "metadata.createTime", "RFC 3339"),
        ("metadata.updateTime=*", 21, "metadata.updateTime", "RFC 3339"),
        # The bounds.
        (" " * (MAX_CHARACTERS + 1), MAX_CHARACTERS + 1, None, "10000 characters"),
        ("(" * (MAX_DEPTH + 1), MAX_DEPTH + 1, None, "50 deep"),
        ("done:* " * (MAX_COMPARISONS + 1), 7 * MAX_COMPARISONS + 1, "done", "100 comparisons"),
    ],
)
def test_what_is_refused_and_where(text: str, position: int, field: str | None, words: str) -> None:
    with pytest.raises(InvalidFilter) as raised:
        condition_of(text)
    assert (raised.value.position, raised.value.field) == (position, field)
    assert words in raised.value.detail
    assert f"character {position}:" in raised.value.detail
    assert problem_reply(raised.value).status == 400


@pytest.mark.parametrize(
    "text",
    [
        " " * MAX_CHARACTERS,
        f"type!={'a' * (MAX_CHARACTERS - 6)}",
        "(" * MAX_DEPTH + "done=true" + ")" * MAX_DEPTH,
        "done:* " * MAX_COMPARISONS,
    ],
    ids=["spaces", "one word", "parentheses", "comparisons"],
)
def test_the_bounds_themselves_are_allowed(text: str) -> None:
    assert matches(condition_of(text), a_record(status=Status.FAILED))


def test_an_error_shows_only_the_beginning_of_a_long_name() -> None:
    with pytest.raises(InvalidFilter) as raised:
        condition_of("x" * 5_000 + "=1")
    assert len(raised.value.detail) < 300


TRUE_OF_IT = [
    # type, in this case alone
    ({}, "type=GET_USERS"),
    ({}, "TYPE = 'GET_USERS'"),
    ({}, "type:GET_USERS"),
    ({}, "type!=get_users"),
    ({}, "type=GET_*"),
    ({}, "type:*USERS"),
    ({}, "type=G*T*S"),
    ({}, "type:*"),
    ({}, "NOT type=*_ITEMS"),
    ({}, r'type!="GET\*"'),
    ({"type": "a*b"}, r'type="a\*b"'),
    ({"type": "aa"}, "type!=a*a*a"),
    ({"type": "abab"}, "type=ab*ab"),
    ({"type": "ab"}, "type!=ab*b"),
    ({}, "type>=GET_USERS type<=GET_USERS type<GET_USERT type>GET_USER type<a"),
    # done and state
    ({"status": Status.QUEUED}, "done=false done:false done!=true NOT done=true done:* metadata.state=PENDING"),
    ({"status": Status.RUNNING}, "done=false metadata.state=RUNNING metadata.state!=PENDING metadata.state:R*"),
    ({"status": Status.CANCELLING}, "done='false' metadata.state=CANCELLING metadata.state=CANCELL*"),
    ({"status": Status.FINISHED, "http_status": 200}, "done=true metadata.state=SUCCEEDED"),
    ({"status": Status.FINISHED, "http_status": 399}, "metadata.state=SUCCEEDED"),
    ({"status": Status.FINISHED, "http_status": 400}, "done=true metadata.state=FAILED"),
    ({"status": Status.FINISHED, "http_status": 500}, "metadata.state=FAILED -metadata.state=SUCCEEDED"),
    ({"status": Status.FINISHED, "http_status": None}, "done=true metadata.state=FAILED"),
    ({"status": Status.FAILED, "http_status": 200}, "done=true metadata.state=FAILED"),
    ({"status": Status.LOST}, "done=true metadata.state=FAILED"),
    ({"status": Status.EXPIRED}, "done=true metadata.state=FAILED"),
    ({"status": Status.CANCELLED}, "done=true metadata.state=CANCELLED metadata.state:*"),
    ({}, "NOT metadata.state=NOTHING* metadata.state!=NOTHING*"),
    # times
    ({}, "metadata.createTime=2026-01-31T12:00:00Z metadata.createTime:'2026-01-31t12:00:00.000000000z'"),
    ({}, "metadata.createTime=2026-01-31T13:30:00+01:30 metadata.updateTime=2026-01-31T10:00:00-02:00"),
    ({}, "metadata.createTime<2026-01-31T12:00:00.000001Z metadata.createTime>2026-01-31T11:59:59.999999Z"),
    ({}, "metadata.createTime>=2026-01-31T12:00:00Z metadata.createTime<=2026-01-31T12:00:00Z"),
    ({}, "NOT metadata.createTime<2026-01-31T12:00:00Z NOT metadata.createTime>2026-01-31T12:00:00Z"),
    # A record's time is a whole number of microseconds; a filter's may lie between two.
    ({}, "metadata.createTime<2026-01-31T12:00:00.000000001Z metadata.createTime!=2026-01-31T12:00:00.000000001Z"),
    ({"created_at": NOON + 0.123_456_4}, "metadata.createTime=2026-01-31T12:00:00.123456Z"),
    ({"created_at": NOON + 0.123_455_6}, "metadata.createTime=2026-01-31T12:00:00.123456Z"),
    ({"updated_at": NOON - 1.0}, "metadata.updateTime<2026-01-31T12:00:00Z metadata.updateTime:*"),
    ({}, "metadata.createTime>0001-01-01T00:00:00+23:59 metadata.createTime<9999-12-31T23:59:59-23:59"),
    # progress
    ({"progress": 50.0}, "metadata.progressPercent=50 metadata.progressPercent:5e1 metadata.progressPercent>-1"),
    ({"progress": 50.0}, "metadata.progressPercent<=50.0 metadata.progressPercent<'50.5' metadata.progressPercent!=51"),
    ({"progress": 0.0}, "metadata.progressPercent=-0 metadata.progressPercent:*"),
    # Of an unknown progress nothing is true but what is denied.
    ({}, "metadata.progressPercent!=50 NOT metadata.progressPercent:*"),
    ({}, "NOT metadata.progressPercent>=0 NOT metadata.progressPercent<=0 NOT metadata.progressPercent:50"),
    ({}, ""),
]


@pytest.mark.parametrize(("changes", "text"), TRUE_OF_IT)
def test_what_a_filter_means(changes: dict[str, Any], text: str) -> None:
    record = a_record(**changes)
    assert matches(condition_of(text), record)
    assert not matches(condition_of(f"NOT ({text})"), record) if text else True


def test_every_field_is_among_these() -> None:
    assert {field for field in FIELDS if any(field in text for _, text in TRUE_OF_IT)} == set(FIELDS)


def test_every_status_has_a_state() -> None:
    assert {state_of(status, code) for status in Status for code in (None, 200)} == set(OperationState)


@given(st.integers(-62_135_596_800_000_000, 253_402_300_800_000_000))
def test_a_time_begins_where_its_microsecond_begins(at: int) -> None:
    first = first_seconds(at)
    assert microseconds(first) >= at
    assert microseconds(math.nextafter(first, -math.inf)) < at


@given(st.integers(0, 4_102_444_800_000_000))
def test_a_time_of_whole_microseconds_is_that_time_again(at: int) -> None:
    assert microseconds(at / 1_000_000) == at


WORDS = ("AND", "OR", "NOT", "true", "RUNNING", "50", "1e9", "2026-01-31T12:00:00Z", "é", "\x00", "\ud800")
MARKS = ("=", "!=", "<", "<=", ">", ">=", ":", "(", ")", "-", "*", ".", ",", "'", '"', "\\", " ", " ", " ", " ")
NEARLY = st.lists(st.sampled_from((*FIELDS, *WORDS, *MARKS)), max_size=30).map("".join)


@given(st.one_of(st.text(), NEARLY, st.text(st.characters(exclude_categories=()), max_size=5)))
def test_whatever_is_sent_is_a_condition_or_the_designed_error(text: str) -> None:
    error = refusal_of(text)
    if error is None:
        assert matches(condition_of(text), a_record()) in (True, False)
    else:
        assert 1 <= error.position <= len(text) + 1
        assert error.detail.encode()


def refusal_of(text: str) -> InvalidFilter | None:
    try:
        condition_of(text)
    except InvalidFilter as error:
        return error
    return None


def steps(work: Callable[[], object]) -> int:
    """How many lines of this package's filters are run."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        if "filters" not in frame.f_code.co_filename:
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


@pytest.mark.parametrize(
    ("head", "repeated"),
    [
        ("", " "),
        ("", "a"),
        ("", "("),
        ("", "NOT "),
        ("", "-"),
        ("", '"'),
        ("", "done:* "),
        ("", "done:* OR "),
        ("", "(done:* AND "),
        ("", "NOT (done:* OR "),
        ("", "a.b"),
        ("", "=<"),
        ("type=", "*"),
        ("type=", "a*"),
        ('type="', "*"),
        ('type="', "\\*"),
        ("metadata.createTime=", "1"),
        ("metadata.createTime=2026-01-31T12:00:00.", "1"),
        ("metadata.progressPercent=", "1"),
        ("metadata.state=", "*A"),
    ],
)
def test_twice_the_text_takes_at_most_twice_the_steps(head: str, repeated: str) -> None:
    def steps_of(size: int) -> int:
        text = head + repeated * (size // len(repeated))
        return steps(lambda: refusal_of(text))

    small = steps_of(2_000)
    assert small > 2
    assert steps_of(4_000) <= 2 * small + 100
    assert steps_of(8_000) <= 4 * small + 300


def test_a_pattern_is_matched_in_steps_that_grow_with_its_parts_alone() -> None:
    record = a_record(type="a" * 10_000)

    def steps_of(parts: int) -> int:
        condition = condition_of(f'type="{"*a" * parts}*b"')
        near_miss = a_record(type="a" * 9_999 + "cb")
        assert not matches(condition_of('type="*x*b"'), near_miss)
        return steps(lambda: (matches(condition, record), matches(condition, near_miss)))

    assert steps_of(2_000) <= 2 * steps_of(1_000) + 100
