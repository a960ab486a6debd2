"""BEAR's published documents, key for key and in their order, as a client of two real processes gets them.

`EXAMPLE` and `DETAIL` are those of its page on background processing (CONTRACT, section 3). What differs from request
to request has the form that it has there; everything else is the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from vendors.serving import SERVERS, Site, things

EXAMPLE = json.loads("""
    [{"id": "267", "rid": "4ff7cc2d88b1de88e83cce3f1caa1509", "user_id": "1",
      "name": "/v2.5/users/me?bgrs=yes", "created_dt": "2017-12-26 18:21:52",
      "status_id": "4", "status_name": "finished", "progress": "100.00",
      "finished_dt": "2017-12-26 18:21:52", "status": "200",
      "content_type": "application/json; charset=utf-8",
      "result": "media/keep1m.bgrs.4ff7cc2d88b1de88e83cce3f1caa1509.result.json"}]
""")
DETAIL = {
    "id": "5802",
    "rid": "4ff7cc2d88b1de88e83cce3f1caa1509",
    "dt": "2017-12-26 18:21:52",
    "details": "done",
}
VARYING = {
    "id": re.compile(r"[1-9]\d*"),
    "created_dt": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    "finished_dt": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
    "dt": re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"),
}
LONGEST_SECONDS = 60.0


@pytest.fixture(scope="module", params=SERVERS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with things(request.param, tmp_path_factory.mktemp("bear")) as site:
        yield site


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        session.headers["X-User"] = EXAMPLE[0]["user_id"]
        yield session


def get(session: requests.Session, url: str) -> requests.Response:
    return session.get(url, timeout=LONGEST_SECONDS)


def ask(session: requests.Session, site: Site, target: str) -> str:
    """Ask for the background and wait for the end; returns the rid."""
    accepted = get(session, site.url + target)
    assert accepted.status_code == 202
    assert list(accepted.json()) == ["request"]
    rid: str = accepted.json()["request"]
    assert re.fullmatch("[0-9a-f]{32}", rid)
    assert get(session, f"{site.url}/bgrs/{rid}/result?wait_for=25").status_code == 200
    return rid


def check_like(found: dict[str, Any], published: dict[str, Any], rid: str) -> None:
    """The published keys come first, in the published order, with the published values but for what varies."""
    assert list(found)[: len(published)] == list(published)
    for key, shown in published.items():
        if key in VARYING:
            assert VARYING[key].fullmatch(shown)
            assert VARYING[key].fullmatch(found[key]), key
        else:
            assert found[key] == shown.replace(EXAMPLE[0]["rid"], rid), key


def test_the_status_document_is_the_published_one(site: Site, session: requests.Session) -> None:
    rid = ask(session, site, EXAMPLE[0]["name"])
    documents = get(session, f"{site.url}/bgrs/{rid}").json()
    assert len(documents) == len(EXAMPLE) == 1
    check_like(documents[0], EXAMPLE[0], rid)
    assert documents[0]["created_dt"] <= documents[0]["finished_dt"]


def test_the_details_are_the_published_ones(site: Site, session: requests.Session) -> None:
    rid = ask(session, site, EXAMPLE[0]["name"])
    details = get(session, f"{site.url}/bgrs/{rid}/details").json()
    assert [each["details"] for each in details] == ["started", "done"]
    check_like(details[-1], DETAIL, rid)
    assert [list(each) for each in details] == [list(DETAIL)] * 2
    ids = [int(each["id"]) for each in details]
    assert ids == sorted(set(ids))


def test_the_result_is_the_answer_of_the_original_call(site: Site, session: requests.Session) -> None:
    """The page's two examples: JSON, and with `t=csv` a table, whose file is named accordingly."""
    for target, content_type, extension in (
        ("/v2.5/users/me?bgrs=yes", "application/json; charset=utf-8", "json"),
        ("/v2.5/users/me?t=csv&bgrs=yes", "text/csv", "csv"),
    ):
        rid = ask(session, site, target)
        (document,) = get(session, f"{site.url}/bgrs/{rid}").json()
        assert document["result"] == f"media/keep1m.bgrs.{rid}.result.{extension}"
        assert document["content_type"] == content_type
        result = get(session, f"{site.url}/bgrs/{rid}/result")
        plain = get(session, site.url + re.sub("[?&]bgrs=yes", "", target))
        assert (result.headers["Content-Type"], result.content) == (plain.headers["Content-Type"], plain.content)


def test_a_result_can_be_shared_with_anyone(site: Site, session: requests.Session) -> None:
    url = f"{site.url}/bgrs/{ask(session, site, EXAMPLE[0]['name'])}/result"
    mine = get(session, url)
    del session.headers["X-User"]
    assert get(session, url).content == mine.content


def test_ids_count_up_over_all_processes(site: Site, session: requests.Session) -> None:
    rids = [ask(session, site, EXAMPLE[0]["name"]) for _ in range(3)]
    ids = [int(get(session, f"{site.url}/bgrs/{rid}").json()[0]["id"]) for rid in rids]
    assert ids == sorted(set(ids))


def test_what_is_unknown_is_null_and_the_rest_is_text(site: Site, session: requests.Session) -> None:
    rid = get(session, f"{site.url}/v2.5/users/me?gate=never&bgrs=yes").json()["request"]
    (document,) = get(session, f"{site.url}/bgrs/{rid}").json()
    published = {key: document[key] for key in EXAMPLE[0]}
    assert {key for key, value in published.items() if value is None} >= {
        "finished_dt",
        "status",
        "content_type",
        "result",
    }
    assert all(value is None or isinstance(value, str) for value in published.values())
    site.let_go("never")
    assert get(session, f"{site.url}/bgrs/{rid}/result?wait_for=25").status_code == 200
