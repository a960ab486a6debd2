"""Errors as answers: the table of numbers, and what a client must not learn."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bgrs_middleware import errors
from bgrs_middleware.models import Status
from bgrs_middleware.protocol.operation_ends import code_of
from bgrs_middleware.protocol.problem import google_error_reply, problem_reply
from bgrs_middleware.protocol.replies import no_response
from protocol.samples import RID, record, value

TITLES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
REFUSALS = [kind for kind in errors.HTTP_STATUS if issubclass(kind, errors.Refusal) and kind is not errors.NotFound]
STORAGE_ERRORS = [kind for kind in errors.HTTP_STATUS if issubclass(kind, errors.StorageError)]


def document(error: errors.BgrsError) -> dict[str, Any]:
    body = problem_reply(error).body
    assert isinstance(body, bytes)
    parsed: dict[str, Any] = json.loads(body)
    return parsed


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refusal_says_what_is_wrong(kind: type[errors.Refusal]) -> None:
    error = kind("This is wrong; that would be right.", rid=RID, headers=((b"x-more", b"1"),))
    reply = problem_reply(error)
    assert reply.status == errors.HTTP_STATUS[kind]
    assert document(error) == {
        "type": "about:blank",
        "title": TITLES[reply.status],
        "status": reply.status,
        "detail": "This is wrong; that would be right.",
        "rid": RID,
    }
    assert isinstance(reply.body, bytes)
    assert value(reply, b"content-type") == b"application/problem+json"
    assert value(reply, b"content-length") == b"%d" % len(reply.body)
    assert value(reply, b"cache-control") == b"no-store"
    assert value(reply, b"x-content-type-options") == b"nosniff"
    assert value(reply, b"x-more") == b"1"


def test_no_rid_where_none_is_given() -> None:
    assert "rid" not in document(errors.BadRequest("no"))


def test_a_subclass_gets_the_answer_of_the_nearest_class_above() -> None:
    class Special(errors.DiskFull):
        pass

    assert problem_reply(Special("full")).status == 503


@pytest.mark.parametrize("kind", [errors.CallerQueueFull, errors.Unavailable, errors.QueueFull, errors.DiskFull])
def test_later_is_said_in_seconds(kind: type[errors.Refusal]) -> None:
    usual = {429: b"5", 503: b"10"}[errors.HTTP_STATUS[kind]]
    assert value(problem_reply(kind("later")), b"retry-after") == usual
    assert value(problem_reply(kind("later", retry_after_seconds=77)), b"retry-after") == b"77"


def test_retry_after_is_sent_elsewhere_only_where_it_is_given() -> None:
    assert value(problem_reply(errors.Conflict("no")), b"retry-after") is None
    assert value(problem_reply(errors.Conflict("no", retry_after_seconds=2)), b"retry-after") == b"2"


def test_the_404_is_the_same_byte_for_byte() -> None:
    told_too_much = errors.NotFound()
    told_too_much.rid = RID
    assert problem_reply(told_too_much) == problem_reply(errors.NotFound())
    assert problem_reply(errors.NotFound()).status == 404
    assert RID.encode() not in bytes(problem_reply(told_too_much).body)  # type: ignore[arg-type]  # it is bytes


@pytest.mark.parametrize("kind", STORAGE_ERRORS)
def test_a_storage_error_never_speaks_in_the_drivers_words(kind: type[errors.StorageError]) -> None:
    error = kind("(sqlite3.OperationalError) unable to open /srv/secret/bgrs.db")
    reply = problem_reply(error)
    assert reply.status == errors.HTTP_STATUS[kind]
    assert "sqlite" not in str(document(error))
    assert "/srv" not in str(document(error))
    assert document(error)["detail"] != document(errors.StorageError("x"))["detail"]
    assert value(reply, b"retry-after") == (b"10" if reply.status == 503 else None)


@pytest.mark.parametrize("kind", [errors.BgrsError, errors.SealError, errors.ReplayError, errors.StorageError])
def test_anything_else_is_a_500_that_says_nothing(kind: type[errors.BgrsError]) -> None:
    assert document(kind("key 7 of /srv/keys")) == {
        "type": "about:blank",
        "title": "Internal Server Error",
        "status": 500,
        "detail": "Something went wrong on the server.",
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [(Status.EXPIRED, 410), (Status.FINISHED, 410), (Status.CANCELLED, 409), (Status.FAILED, 500), (Status.LOST, 500)],
)
def test_an_end_without_a_response_names_its_state(status: Status, code: int) -> None:
    reply = problem_reply(no_response(record(status=status)))
    assert reply.status == code
    assert value(reply, b"bgrs-status") == status.label.encode()


def test_a_head_gets_the_headers_of_the_problem_and_no_body():
    whole, head = problem_reply(errors.NotFound()), problem_reply(errors.NotFound(), "HEAD")
    assert (head.status, head.headers, head.body) == (whole.status, whole.headers, b"")


@pytest.mark.parametrize("kind", STORAGE_ERRORS)
def test_a_storage_error_gives_its_reason_where_it_has_one_for_clients(kind: type[errors.StorageError]) -> None:
    error = kind("/srv/secret/bgrs.db is locked", reason="The store is locked by another process.")
    detail = document(error)["detail"]
    assert isinstance(detail, str)
    assert detail.startswith("The store is locked by another process. Nothing was recorded")
    assert "/srv" not in detail


@pytest.mark.parametrize("kind", [*REFUSALS, errors.NotFound])
def test_googles_form_says_the_same(kind: type[errors.Refusal]) -> None:
    error = errors.NotFound() if kind is errors.NotFound else kind("Wrong.", headers=((b"x-more", b"1"),))
    of_google, of_http = google_error_reply(error), problem_reply(error)
    assert isinstance(of_google.body, bytes)
    assert of_google.status == of_http.status
    by_length = ((b"content-type", b"application/json"), (b"content-length", b"%d" % len(of_google.body)))
    assert of_google.headers == (*by_length, *of_http.headers[2:])
    (info,) = google_error(error).pop("details")
    assert {**google_error(error), "details": []} == {
        "code": of_http.status,
        "message": error.detail,
        "status": code_of(of_http.status).name,
        "details": [],
    }
    assert re.sub("_", "", info.pop("reason")) == kind.__name__.upper()
    metadata = {"position": "1"} if kind is errors.InvalidFilter else {}
    assert info == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "domain": "bgrs_middleware",
        "metadata": metadata,
    }


def google_error(error: errors.BgrsError) -> dict[str, Any]:
    body = google_error_reply(error).body
    assert isinstance(body, bytes)
    found: dict[str, Any] = json.loads(body)["error"]
    return found


def test_googles_form_names_position_and_field() -> None:
    (info,) = google_error(errors.InvalidFilter("no such field", position=7, field="colour"))["details"]
    assert (info["reason"], info["metadata"]) == ("INVALID_FILTER", {"field": "colour", "position": "7"})
    (info,) = google_error(errors.BadRequest("no duration", field="timeout"))["details"]
    assert (info["reason"], info["metadata"]) == ("BAD_REQUEST", {"field": "timeout"})


@pytest.mark.parametrize("kind", STORAGE_ERRORS)
def test_googles_form_never_speaks_in_the_drivers_words(kind: type[errors.StorageError]) -> None:
    error = kind("(sqlite3.OperationalError) unable to open /srv/secret/bgrs.db")
    assert google_error(error)["message"] == document(error)["detail"]
    assert value(google_error_reply(error), b"retry-after") == value(problem_reply(error), b"retry-after")


def test_what_is_no_answer_to_the_client_has_no_reason_of_its_own() -> None:
    (info,) = google_error(errors.SettingsError("secret_keys: the key of /srv"))["details"]
    assert info["reason"] == "INTERNAL"
    head = google_error_reply(errors.NotFound(), "HEAD")
    assert (head.headers, head.body) == (google_error_reply(errors.NotFound()).headers, b"")
