"""The answer to who asked (CONTRACT, section 2): the 202 to the letter, and what is refused before it."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest

from bgrs_middleware import Rule
from bgrs_middleware.errors import CommitInDoubt
from bgrs_middleware.models import Status

from .door import Door

RID = re.compile("[0-9a-f]{32}")


def test_the_202_has_the_id_and_nothing_else(door: Door) -> None:
    answer = door.get("/items?bgrs=yes")
    assert answer.status == 202
    assert RID.fullmatch(answer.rid)
    assert answer.body == f'{{"request": "{answer.rid}"}}'.encode()


def test_the_202_has_these_headers_and_no_others(door: Door) -> None:
    answer = door.get("/items?bgrs=yes")
    url = f"http://api.example.com/bgrs/{answer.rid}"
    assert dict(answer.headers) == {
        b"content-type": b"application/json",
        b"content-length": b"47",
        b"cache-control": b"no-store",
        b"x-content-type-options": b"nosniff",
        b"location": f"{url}/result".encode(),
        b"operation-location": f"{url}/operation".encode(),
        b"link": f'<{url}>; rel="status", <{url}/details>; rel="details"'.encode(),
        b"retry-after": b"1",
        b"vary": b"Prefer",
    }


def test_the_urls_lead_to_the_request(door: Door) -> None:
    answer = door.get("/items?bgrs=yes")
    location = answer.header("location") or ""
    path = location.removeprefix("http://api.example.com")
    door.ended(answer.rid)
    assert door.get(path).status == 200
    assert door.get(path.removesuffix("/result")).json()[0]["rid"] == answer.rid


@pytest.mark.parametrize(
    ("public_url", "root_path", "base"),
    [
        ("https://api.example.org", "", "https://api.example.org"),
        ("https://api.example.org/v1/", "/inner", "https://api.example.org/v1"),
        (None, "/inner/app", "http://api.example.com/inner/app"),
        (None, "/é t", "http://api.example.com/%C3%A9%20t"),
    ],
)
def test_urls_begin_with_the_public_url_or_with_host_and_mount(
    open_door, kind: str, public_url: str | None, root_path: str, base: str
) -> None:
    given = root_path.encode().decode("latin-1") if kind == "wsgi" else root_path
    door = open_door(public_url=public_url, root_path=given)
    # uvicorn's root path is cut off by the proxy; a WSGI path includes SCRIPT_NAME as the client sent it.
    answer = door.get("/items?bgrs=yes")
    assert answer.header("location") == f"{base}/bgrs/{answer.rid}/result"


def test_another_path_is_below_where_the_setting_says(open_door) -> None:
    door = open_door(path="/api/jobs")
    answer = door.get("/items?bgrs=yes")
    assert answer.header("location") == f"http://api.example.com/api/jobs/{answer.rid}/result"
    assert door.get(f"/api/jobs/{answer.rid}?wait_for=1").status == 200
    assert door.get(f"/bgrs/{answer.rid}").json()["path"] == f"/bgrs/{answer.rid}"


@pytest.mark.parametrize("host", ["evil.example/x", "a b", 'x"y', "é", "", "a\tb", "u@h"])
def test_a_host_that_is_none_is_not_repeated(door: Door, host: str) -> None:
    answer = door.get("/items?bgrs=yes", [("Host", host)])
    assert (answer.header("location") or "").startswith("http://198.51.100.7:8080/bgrs/")


def test_the_record_is_on_disk_before_the_202(open_door) -> None:
    """Another process sees it at once: here a second door on the same data."""
    first, second = open_door(executor="worker"), open_door(executor="worker")
    rid = first.ask("/items")
    assert second.status(rid)["status_name"] == "queued"


def test_the_captured_response_is_the_answer_within_the_wait(door: Door) -> None:
    answer = door.get("/do/length:3/send:3?bgrs=yes&wait_for=25")
    assert (answer.status, answer.body) == (200, b"xxx")
    assert RID.fullmatch(answer.header("bgrs-request") or "")
    assert answer.header("content-type") == "text/plain"


def test_conditions_of_the_asking_request_do_not_cut_its_answer(door: Door) -> None:
    answer = door.get("/do/ask?bgrs=yes&wait_for=25", [("Range", "bytes=0-0"), ("If-None-Match", "*")])
    assert (answer.status, answer.body) == (200, b"[false]")


def test_what_is_recorded_is_accepted_even_where_it_cannot_be_read_again(open_door, caplog) -> None:
    rule = Rule(path="/do/see:ruled", returns_operation=True)
    door = open_door(executor="worker", rules=(rule,))
    key = [("Idempotency-Key", '"one"')]
    door.get("/items?bgrs=yes")
    door.service._reader.close()
    # Told that nothing was recorded, who asks would send it again.
    waiting = door.get("/items?bgrs=yes&wait_for=20", key)
    assert (waiting.status, waiting.body) == (202, f'{{"request": "{waiting.rid}"}}'.encode())
    operation = door.call("POST", "/do/see:ruled").json()
    assert operation["metadata"]["value"]["state"] == "PENDING"
    rids = [waiting.rid, operation["name"].rpartition("/")[2]]
    assert set(door.service._store.get(rids)) == set(rids)
    assert "could not be read again" in caplog.text
    # A repeat with its key changes nothing, and may be sent again.
    assert door.get("/items?bgrs=yes&wait_for=20", key).status == 503


@pytest.mark.parametrize("made", [True, False])
def test_what_is_in_doubt_is_made_sure_of_before_it_is_answered(open_door, monkeypatch, made) -> None:
    door = open_door(executor="worker")
    door.ask("/items")
    store = door.service._store
    transaction = store.transaction

    @contextmanager
    def broken_off():
        monkeypatch.setattr(store, "transaction", transaction)
        if made:
            with transaction() as opened:
                yield opened
        else:
            with pytest.raises(InterruptedError), transaction() as opened:
                yield opened
                raise InterruptedError
        raise CommitInDoubt("The connection broke during a commit.")

    monkeypatch.setattr(store, "transaction", broken_off)
    rid = door.ask("/items")
    assert store.get([rid])[rid].status is Status.QUEUED
    assert store.count_queued() == 2


def test_a_failure_within_the_wait_is_told_at_once(door: Door) -> None:
    answer = door.get("/do/length:10/send:5?bgrs=yes&wait_for=25")
    assert answer.status == 500
    assert answer.header("bgrs-status") == "failed"
    assert RID.fullmatch(answer.json()["rid"])


def test_a_full_queue_is_refused_with_a_time_to_come_back(open_door) -> None:
    door = open_door(executor="worker", max_queued=2)
    rids = [door.ask("/items"), door.ask("/items")]
    answer = door.get("/items?bgrs=yes")
    assert answer.status == 503
    assert int(answer.header("retry-after") or 0) > 0
    assert "queue is full" in answer.json()["detail"]
    assert door.call("DELETE", f"/bgrs/{rids[0]}").status == 204
    assert door.get("/items?bgrs=yes").status == 202


def test_one_callers_full_queue_is_refused_to_them_alone(open_door) -> None:
    door = open_door(executor="worker", max_queued_per_caller=2)
    ann, ben = [("Authorization", "Bearer ann")], [("Authorization", "Bearer ben")]
    door.ask("/items", ann)
    door.ask("/items", ann)
    answer = door.get("/items?bgrs=yes", ann)
    assert answer.status == 429
    assert int(answer.header("retry-after") or 0) > 0
    assert door.get("/items?bgrs=yes", ben).status == 202
    # Anonymous callers together have no cap of their own.
    assert [door.get("/items?bgrs=yes").status for _ in range(4)] == [202] * 4


def test_a_large_body_refused_by_a_full_queue_is_removed(open_door) -> None:
    door = open_door(executor="worker", max_queued=1)
    door.ask("/items")
    assert door.call("POST", "/items?bgrs=yes", [], b"x" * 200_000).status == 503
    door.clean_up()
    assert [path for path in (door.data_dir / "bodies").rglob("*") if path.is_file()] == []
