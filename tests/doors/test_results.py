"""The result (CONTRACT, section 3): the captured response, whole or in part, made safe to be served again."""

from __future__ import annotations

import json

import pytest

from .answer import Answer
from .door import Door

ROW_BYTES = 64 * 1024


def planned(door: Door, *, length: int | None = None, **plan: object) -> str:
    """Ask for a response by a plan, and wait until it is there; `length` of the body instead of the echo."""
    target = "/items" if length is None else f"/do/length:{length}/send:{length}"
    rid = door.ask(target, [("X-Plan", json.dumps({"headers": [], "sizes": [], **plan}))])
    assert door.ended(rid)["status_name"] == "finished"
    return rid


def result(door: Door, rid: str, *headers: tuple[str, str], method: str = "GET") -> Answer:
    return door.call(method, f"/bgrs/{rid}/result", headers)


def test_an_unfinished_result_is_a_202_with_the_status_document(door: Door) -> None:
    rid = door.hold("a")
    answer = result(door, rid)
    assert answer.status == 202
    assert answer.json()[0]["status_name"] == "running"
    assert answer.header("bgrs-status") == "running"
    assert int(answer.header("retry-after") or 0) >= 1
    assert answer.json() == door.get(f"/bgrs/{rid}").json()


@pytest.mark.parametrize("status", [201, 202, 302, 404, 500, 503])
def test_any_status_of_the_application_is_a_result(door: Door, status: int) -> None:
    rid = planned(door, status=status)
    answer = result(door, rid)
    assert (answer.status, answer.header("bgrs-status")) == (status, "finished")
    assert door.status(rid)["status"] == str(status)


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_has_no_length(door: Door, status: int) -> None:
    answer = result(door, planned(door, status=status, empty=True))
    assert (answer.status, answer.body, answer.header("content-length")) == (status, b"", None)


@pytest.mark.parametrize("length", [0, 1, ROW_BYTES, ROW_BYTES + 1, 3_000_000])
def test_the_length_is_told_and_head_has_the_headers_of_get(door: Door, length: int) -> None:
    rid = planned(door, length=length)
    got, head = result(door, rid), result(door, rid, method="HEAD")
    assert (got.status, got.body, got.header("content-length")) == (200, b"x" * length, str(length))
    assert (head.status, head.body, head.headers) == (200, b"", got.headers)


@pytest.mark.parametrize("length", [1000, ROW_BYTES + 1000])
@pytest.mark.parametrize(
    ("wanted", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=990-", 990, -1),
        ("bytes=-5", -5, -1),
        ("bytes=0-999999999", 0, -1),
        ("bytes=-999999999", 0, -1),
        ("BYTES=5-6", 5, 6),
    ],
)
def test_one_range_is_answered_in_part(door: Door, length: int, wanted: str, first: int, last: int) -> None:
    rid = planned(door, way="whole", sizes=[length])
    whole = result(door, rid)
    size = len(whole.body)
    first, last = first % size, last % size
    answer = result(door, rid, ("Range", wanted))
    assert answer.status == 206
    assert answer.body == whole.body[first : last + 1]
    assert answer.header("content-range") == f"bytes {first}-{last}/{size}"
    assert answer.header("content-length") == str(last + 1 - first)
    assert answer.header("etag") == whole.header("etag")


@pytest.mark.parametrize(
    "wanted", ["bytes=0-1,5-6", "bytes=", "bytes=9-1", "lines=1-2", "bytes=a-b", "0-5", "bytes=--5"]
)
def test_a_range_that_is_not_understood_is_answered_whole(door: Door, wanted: str) -> None:
    rid = planned(door, length=100)
    answer = result(door, rid, ("Range", wanted))
    assert (answer.status, len(answer.body)) == (200, 100)


@pytest.mark.parametrize("wanted", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={'9' * 40}-"])
def test_a_range_outside_is_refused_with_the_length(door: Door, wanted: str) -> None:
    rid = planned(door, length=100)
    answer = result(door, rid, ("Range", wanted))
    assert (answer.status, answer.header("content-range"), answer.json()["rid"]) == (416, "bytes */100", rid)


def test_the_etag_answers_conditions(door: Door) -> None:
    rid = planned(door, length=100)
    etag = result(door, rid).header("etag") or ""
    unchanged = result(door, rid, ("If-None-Match", f'"other", {etag}'))
    assert (unchanged.status, unchanged.body, unchanged.header("etag")) == (304, b"", etag)
    assert result(door, rid, ("If-None-Match", "*")).status == 304
    assert result(door, rid, ("If-None-Match", '"other"')).status == 200
    assert result(door, rid, ("Range", "bytes=0-9"), ("If-Range", etag)).status == 206
    assert result(door, rid, ("Range", "bytes=0-9"), ("If-Range", '"other"')).status == 200
    assert result(door, rid, ("Range", "bytes=0-9"), ("If-None-Match", etag)).status == 304


def test_the_applications_own_etag_is_kept(door: Door) -> None:
    rid = planned(door, headers=[["ETag", '"mine"'], ["Last-Modified", "Sat, 29 Oct 1994 19:43:31 GMT"]])
    assert result(door, rid).header("etag") == '"mine"'
    assert result(door, rid, ("If-None-Match", '"mine"')).status == 304
    dated = ("If-Range", "Sat, 29 Oct 1994 19:43:31 GMT")
    assert result(door, rid, ("Range", "bytes=0-0"), dated).status == 206


def test_ranges_are_for_whole_answers_only(door: Door) -> None:
    rid = planned(door, status=404)
    answer = result(door, rid, ("Range", "bytes=0-0"), ("If-None-Match", "*"))
    assert answer.status == 404
    assert len(answer.body) > 1


def test_what_must_not_be_shared_or_repeated_is_withheld(door: Door) -> None:
    headers = [
        ["Set-Cookie", "a=1"],
        ["set-cookie", "b=2"],
        ["X-Kept", "1"],
        ["Clear-Site-Data", '"*"'],
        ["Refresh", "0"],
        ["x-kept", "2"],
        ["Strict-Transport-Security", "max-age=9"],
        ["Alt-Svc", "clear"],
        ["Connection", "close, X-Private"],
        ["X-Private", "1"],
        ["Keep-Alive", "timeout=5"],
        ["Bad Name", "1"],
        ["X-Split", "a\r\nInjected: 1"],
        ["X-Nul", "a\0"],
    ]
    answer = result(door, planned(door, headers=headers))
    ours = {"x-content-type-options", "cache-control", "bgrs-request", "bgrs-status", "content-length", "etag"}
    boxed = {"accept-ranges", "content-security-policy", "content-disposition"}
    assert [(name, value) for name, value in answer.headers if name.decode().lower() not in ours | boxed] == [
        (b"X-Kept", b"1"),
        (b"x-kept", b"2"),
    ]


def test_results_say_how_they_are_to_be_treated(door: Door) -> None:
    rid = planned(door, headers=[["Cache-Control", "public"], ["Content-Type", "text/csv"]])
    answer = result(door, rid)
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("cache-control") == "no-store"
    assert answer.header("bgrs-request") == rid
    assert answer.header("content-security-policy") is None
    assert door.status(rid)["result"].endswith(".csv")


@pytest.mark.parametrize(
    "content_type",
    ["text/html", "TEXT/HTML; charset=x", "image/svg+xml", "application/xml", "text/xml", "application/pdf",
     "text/javascript", "application/javascript", "application/xhtml+xml", None, "nonsense"],
)  # fmt: skip
def test_what_a_browser_would_run_is_boxed_in_and_offered_as_a_download(door: Door, content_type: str | None) -> None:
    headers = [["Content-Disposition", 'inline; filename="a.html"'], ["Content-Security-Policy", "default-src *"]]
    if content_type is not None:
        headers.append(["Content-Type", content_type])
    answer = result(door, planned(door, headers=headers))
    assert answer.header("content-security-policy") == "sandbox; default-src 'none'"
    assert answer.header("content-disposition") == 'attachment; filename="a.html"'


def test_an_exception_is_the_500_that_the_caller_would_have_got(door: Door) -> None:
    plain = door.get("/do/raise:oops")
    rid = door.ask("/do/raise:oops")
    answer = door.result(rid)
    assert (answer.status, answer.body) == (plain.status, plain.body) == (500, b"Internal Server Error")
    assert door.status(rid)["status_name"] == "finished"
    assert any("oops" in text for text in door.details(rid))
    # What the exception says is for the owner's details, not for whoever has the result's link.
    assert b"oops" not in answer.body


@pytest.mark.parametrize(
    "steps",
    ["length:10/send:9", "length:10/send:11", "length:10/send:5/raise:no", "length:500000/send:400000/raise:no",
     "length:300000/send:299999"],
)  # fmt: skip
def test_a_response_that_is_not_whole_is_never_served(door: Door, steps: str) -> None:
    rid = door.ask(f"/do/{steps}")
    assert door.ended(rid)["status_name"] == "failed"
    answer = result(door, rid)
    assert answer.status == 500
    assert answer.header("content-type") == "application/problem+json"
    assert (answer.header("bgrs-status"), answer.json()["rid"]) == ("failed", rid)
    assert b"xxx" not in answer.body
    assert [path for path in (door.data_dir / "bodies").rglob("*") if path.is_file()] == []


def test_a_response_over_the_limit_fails(open_door) -> None:
    door = open_door(max_result_bytes=100_000)
    rid = door.ask("/do/length:100001/send:100001")
    assert door.ended(rid)["status_name"] == "failed"
    assert "max_result_bytes" in door.details(rid)[-1]


def test_a_result_whose_body_is_gone_is_a_410(door: Door) -> None:
    rid = planned(door, length=200_000)
    for path in (door.data_dir / "bodies").rglob("*"):
        if path.is_file():
            path.unlink()
    answer = result(door, rid)
    assert (answer.status, answer.header("bgrs-status"), answer.json()["rid"]) == (410, "finished", rid)
