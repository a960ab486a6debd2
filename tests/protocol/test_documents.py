"""BEAR's documents, key for key."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgrs_middleware.models import Detail, Item, Record, Status
from bgrs_middleware.protocol.documents import (
    details_document,
    etag_of,
    extension_of,
    list_document,
    status_document,
    to_json,
)
from protocol.samples import RID, finished, record

BEARS_KEYS = [
    "id",
    "rid",
    "user_id",
    "name",
    "created_dt",
    "status_id",
    "status_name",
    "progress",
    "finished_dt",
    "status",
    "content_type",
    "result",
]
OUR_KEYS = ["method", "type", "parent", "attempt", "message", "queued_dt", "started_dt", "items"]


def test_a_finished_request_is_bears_example_to_the_letter() -> None:
    """The document of CONTRACT, section 3, with its values."""
    (document,) = json.loads(status_document(finished(finished_at=1_514_312_516.999)))
    assert {key: document[key] for key in BEARS_KEYS} == {
        "id": "267",
        "rid": RID,
        "user_id": "1",
        "name": "/v2.5/users/me?bgrs=yes",
        "created_dt": "2017-12-26 18:21:56",
        "status_id": "4",
        "status_name": "finished",
        "progress": "100.00",
        "finished_dt": "2017-12-26 18:21:56",
        "status": "200",
        "content_type": "application/json; charset=utf-8",
        "result": f"media/keep1m.bgrs.{RID}.result.json",
    }


def test_keys_of_ours_come_after_bears() -> None:
    (document,) = json.loads(status_document(record()))
    assert list(document) == BEARS_KEYS + OUR_KEYS


def test_nothing_known_yet_is_null() -> None:
    (document,) = json.loads(status_document(record(status=Status.QUEUED, owner=None)))
    unknown = {
        "user_id",
        "progress",
        "finished_dt",
        "status",
        "content_type",
        "result",
        "parent",
        "message",
        "started_dt",
    }
    assert {key for key, value in document.items() if value is None} == unknown
    assert document["items"] == []
    assert document["attempt"] == "0"


@given(st.sampled_from(Status), st.floats(0, 4e9), st.none() | st.floats(0, 100), st.integers(0, 99))
def test_every_value_is_text_null_or_the_list_of_items(
    status: Status, at: float, progress: float | None, attempt: int
) -> None:
    one = record(status=status, created_at=at, started_at=at, progress=progress, attempt=attempt, parent=RID)
    (document,) = json.loads(status_document(one))
    assert document.pop("items") == []
    assert all(value is None or isinstance(value, str) for value in document.values())


@pytest.mark.parametrize(
    ("status", "number", "name"),
    [
        (Status.QUEUED, "1", "queued"),
        (Status.RUNNING, "2", "running"),
        (Status.CANCELLING, "3", "cancelling"),
        (Status.FINISHED, "4", "finished"),
        (Status.FAILED, "5", "failed"),
        (Status.CANCELLED, "6", "cancelled"),
        (Status.LOST, "7", "lost"),
        (Status.EXPIRED, "8", "expired"),
    ],
)
def test_states_have_their_number_and_name(status: Status, number: str, name: str) -> None:
    (document,) = json.loads(status_document(record(status=status)))
    assert (document["status_id"], document["status_name"]) == (number, name)


@pytest.mark.parametrize(
    ("progress", "shown"),
    [(0.0, "0.00"), (12.345, "12.35"), (29.29, "29.29"), (99.99, "99.99"), (99.9999, "99.99"), (100.0, "100.00")],
)
def test_progress_says_100_only_when_it_is(progress: float, shown: str) -> None:
    assert json.loads(status_document(record(progress=progress)))[0]["progress"] == shown


@pytest.mark.parametrize(
    ("days", "label"),
    [
        (30.0, "keep1m"),
        (60.0, "keep2m"),
        (90.0, "keep3m"),
        (360.0, "keep12m"),
        (365.0, "keep1y"),
        (730.0, "keep2y"),
        (7.0, "keep7d"),
        (1.0, "keep1d"),
        (0.5, "keep1d"),
        (6.01, "keep7d"),
        (31.0, "keep31d"),
        (364.0, "keep364d"),
        (0.0, "keep0d"),
    ],
)
def test_the_name_of_the_result_tells_how_long_it_is_kept(days: float, label: str) -> None:
    assert (
        json.loads(status_document(finished(retention_days=days)))[0]["result"]
        == f"media/{label}.bgrs.{RID}.result.json"
    )


@pytest.mark.parametrize(
    ("content_type", "extension"),
    [
        ("application/json", "json"),
        ("Application/JSON ; charset=utf-8", "json"),
        ("application/problem+json", "json"),
        ("text/csv; charset=utf-8; header=present", "csv"),
        ("text/plain", "txt"),
        ("text/html; charset=utf-8", "html"),
        ("application/xml", "xml"),
        ("text/xml", "xml"),
        ("application/atom+xml", "xml"),
        ("image/svg+xml", "svg"),
        ("application/pdf", "pdf"),
        ("application/zip", "zip"),
        ("application/epub+zip", "zip"),
        ("image/png", "png"),
        ("image/jpeg", "jpg"),
        ("text/css", "css"),
        ("application/octet-stream", "bin"),
        ("application/x-nobody-knows", "bin"),
        ("nonsense", "bin"),
        ("../../etc/passwd", "bin"),
        ("", "bin"),
        (None, "bin"),
    ],
)
def test_the_extension_is_that_of_the_content_type(content_type: str | None, extension: str) -> None:
    assert extension_of(content_type) == extension


def test_the_name_of_a_result_is_null_where_there_is_none() -> None:
    assert json.loads(status_document(finished(result_length=None)))[0]["result"] is None
    assert json.loads(status_document(record(status=Status.FAILED)))[0]["result"] is None
    assert json.loads(status_document(finished(result_length=0, content_type=None)))[0]["result"].endswith(".bin")


def test_items_are_listed() -> None:
    items = (Item(name="a.pdf", state="done"), Item(name="b.pdf", state="failed", message="page 3"))
    assert json.loads(status_document(record(items=items)))[0]["items"] == [
        {"name": "a.pdf", "state": "done", "message": None},
        {"name": "b.pdf", "state": "failed", "message": "page 3"},
    ]


def test_details_are_bears() -> None:
    details = [Detail(id=5802, rid=RID, at=1_514_312_512.0, text="done"), Detail(id=5803, rid=RID, at=0.5, text="é")]
    assert json.loads(details_document(details)) == [
        {"id": "5802", "rid": RID, "dt": "2017-12-26 18:21:52", "details": "done"},
        {"id": "5803", "rid": RID, "dt": "1970-01-01 00:00:00", "details": "é"},
    ]


@given(st.text(), st.text(), st.text(), st.none() | st.text())
def test_whatever_text_is_in_a_record_comes_through(
    name: str, owner: str, message: str, content_type: str | None
) -> None:
    one = finished(
        name=name,
        owner=owner,
        message=message,
        content_type=content_type,
        method=name,
        type=message,
        items=(Item(name=name, state=owner, message=message),),
    )
    (document,) = json.loads(status_document(one))
    assert (document["name"], document["user_id"], document["message"]) == (name, owner, message)
    assert (document["content_type"], document["method"], document["type"]) == (content_type, name, message)
    assert document["items"] == [{"name": name, "state": owner, "message": message}]


def test_a_list_holds_the_objects_of_the_status_documents() -> None:
    records: list[Record] = [record(), finished()]
    assert json.loads(list_document(records, "next")) == {
        "requests": [json.loads(status_document(one))[0] for one in records],
        "next_page_token": "next",
    }
    assert json.loads(list_document([], None)) == {"requests": [], "next_page_token": None}


def test_json_is_utf_8_and_never_fails() -> None:
    assert to_json({"a": "é😀", "b": None}) == '{"a": "é😀", "b": null}'.encode()
    assert json.loads(to_json(["\ud800", "\n\x00"])) == ["?", "\n\x00"]


def test_entity_tags_are_strong_and_tell_bodies_apart() -> None:
    first, second = etag_of(b"a"), etag_of(b"b")
    assert first != second
    assert first == etag_of(b"a")
    assert first[:1] == first[-1:] == b'"'
    assert b'"' not in first[1:-1]
