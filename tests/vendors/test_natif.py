"""natif.ai's published loops with `requests`, against real servers with a rule like its API.

Both go on while the answer is 202: the one at a URL that it has made once (its page on asynchronous usage), the
other at what each 202 says (its page on handling responses: what is not ready gets the same 202 as the request did).
"""

from __future__ import annotations

import io
import re
import urllib.parse
from collections.abc import Iterator
from threading import Thread
from typing import Any
from uuid import uuid4

import pytest
import requests

from vendors.serving import SERVERS, Site, things

LONGEST_SECONDS = 60.0
HEADERS = {"Accept": "application/json", "Authorization": "ApiKey of-ours"}
DOCUMENT = b"%PDF-1.7 an invoice"


@pytest.fixture(scope="module", params=SERVERS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with things(request.param, tmp_path_factory.mktemp("natif")) as site:
        yield site


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers.update(HEADERS)
        yield session


def get(session: requests.Session, url: str) -> requests.Response:
    return session.get(url, timeout=LONGEST_SECONDS)


def post(session: requests.Session, site: Site, **params: Any) -> requests.Response:
    """Send the document as natif.ai's examples do: as an upload, with the parameters in the URL."""
    url = f"{site.url}/processing/invoice?{urllib.parse.urlencode(params)}"
    response = session.post(url, files={"file": io.BytesIO(DOCUMENT)}, timeout=LONGEST_SECONDS)
    response.raise_for_status()
    return response


def check_processed(response: requests.Response, query: str = "") -> None:
    """The application has got the document, and this is its answer."""
    assert response.status_code == 201
    echo = response.json()
    assert (echo["method"], echo["path"], echo["query"]) == ("POST", "/processing/invoice", query)
    assert re.fullmatch(
        r'--(\w+)\r\n.*name="file".*\r\n\r\n%PDF-1\.7 an invoice\r\n--\1--\r\n', echo["body"], re.DOTALL
    )


def polled(session: requests.Session, site: Site, path: str, processing_id: str) -> tuple[requests.Response, int]:
    """The loop of the page on asynchronous usage, and how often it looked."""
    fetch_url = f"{site.url}{path}{processing_id}?"
    response, looks = get(session, fetch_url), 1
    while response.status_code == 202:
        response, looks = get(session, fetch_url), looks + 1
    return response, looks


def test_who_waits_is_answered_with_the_result_itself(site: Site, session: requests.Session) -> None:
    check_processed(post(session, site, status=201), "status=201")


@pytest.mark.parametrize("path", ["/processing/results/", "/processing/invoice/"])
def test_the_loop_at_one_url_ends_with_the_result(site: Site, session: requests.Session, path: str) -> None:
    gate = uuid4().hex
    accepted = post(session, site, wait_for=0, gate=gate, status=201)
    assert accepted.status_code == 202
    processing_id = accepted.json()["processing_id"]
    assert accepted.json() == {"processing_id": processing_id}
    assert get(session, f"{site.url}{path}{processing_id}?wait_for=0").status_code == 202
    opener = Thread(target=site.let_go, args=(gate,))
    opener.start()
    response, looks = polled(session, site, path, processing_id)
    opener.join()
    check_processed(response, f"gate={gate}&status=201")
    assert looks == 1, "both paths wait by themselves"
    assert response.headers["Bgrs-Request"] == processing_id


@pytest.mark.parametrize("path", ["/processing/results/", "/processing/invoice/"])
def test_the_loop_that_reads_each_202_ends_with_the_result(site: Site, session: requests.Session, path: str) -> None:
    """What is not ready is answered as the request was: with the id alone."""
    gate = uuid4().hex
    response = post(session, site, wait_for=0.01, gate=gate, status=201)
    looks = 0
    while response.status_code == 202:
        processing_id = response.json()["processing_id"]
        assert response.json() == {"processing_id": processing_id}
        looks += 1
        if looks == 3:
            site.let_go(gate)
        response = get(session, f"{site.url}{path}{processing_id}?wait_for=0.3")
    assert looks >= 3
    check_processed(response, f"gate={gate}&status=201")


def test_an_error_of_the_application_ends_the_loop(site: Site, session: requests.Session) -> None:
    processing_id = post(session, site, wait_for=0, status=422).json()["processing_id"]
    response, _ = polled(session, site, "/processing/invoice/", processing_id)
    assert (response.status_code, response.json()["query"]) == (422, "status=422")


def test_a_request_that_failed_ends_the_loop(site: Site, session: requests.Session) -> None:
    processing_id = post(session, site, wait_for=0, breaks="yes").json()["processing_id"]
    response, _ = polled(session, site, "/processing/results/", processing_id)
    assert (response.status_code, response.headers["Bgrs-Status"]) == (500, "failed")


def test_the_same_request_is_at_our_own_routes(site: Site, session: requests.Session) -> None:
    processing_id = post(session, site, wait_for=0).json()["processing_id"]
    assert get(session, f"{site.url}/bgrs/{processing_id}/result?wait_for=25").status_code == 200
    (document,) = get(session, f"{site.url}/bgrs/{processing_id}").json()
    assert (document["rid"], document["status_name"]) == (processing_id, "finished")
    assert document["name"] == "/processing/invoice?wait_for=0"
