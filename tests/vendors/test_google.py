"""google-api-core, unmodified, against real servers in two processes: its client, its futures and its pages.

Each test is a user of its own. Where a request waits at a gate, the test opens it.
"""

from __future__ import annotations

import concurrent.futures
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.longrunning import operations_pb2
from google.protobuf import duration_pb2, json_format

from bgrs_middleware import Settings
from bgrs_middleware.models import Rerun, new_rid
from bgrs_middleware.orders import Add, Cancel
from bgrs_middleware.stores import make_store
from vendors.google_clients import LONGEST_SECONDS, PARENT, GoogleUser, HttpBody, info_of, plain, read_operation
from vendors.serving import Site, things

SCANNED_IN_A_PAGE = 1_000
"""How many records a page looks at."""


@pytest.fixture(
    scope="module",
    params=[("uvicorn", "/v1"), ("gunicorn-gthread", "/bgrs/v1")],
    ids=lambda each: f"{each[0]}-{each[1]}",
)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, str, Path]]:
    kind, operations_path = request.param
    folder = tmp_path_factory.mktemp("google")
    with things(kind, folder, BGRS_OPERATIONS_PATH=operations_path) as site:
        yield site, operations_path, folder / "data"


@pytest.fixture
def site(server: tuple[Site, str, Path]) -> Site:
    return server[0]


@pytest.fixture
def ann(server: tuple[Site, str, Path]) -> Iterator[GoogleUser]:
    user = GoogleUser(server[0].url, server[1])
    yield user
    user.close()


@pytest.fixture
def ben(server: tuple[Site, str, Path]) -> Iterator[GoogleUser]:
    user = GoogleUser(server[0].url, server[1])
    yield user
    user.close()


def test_a_future_ends_with_the_result(site: Site, ann: GoogleUser) -> None:
    started = ann.process("gate=future", {"pages": [1, 2.5, None]})
    assert not started.done
    future = ann.future(started)
    assert not future.done()
    called: concurrent.futures.Future[Any] = concurrent.futures.Future()
    future.add_done_callback(called.set_result)
    site.let_go("future")
    result = plain(future.result(timeout=LONGEST_SECONDS))
    assert json.loads(result["body"]) == {"pages": [1, 2.5, None]}
    assert called.result(LONGEST_SECONDS).result() is future.result()
    metadata = plain(future.metadata)
    assert metadata["state"] == "SUCCEEDED"
    assert metadata["type"] == "POST_V1_PROJECTS_SHOP_BATCHPROCESS"
    assert future.exception() is None


def test_a_future_of_what_is_done_asks_nobody(ann: GoogleUser) -> None:
    """The operation came back complete, within the wait that was asked for."""
    started = ann.process("wait_for=20")
    assert started.done
    assert plain(ann.future(started).result())["method"] == "POST"


def test_an_answer_that_is_no_json_object_is_an_http_body(ann: GoogleUser) -> None:
    started = ann.process("type=text/csv")
    body = ann.future(started, HttpBody).result(timeout=LONGEST_SECONDS)
    assert (body.content_type, body.data) == ("text/csv", b"name,pages\r\ninvoice,2\r\n")


@pytest.mark.parametrize(
    ("query", "exception", "reason"),
    [
        ("status=400", exceptions.InvalidArgument, "HTTP_400"),
        ("status=401", exceptions.Unauthenticated, "HTTP_401"),
        ("status=403", exceptions.PermissionDenied, "HTTP_403"),
        ("status=404", exceptions.NotFound, "HTTP_404"),
        ("status=409", exceptions.Aborted, "HTTP_409"),
        ("status=418", exceptions.FailedPrecondition, "HTTP_418"),
        ("status=429", exceptions.ResourceExhausted, "HTTP_429"),
        ("status=500", exceptions.InternalServerError, "HTTP_500"),
        ("status=501", exceptions.MethodNotImplemented, "HTTP_501"),
        ("status=503", exceptions.ServiceUnavailable, "HTTP_503"),
        ("status=504", exceptions.DeadlineExceeded, "HTTP_504"),
        ("status=507", exceptions.Unknown, "HTTP_507"),
        ("breaks=yes", exceptions.InternalServerError, "REQUEST_FAILED"),
    ],
)
def test_a_failure_is_googles_own_exception(ann: GoogleUser, query: str, exception: Any, reason: str) -> None:
    future = ann.future(ann.process(query))
    with pytest.raises(exception) as raised:
        future.result(timeout=LONGEST_SECONDS)
    # Exactly this class: others are above it.
    assert type(raised.value) is exception
    (status,) = raised.value.errors
    (packed,) = status.details
    info = json_format.MessageToDict(packed)
    assert (info["reason"], info["domain"]) == (reason, "bgrs_middleware")


def test_the_result_of_a_failure_is_where_its_error_says(ann: GoogleUser) -> None:
    future = ann.future(ann.process("status=409", {"a": 1}))
    failure: Any = future.exception(timeout=LONGEST_SECONDS)
    (status,) = failure.errors
    url = json_format.MessageToDict(status.details[0])["metadata"]["resultUri"]
    answer = ann.send("GET", url)
    assert (answer.status_code, json.loads(answer.json()["body"])) == (409, {"a": 1})


def test_a_future_whose_time_is_up_goes_on_later(site: Site, ann: GoogleUser) -> None:
    future = ann.future(ann.process("gate=timeout"))
    with pytest.raises(concurrent.futures.TimeoutError):
        future.result(timeout=0.3)
    site.let_go("timeout")
    assert plain(future.result(timeout=LONGEST_SECONDS))["method"] == "POST"


def test_a_cancelled_future(ann: GoogleUser) -> None:
    future = ann.future(ann.process("gate=never-opened"))
    assert not future.cancelled()
    assert future.cancel()
    with pytest.raises(exceptions.Cancelled):
        future.result(timeout=LONGEST_SECONDS)
    assert future.cancelled()
    # It is done: nobody is asked again.
    assert not future.cancel()


def test_a_late_cancel_is_refused(ann: GoogleUser) -> None:
    name = ann.process("wait_for=20").name
    with pytest.raises(exceptions.BadRequest) as raised:
        ann.client.cancel_operation(name, metadata=ann.metadata)
    assert f"Operation has completed and cannot be cancelled: '{name}'." in raised.value.message
    assert info_of(raised.value)["reason"] == "OPERATION_COMPLETED"
    assert info_of(raised.value)["metadata"] == {"operation": name}
    assert json.loads(raised.value.response.text)["error"]["status"] == "FAILED_PRECONDITION"


def test_a_delete_does_not_cancel(site: Site, ann: GoogleUser) -> None:
    started = ann.process("gate=deleted")
    future = ann.future(started)
    while plain(future.metadata)["state"] == "PENDING":
        future.done()
    with pytest.raises(exceptions.BadRequest) as raised:
        ann.client.delete_operation(started.name, metadata=ann.metadata)
    assert info_of(raised.value)["reason"] == "OPERATION_RUNNING"
    site.let_go("deleted")
    assert plain(future.result(timeout=LONGEST_SECONDS))["method"] == "POST"
    ann.client.delete_operation(started.name, metadata=ann.metadata)
    with pytest.raises(exceptions.NotFound) as gone:
        ann.get(started.name)
    assert info_of(gone.value)["reason"] == "NOT_FOUND"


def test_who_may_not_is_told_by_googles_exceptions(ann: GoogleUser, ben: GoogleUser) -> None:
    name = ann.process("wait_for=20").name
    assert ben.get(name).done
    with pytest.raises(exceptions.Forbidden) as raised:
        ben.client.delete_operation(name, metadata=ben.metadata)
    assert info_of(raised.value)["reason"] == "NOT_ALLOWED"
    elsewhere = name.replace("projects/default", "projects/other")
    with pytest.raises(exceptions.NotFound):
        ann.get(elsewhere)


def test_what_the_marker_started_is_an_operation_too(ann: GoogleUser) -> None:
    """Read strictly: `Parse` of the client refuses any field that an operation has not."""
    future = ann.future(ann.get(ann.ask("/things?colour=red")))
    assert plain(future.result(timeout=LONGEST_SECONDS))["query"] == "colour=red"


@pytest.mark.parametrize("seconds", [None, 0, 0.05, 20])
def test_a_wait_takes_what_protobuf_writes(site: Site, ann: GoogleUser, seconds: float | None) -> None:
    """The REST client has no method for it, so its message is encoded here by protobuf itself."""
    started = ann.process("" if seconds in (None, 20) else "gate=wait")
    request = operations_pb2.WaitOperationRequest(name=started.name)
    if seconds is not None:
        request.timeout.CopyFrom(duration_pb2.Duration(nanos=int(seconds % 1 * 1e9), seconds=int(seconds)))
    answer = ann.send("POST", f"{ann.base}/{started.name}:wait", json_format.MessageToDict(request))
    assert answer.status_code == 200, answer.text
    assert read_operation(answer.content).done == (seconds in (None, 20))
    site.let_go("wait-over")


def test_pages_follow_one_another(server: tuple[Site, str, Path], ann: GoogleUser, ben: GoogleUser) -> None:
    mine = [ann.process("wait_for=20").name for _ in range(5)]
    ben.process("wait_for=20")
    pager = ann.client.list_operations(PARENT, page_size=2, metadata=ann.metadata)
    pages = [[each.name for each in page.operations] for page in pager.pages]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert [name for page in pages for name in page] == mine[::-1]
    found = list(ann.client.list_operations(PARENT, metadata=ann.metadata))
    assert found == [ann.get(name) for name in mine[::-1]]
    # Below a path that the application shares, the list of another parent is its own.
    if server[1] == "/bgrs/v1":
        assert list(ann.client.list_operations("projects/other", metadata=ann.metadata)) == []


def test_an_empty_page_is_not_the_end(server: tuple[Site, str, Path], ann: GoogleUser) -> None:
    """Between the two that match lie so many others that a page finds none among those that it looks at."""
    first = ann.process("wait_for=20").name
    fill(server[2], ann.name, 2 * SCANNED_IN_A_PAGE + 10)
    last = ann.process("wait_for=20").name
    pager = ann.client.list_operations(PARENT, "done = true AND NOT type = FILLER", metadata=ann.metadata)
    pages = [[each.name for each in page.operations] for page in pager.pages]
    assert pages == [[last], [], [first]]
    again = ann.client.list_operations(PARENT, "metadata.state = SUCCEEDED", metadata=ann.metadata)
    assert [each.name for each in again] == [last, first]


def fill(data_dir: Path, owner: str, count: int) -> None:
    """Cancelled requests of an owner, put into the servers' store at once."""
    store = make_store(Settings(data_dir=str(data_dir)))
    store.open()
    now = time.time()
    rids = [new_rid() for _ in range(count)]
    orders = [
        Add(
            rid=rid, owner=owner, method="GET", name="/", type="FILLER", now=now, sealed_request=b"",
            request_body_name=None, rerun=Rerun.NEVER, max_run_seconds=1.0, retention_days=1.0,
            max_queued=count + 100, max_queued_per_caller=count + 100,
        )
        for rid in rids
    ]  # fmt: skip
    try:
        with store.transaction() as transaction:
            transaction.add(orders)
            transaction.cancel([Cancel(rid=rid, now=now) for rid in rids])
    finally:
        store.close()


def test_a_bad_filter_is_told_where_and_what(ann: GoogleUser) -> None:
    with pytest.raises(exceptions.BadRequest) as raised:
        ann.client.list_operations(PARENT, "done = true AND colour = red", metadata=ann.metadata)
    assert info_of(raised.value)["reason"] == "INVALID_FILTER"
    assert info_of(raised.value)["metadata"] == {"position": "17", "field": "colour"}
    with pytest.raises(exceptions.BadRequest):
        ann.client.list_operations(PARENT, page_token="forged", metadata=ann.metadata)
