"""What the application receives in the background (CONTRACT, section 1): what was sent, less what asked for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .door import Door


def body_files(data_dir: Path) -> list[str]:
    """All files of bodies, complete or not."""
    return [name for _, _, names in os.walk(data_dir / "bodies") for name in names]


@pytest.mark.parametrize(
    ("sent", "replayed"),
    [
        ("bgrs=yes", ""),
        ("a=1&bgrs=yes&a=2", "a=1&a=2"),
        ("bgrs=yes&q=%C3%A9+b%20c&q", "q=%C3%A9+b%20c&q"),
        ("a&&bgrs=1&=x&", "a&&=x&"),
        ("wait_for=0&x=%zz&bgrs=yes&y=a=b", "x=%zz&y=a=b"),
        ("bgrs=yes&BGRS=yes&wait_form=1&b%67rs=no", "BGRS=yes&wait_form=1&b%67rs=no"),
    ],
)
def test_the_query_loses_the_marker_and_the_wait_and_nothing_else(door: Door, sent: str, replayed: str) -> None:
    rid = door.call("GET", f"/items?{sent}").rid
    assert door.result(rid).json()["query"] == replayed


def test_prefer_loses_our_preferences_and_keeps_the_others(door: Door) -> None:
    headers = [("Prefer", 'handling=lenient, respond-async, x="a,b"'), ("Prefer", "wait=0")]
    rid = door.call("GET", "/items", headers).rid
    received = dict(door.result(rid).json()["headers"])
    assert received["prefer"] == 'handling=lenient, x="a,b"'


def test_what_would_keep_the_whole_answer_away_is_not_replayed(door: Door) -> None:
    headers = [
        ("Accept-Encoding", "gzip"),
        ("Range", "bytes=0-0"),
        ("If-Range", '"a"'),
        ("If-None-Match", "*"),
        ("If-Modified-Since", "Sat, 29 Oct 1994 19:43:31 GMT"),
        ("If-Match", '"kept"'),
    ]
    received = door.result(door.ask("/items", headers)).json()
    names = {name for name, _ in received["headers"]}
    assert received["accept-encoding"] == ["identity"]
    assert not names & {"range", "if-range", "if-none-match", "if-modified-since"}
    assert "if-match" in names


def test_addresses_and_paths_are_those_of_the_request(door: Door) -> None:
    target = "/a%2Fb/%C3%A9/%FF;v=1/x"
    plain = door.get(target, [("Accept-Encoding", "identity")]).json()
    assert door.result(door.ask(target)).json() == plain


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_arrives_as_it_was_sent_whatever_its_size(door: Door, size: int, chunked: bool) -> None:
    body = os.urandom(size)
    rid = door.call("POST", "/items?bgrs=yes", [], body, chunked=chunked).rid
    plain = door.call("POST", "/items", [("Accept-Encoding", "identity")], body)
    received = door.result(rid).json()
    assert (received["length"], received["sha256"]) == (size, plain.json()["sha256"])


def test_a_large_body_waits_encrypted_and_is_removed_when_it_is_over(open_door) -> None:
    door = open_door(concurrency=1)
    door.hold("first")
    rid = door.ask("/items", method="POST", body=b"plainly readable " * 10_000)
    (name,) = body_files(door.data_dir)
    stored = (door.data_dir / "bodies" / name[:2] / name).read_bytes()
    assert len(stored) > 170_000
    assert b"plainly readable" not in stored
    for file in door.data_dir.glob("bgrs.sqlite3*"):
        assert b"plainly readable" not in file.read_bytes()
    door.release("first")
    assert door.result(rid).json()["length"] == 170_000
    door.clean_up()
    assert body_files(door.data_dir) == []


def test_a_body_over_the_limit_is_refused_and_leaves_nothing(open_door) -> None:
    door = open_door(max_body_bytes=100_000)
    for chunked in (False, True):
        answer = door.call("POST", "/items?bgrs=yes", [], b"x" * 100_001, chunked=chunked)
        assert answer.status == 413
        assert answer.header("content-type") == "application/problem+json"
    assert body_files(door.data_dir) == []
    assert door.call("POST", "/items?bgrs=yes", [], b"x" * 100_000).status == 202
    assert door.call("POST", "/items", [], b"x" * 100_001).status == 200


@pytest.mark.parametrize("length", ["-1", "ten", "1_0", "+5", "5, 6"])
def test_a_malformed_content_length_is_refused(door: Door, length: str) -> None:
    assert door.call("POST", "/items?bgrs=yes", [("Content-Length", length)], b"12345").status == 400


def test_a_client_that_leaves_before_the_end_of_its_body_leaves_nothing(door: Door) -> None:
    body = b"x" * 200_000
    door.call("POST", "/items?bgrs=yes", [("Content-Length", "400000")], body, leaves=True)
    assert body_files(door.data_dir) == []
    rid = door.ask("/items")
    assert door.ended(rid)["id"] == "1"
