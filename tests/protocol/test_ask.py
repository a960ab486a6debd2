"""Whether a request is asked for in the background, and for how long its caller waits (CONTRACT, section 1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.errors import BadRequest
from bgrs_middleware.protocol.ask import Ask, read_ask, read_wait
from bgrs_middleware.protocol.rules import Rules
from bgrs_middleware.settings import Rule, Settings
from protocol.samples import request_head

RULE = Rule(path="/processing/{workflow}", wait_seconds=7.0)
QUIET_RULE = Rule(path="/quiet", background=False, wait_seconds=8.0)
SETTINGS = Settings(rules=(RULE, QUIET_RULE), default_wait_seconds=1.0)
RULES = Rules(SETTINGS.rules)


def ask(query: bytes = b"", *prefer: bytes, method: str = "POST", path: str = "/plain") -> Ask | None:
    head = request_head(method, path, query, tuple((b"prefer", line) for line in prefer))
    return read_ask(head, SETTINGS, RULES)


@pytest.mark.parametrize("text", [b"yes", b"YES", b"Yes", b"1", b"true", b"TRUE", b"%79es", b"yes&bgrs=1&bgrs=True"])
def test_the_marker_asks(text: bytes) -> None:
    assert ask(b"bgrs=" + text) == Ask(wait_seconds=1.0, rule=None, by_prefer=False)


@pytest.mark.parametrize(
    "query",
    [
        b"",
        b"a=b",
        b"bgrs=no",
        b"bgrs=0",
        b"bgrs=False",
        b"bgrs=no&bgrs=0",
        b"BGRS=yes",
        b"bgrsx=yes",
        b"%62grs=yes",
        b"a=bgrs",
        b"wait_for=5",
        b"wait_for=nonsense",
        b"bgrs=no&wait_for=nonsense",
    ],
)
def test_an_ordinary_request_stays_one(query: bytes) -> None:
    assert ask(query) is None


@pytest.mark.parametrize(
    "query",
    [
        b"bgrs",
        b"bgrs=",
        b"bgrs=maybe",
        b"bgrs=2",
        b"bgrs=yes%20",
        b"bgrs=+yes",
        b"bgrs=on",
        b"bgrs=%FF",
        b"bgrs=yes&bgrs=no",
        b"bgrs=1&bgrs=0",
        b"bgrs=yes&bgrs=",
        b"bgrs=no&bgrs=maybe",
        b"bgrs=\xd9\xa1",
    ],
)
@pytest.mark.parametrize("path", ["/plain", "/processing/x"])
def test_a_marker_that_cannot_be_understood_is_refused_by_name(query: bytes, path: str) -> None:
    with pytest.raises(BadRequest, match="bgrs"):
        ask(query, path=path)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
@pytest.mark.parametrize("query", [b"bgrs=yes", b"bgrs=maybe", b""])
def test_head_and_options_are_ordinary_always(method: str, query: bytes) -> None:
    assert ask(query, b"respond-async", method=method, path="/processing/x") is None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_every_other_method_can_ask(method: str) -> None:
    assert ask(b"bgrs=yes", method=method)


def test_the_name_of_the_marker_is_a_setting() -> None:
    settings = Settings(param="later")
    assert read_ask(request_head(query=b"later=yes"), settings, Rules(()))
    assert read_ask(request_head(query=b"bgrs=nonsense"), settings, Rules(())) is None
    with pytest.raises(BadRequest, match="later"):
        read_ask(request_head(query=b"later=x"), settings, Rules(()))


def test_prefer_asks() -> None:
    assert ask(b"", b"respond-async") == Ask(wait_seconds=1.0, rule=None, by_prefer=True)
    assert ask(b"", b"return=minimal", b"wait=3, Respond-Async") == Ask(wait_seconds=3.0, rule=None, by_prefer=True)
    assert ask(b"", b"wait=3") is None


def test_a_rule_asks_and_a_rule_that_is_not_for_the_background_only_accompanies() -> None:
    assert ask(path="/processing/x") == Ask(wait_seconds=7.0, rule=RULE, by_prefer=False)
    assert ask(path="/processing/x", method="PUT") is None
    assert ask(path="/quiet") is None
    assert ask(b"bgrs=yes", path="/quiet") == Ask(wait_seconds=8.0, rule=QUIET_RULE, by_prefer=False)


def test_a_rule_is_matched_below_the_root_path() -> None:
    from dataclasses import replace

    head = replace(request_head("POST", "/mounted/processing/x"), root_path="/mounted")
    assert read_ask(head, SETTINGS, RULES) == Ask(wait_seconds=7.0, rule=RULE, by_prefer=False)


def test_the_markers_no_beats_prefer_and_rules() -> None:
    assert ask(b"bgrs=no", b"respond-async", path="/processing/x") is None


@pytest.mark.parametrize(
    ("query", "prefer", "path", "seconds"),
    [
        (b"bgrs=yes&wait_for=2", b"wait=3", "/processing/x", 2.0),
        (b"bgrs=yes&wait_for=0", b"wait=3", "/processing/x", 0.0),
        (b"bgrs=yes", b"wait=3", "/processing/x", 3.0),
        (b"bgrs=yes", b"wait=0", "/processing/x", 0.0),
        (b"bgrs=yes", b"wait=soon", "/processing/x", 7.0),
        (b"bgrs=yes", b"", "/processing/x", 7.0),
        (b"bgrs=yes", b"", "/plain", 1.0),
        (b"wait_for=2", b"", "/processing/x", 2.0),
        (b"bgrs=yes&wait_for=2.5", b"", "/plain", 2.5),
        (b"bgrs=yes&wait_for=.5", b"", "/plain", 0.5),
        (b"bgrs=yes&wait_for=2.", b"", "/plain", 2.0),
        (b"bgrs=yes&wait_for=2e-1", b"", "/plain", 0.2),
        (b"bgrs=yes&wait_for=2&wait_for=2.0", b"", "/plain", 2.0),
        (b"bgrs=yes&wait_for=25.01", b"", "/plain", 25.0),
        (b"bgrs=yes&wait_for=1e999", b"", "/plain", 25.0),
        (b"bgrs=yes", b"wait=100", "/plain", 25.0),
    ],
)
def test_the_wait(query: bytes, prefer: bytes, path: str, seconds: float) -> None:
    found = ask(query, prefer, path=path)
    assert found is not None
    assert found.wait_seconds == seconds


def test_the_waits_of_rules_and_settings_are_clamped_too() -> None:
    settings = Settings(max_wait_seconds=5.0, default_wait_seconds=6.0, rules=(RULE,))
    for path in ("/plain", "/processing/x"):
        found = read_ask(request_head("POST", path, b"bgrs=yes"), settings, RULES)
        assert found is not None
        assert found.wait_seconds == 5.0


BAD_WAITS = [
    b"wait_for",
    b"wait_for=",
    b"wait_for=-1",
    b"wait_for=-0.1",
    b"wait_for=nan",
    b"wait_for=NaN",
    b"wait_for=inf",
    b"wait_for=Infinity",
    b"wait_for=soon",
    b"wait_for=1_0",
    b"wait_for=+1",
    b"wait_for=1+",
    b"wait_for=0x10",
    b"wait_for=1,5",
    b"wait_for=.",
    b"wait_for=1e",
    b"wait_for=%D9%A3",
    b"wait_for=1%0A",
    b"wait_for=1&wait_for=2",
    b"wait_for=1&wait_for=x",
    b"wait_for=" + b"1" * 5_000,
]


@pytest.mark.parametrize("query", BAD_WAITS)
def test_a_wait_that_is_no_number_of_seconds_is_refused_by_name(query: bytes) -> None:
    with pytest.raises(BadRequest, match="wait_for"):
        ask(b"bgrs=yes&" + query)
    with pytest.raises(BadRequest, match="wait_for"):
        read_wait(request_head(query=query), SETTINGS, 0.0)


@pytest.mark.parametrize(
    ("query", "default", "seconds"),
    [
        (b"", 0.0, 0.0),
        (b"", 3.0, 3.0),
        (b"", 99.0, 25.0),
        (b"wait_for=0", 3.0, 0.0),
        (b"wait_for=4.5", 3.0, 4.5),
        (b"wait_for=26", 0.0, 25.0),
        (b"a=1&wait_for=2", 0.0, 2.0),
    ],
)
def test_the_wait_of_a_route(query: bytes, default: float, seconds: float) -> None:
    assert read_wait(request_head(query=query), SETTINGS, default) == seconds


@given(st.binary(max_size=30), st.binary(max_size=10))
def test_whatever_is_sent_is_an_ask_an_ordinary_request_or_a_bad_one(query: bytes, marker: bytes) -> None:
    for raw in (query, b"bgrs=yes&wait_for=" + query, b"bgrs=" + marker + b"&" + query):
        try:
            found = ask(raw)
        except BadRequest:
            continue
        assert found is None or 0.0 <= found.wait_seconds <= SETTINGS.max_wait_seconds
