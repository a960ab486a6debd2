"""azure-core, unmodified, against real servers in two processes: both ways to poll, for every method and every end.

Each test is a user of its own, whose list tells how many background requests there were. Where a request waits at a
gate, the poller's first look opens it: so that look is one at an unfinished request.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from azure.core.exceptions import HttpResponseError

from vendors.azure_clients import (
    Exchange,
    LosingTransport,
    Noted,
    async_client_of,
    begin,
    begin_async,
    client_of,
    polling,
    resumed,
)
from vendors.serving import APPS, SERVERS, Site, things

METHODS = ["POST", "PUT", "PATCH", "DELETE"]
WAIT_SECONDS = 60.0
PYTHONPATH = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
UNFINISHED = {"NotStarted", "Running"}


@pytest.fixture(scope="module", params=SERVERS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with things(request.param, tmp_path_factory.mktemp("azure")) as site:
        yield site


@pytest.fixture
def user() -> str:
    return uuid4().hex


def opening(site: Site, gate: str) -> Noted:
    """The poller's first look opens the gate."""

    def open_it(exchange: Exchange) -> None:
        if exchange.method == "GET":
            site.let_go(gate)

    return Noted(after_each=open_it)


def requests_of(site: Site, user: str) -> list[Any]:
    with httpx.Client(base_url=site.url, headers={"X-User": user}, trust_env=False) as client:
        requests: list[Any] = client.get("/bgrs").json()["requests"]
    return requests


def told(method: str, path: str, query: str = "", body: Any = None) -> dict[str, str]:
    """What the application answers."""
    return {"method": method, "path": path, "query": query, "body": "" if body is None else json.dumps(body)}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_ends_with_its_result(site: Site, user: str, method: str) -> None:
    """By the operation: looks at it until it has succeeded, then one look at the result."""
    noted, body = opening(site, user), None if method == "DELETE" else {"pages": 2}
    poller = begin(client_of(site.url, user, noted), method, f"/things/a?bgrs=yes&gate={user}", polling(), body)
    assert poller.result(WAIT_SECONDS) == told(method, "/things/a", f"gate={user}", body)
    assert poller.done()
    assert poller.status() == "Succeeded"
    (only,) = requests_of(site, user)
    own = f"{site.url}/bgrs/{only['rid']}"
    looks = len(noted.sent) - 2
    asking = (method, f"{site.url}/things/a?bgrs=yes&gate={user}")
    assert noted.sent == [asking, *[("GET", f"{own}/operation")] * looks, ("GET", f"{own}/result")]
    statuses = [each.operation_status for each in noted.exchanges[1:-1]]
    assert len(statuses) > 1
    assert statuses.pop() == "Succeeded"
    assert set(statuses) <= UNFINISHED


@pytest.mark.parametrize("method", METHODS)
def test_every_method_ends_with_its_result_by_location_too(site: Site, user: str, method: str) -> None:
    noted, body = opening(site, user), None if method == "DELETE" else {"pages": 2}
    how = polling(by_location=True)
    poller = begin(client_of(site.url, user, noted), method, f"/things/a?bgrs=yes&gate={user}", how, body)
    assert poller.result(WAIT_SECONDS) == told(method, "/things/a", f"gate={user}", body)
    assert poller.status() == "Succeeded"
    (only,) = requests_of(site, user)
    assert set(noted.sent[1:]) == {("GET", f"{site.url}/bgrs/{only['rid']}/result")}
    statuses = [each.status for each in noted.exchanges]
    assert len(statuses) > 2
    assert statuses == [202] * (len(statuses) - 1) + [200]


@pytest.mark.parametrize("by_location", [False, True], ids=["operation", "location"])
def test_pollers_wait_as_long_as_they_are_told(site: Site, user: str, by_location: bool) -> None:
    noted = opening(site, user)
    poller = begin(client_of(site.url, user, noted), "POST", f"/a?bgrs=yes&gate={user}", polling(by_location))
    poller.wait(WAIT_SECONDS)
    looks = [each for each in noted.exchanges if each.method == "GET" and each.status in (200, 202)]
    told_to_wait = [each.retry_after_seconds for each in looks if each.retry_after_seconds is not None]
    assert noted.sleeps == told_to_wait != []
    assert min(noted.sleeps) >= 1, "not the poller's own interval"
    assert looks[-1].retry_after_seconds is None, "nobody is told to wait for what is there"


@pytest.mark.parametrize("final_state_via", [None, "location", "operation-location", "azure-async-operation"])
def test_a_marked_put_and_patch_end_with_exactly_one_background_request_each(
    site: Site, user: str, final_state_via: str | None
) -> None:
    """Without `resourceLocation` each would end with a GET on the marked URL: a further one."""
    noted, methods = Noted(), ["PUT", "PATCH"]
    client = client_of(site.url, user, noted)
    target = "/things/b?wait_for=0&bgrs=yes&x=%C3%A9"
    ways = [polling(final_state_via=final_state_via) for _ in methods]
    pollers = [begin(client, method, target, how, {"b": 1}) for method, how in zip(methods, ways, strict=True)]
    for method, poller in zip(methods, pollers, strict=True):
        assert poller.result(WAIT_SECONDS) == told(method, "/things/b", "x=%C3%A9", {"b": 1})
    assert [request["name"] for request in requests_of(site, user)] == [target] * 2
    assert [each for each in noted.sent if "bgrs=yes" in each[1]] == [(method, site.url + target) for method in methods]


@pytest.mark.parametrize("final_state_via", ["operation-location", "azure-async-operation"])
def test_a_post_can_end_with_the_operation_itself(site: Site, user: str, final_state_via: str) -> None:
    how = polling(final_state_via=final_state_via)
    operation = begin(client_of(site.url, user), "POST", "/things?bgrs=yes", how).result(WAIT_SECONDS)
    (only,) = requests_of(site, user)
    assert operation.pop("createdDateTime").endswith("Z")
    assert operation == {
        "id": only["rid"],
        "status": "Succeeded",
        "percentComplete": 100.0,
        "resourceLocation": f"{site.url}/bgrs/{only['rid']}/result",
    }


def test_a_post_can_end_with_its_location(site: Site, user: str) -> None:
    noted, how = Noted(), polling(final_state_via="location")
    result = begin(client_of(site.url, user, noted), "POST", "/things?bgrs=yes", how).result(WAIT_SECONDS)
    assert result == told("POST", "/things")
    assert noted.exchanges[-1].url == noted.exchanges[0].headers["Location"]


@pytest.mark.parametrize("by_location", [False, True], ids=["operation", "location"])
def test_a_result_without_content_is_none(site: Site, user: str, by_location: bool) -> None:
    poller = begin(client_of(site.url, user), "DELETE", "/things/a?bgrs=yes&status=204", polling(by_location))
    assert poller.result(WAIT_SECONDS) is None
    assert poller.status() == "Succeeded"


def test_an_error_of_the_application_is_a_failed_operation(site: Site, user: str) -> None:
    client = client_of(site.url, user)
    pollers = [begin(client, method, "/things/a?bgrs=yes&status=409", polling()) for method in METHODS]
    for method, poller in zip(METHODS, pollers, strict=True):
        with pytest.raises(HttpResponseError) as caught:
            poller.result(WAIT_SECONDS)
        assert poller.status() == "Failed"
        assert caught.value.error.code == "HTTP_409"
        assert caught.value.error.message == "The application answered with status 409."
        # What it answered is still to be had.
        answered = httpx.get(caught.value.response.json()["resourceLocation"], trust_env=False)
        assert (answered.status_code, answered.json()) == (409, told(method, "/things/a", "status=409"))
    assert len(requests_of(site, user)) == len(METHODS)


def test_by_location_an_error_of_the_application_is_what_a_plain_call_raises(site: Site, user: str) -> None:
    poller = begin(client_of(site.url, user), "PUT", "/things/a?bgrs=yes&status=409", polling(by_location=True))
    with pytest.raises(HttpResponseError) as caught:
        poller.result(WAIT_SECONDS)
    assert poller.status() == "Failed"
    assert caught.value.status_code == 409
    assert caught.value.response.json() == told("PUT", "/things/a", "status=409")


def test_a_response_that_broke_off_is_a_failed_operation(site: Site, user: str) -> None:
    poller = begin(client_of(site.url, user), "PATCH", "/things/a?bgrs=yes&breaks=yes", polling())
    with pytest.raises(HttpResponseError, match="no whole response") as caught:
        poller.result(WAIT_SECONDS)
    assert poller.status() == "Failed"
    assert caught.value.error.code == "REQUEST_FAILED"


def test_by_location_a_response_that_broke_off_is_a_500(site: Site, user: str) -> None:
    how = polling(by_location=True, retry_total=0)
    poller = begin(client_of(site.url, user), "PATCH", "/things/a?bgrs=yes&breaks=yes", how)
    with pytest.raises(HttpResponseError) as caught:
        poller.result(WAIT_SECONDS)
    assert caught.value.status_code == 500
    assert caught.value.response.headers["Bgrs-Status"] == "failed"


def test_cancelling_ends_both_pollers(site: Site, user: str) -> None:
    """One that runs, of which two pollers are told while it is being cancelled."""
    client = client_of(site.url, user)
    poller = begin(client, "POST", f"/things/a?bgrs=yes&gate=never-{user}", polling())
    by_location = resumed(client, poller.continuation_token(), polling(by_location=True))
    (only,) = requests_of(site, user)
    cancelled = httpx.post(f"{site.url}/bgrs/{only['rid']}/cancel", headers={"X-User": user}, trust_env=False)
    assert cancelled.status_code in (200, 202)
    with pytest.raises(HttpResponseError) as caught:
        poller.result(WAIT_SECONDS)
    assert poller.status() == "Canceled"
    assert caught.value.error.code == "REQUEST_CANCELLED"
    with pytest.raises(HttpResponseError) as caught:
        by_location.result(WAIT_SECONDS)
    assert caught.value.status_code == 409
    assert caught.value.response.headers["Bgrs-Status"] == "cancelled"


def test_a_continuation_token_is_resumed_in_another_process(site: Site, user: str) -> None:
    first = begin(client_of(site.url, user), "PUT", f"/things/c?bgrs=yes&gate={user}", polling(), {"c": 1})
    token = first.continuation_token()
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(APPS / "resume_azure.py")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *PYTHONPATH])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        other.stdin.write(f"{site.url}\n{token}\n")
        other.stdin.flush()
        assert not first.done()
        site.let_go(user)
        output, errors = other.communicate(timeout=WAIT_SECONDS)
    assert other.returncode == 0, errors
    assert json.loads(output) == told("PUT", "/things/c", f"gate={user}", {"c": 1})
    assert first.result(WAIT_SECONDS) == json.loads(output)
    assert len(requests_of(site, user)) == 1


@pytest.mark.parametrize(
    ("headers", "started"), [({"Idempotency-Key": '"of-this-put"'}, 1), ({}, 2)], ids=["key", "no-key"]
)
def test_a_put_whose_answer_was_lost_is_sent_again(
    site: Site, user: str, headers: dict[str, str], started: int
) -> None:
    """azure-core repeats it by itself; with a key it is the same background request."""
    noted = Noted()
    client = client_of(site.url, user, noted, LosingTransport)
    poller = begin(client, "PUT", "/things/d?bgrs=yes", polling(), {"d": 1}, headers)
    assert poller.result(WAIT_SECONDS) == told("PUT", "/things/d", "", {"d": 1})
    assert noted.lost == [f"{site.url}/things/d?bgrs=yes"]
    assert len(requests_of(site, user)) == started


@pytest.mark.parametrize("kind", SERVERS)
def test_a_process_that_runs_nothing_tells_of_what_another_runs(kind: str, tmp_path: Path, user: str) -> None:
    """The one that is asked runs it; all URLs that the poller is given lead to the other one, on the same store."""
    with (
        things(kind, tmp_path, options=(), BGRS_EXECUTOR="worker") as telling,
        things(kind, tmp_path, options=(), BGRS_PUBLIC_URL=telling.url) as running,
    ):
        noted = opening(running, user)
        poller = begin(client_of(running.url, user, noted), "PUT", f"/a?bgrs=yes&gate={user}", polling())
        assert poller.result(WAIT_SECONDS) == told("PUT", "/a", f"gate={user}")
        assert all(url.startswith(telling.url) for _, url in noted.sent[1:])
        assert requests_of(running, user) == requests_of(telling, user)


def test_the_async_poller_ends_with_the_result(site: Site, user: str) -> None:
    async def all_methods() -> list[Any]:
        async with async_client_of(site.url, user) as client:
            pollers = [await begin_async(client, method, f"/{method}?bgrs=yes&gate={user}") for method in METHODS]
            site.let_go(user)
            return list(await asyncio.gather(*(poller.result() for poller in pollers)))

    assert asyncio.run(all_methods()) == [told(method, f"/{method}", f"gate={user}") for method in METHODS]
    assert len(requests_of(site, user)) == len(METHODS)


def test_an_answer_within_the_wait_needs_no_polling(site: Site, user: str) -> None:
    noted = Noted()
    poller = begin(client_of(site.url, user, noted), "POST", "/things?bgrs=yes&wait_for=20", polling())
    assert poller.result(WAIT_SECONDS) == told("POST", "/things")
    assert len(noted.sent) == 1


def test_one_that_is_deleted_ends_the_polling(site: Site, user: str) -> None:
    client = client_of(site.url, user)
    done = begin(client, "POST", "/things?bgrs=yes", polling())
    token = done.continuation_token()
    done.wait(WAIT_SECONDS)
    (only,) = requests_of(site, user)
    assert httpx.delete(f"{site.url}/bgrs/{only['rid']}", headers={"X-User": user}, trust_env=False).status_code == 204
    with pytest.raises(HttpResponseError) as caught:
        resumed(client, token, polling()).result(WAIT_SECONDS)
    assert caught.value.status_code == 404
