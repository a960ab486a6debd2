"""`bgrs status`: the same figures as the health route, for people and programs, with an exit code; it makes nothing."""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bgrs_middleware.advice import Advice
from bgrs_middleware.cli import main
from bgrs_middleware.protocol.health import Figures
from bgrs_middleware.service.figures import HostFigures
from bgrs_middleware.service.presence import Presence
from bgrs_middleware.stores import SQLITE_FILE
from bgrs_middleware.stores.sql import SqlStore, checks
from bgrs_middleware.wsgi import BgrsMiddleware
from stores.orders import added, claimed

BUSY = Figures(processes=1, slots=4, running=2, stuck=1, lease_losses=3)
STUCK = Figures(processes=1, slots=1, stuck=1)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def store(data_dir: Path) -> Iterator[SqlStore]:
    store = SqlStore(f"sqlite:///{data_dir / SQLITE_FILE}")
    store.open()
    yield store
    store.close()


@pytest.fixture
def command(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    # However full the disk of the tests is.
    monkeypatch.setenv("BGRS_MIN_FREE_BYTES", "0")
    return ["status", "--data-dir", str(data_dir)]


def live(data_dir: Path, figures: Figures) -> Presence:
    """A process of this host that says this of itself; here in this one."""
    presence = Presence(str(data_dir / "workers"), f"token-{figures.slots}")
    assert presence.announce()
    HostFigures(presence, lambda: figures).tell()
    return presence


def without_advice(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith(("info: ", "warning: "))]


def test_it_says_what_waits_and_what_runs(
    store: SqlStore, data_dir: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    added(store, 2)
    claimed(store)
    added(store, 3, now=time.time() - 3 * 3_600)
    process = live(data_dir, BUSY)
    assert main(command) == 0
    process.leave()
    assert without_advice(capsys.readouterr().out) == [
        "status: pass",
        "store: ok",
        "  queued: 3, the oldest for 3 h",
        "  running: 2",
        "processes of this host: 1",
        "  running: 2 in 4 slots",
        "  stuck: 1",
        "  lease losses: 3",
    ]


def test_as_json_it_is_the_routes_document_and_the_advice(
    store: SqlStore, data_dir: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    added(store, 1, now=time.time())
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    advice = document.pop("advice")
    assert document["store"].pop("oldest_queued_seconds") < 3_600
    assert document == {
        "status": "pass",
        "reasons": [],
        "store": {"state": "ok", "queued": 1, "running": 0},
        "host": {"processes": 0, "slots": 0, "running": 0, "stuck": 0, "lease_losses": 0},
    }
    assert [set(each) for each in advice] == [{"level", "text"}] * len(advice)


def test_it_says_the_same_as_the_route(data_dir: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    middleware = BgrsMiddleware(lambda environ, start_response: [], data_dir=str(data_dir), min_free_bytes=0)
    service = middleware._doorway.service
    service.open()
    service._host.tell()
    answered: list[bytes] = []
    environ = {
        "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/bgrs/health", "QUERY_STRING": "",
        "SERVER_NAME": "here", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http",
    }  # fmt: skip
    answered += middleware(environ, lambda *_: None)
    assert main([*command, "--json"]) == 0
    service.close()
    document = json.loads(capsys.readouterr().out)
    del document["advice"]
    assert document == json.loads(answered[0])
    assert document["host"]["processes"] == 1


def test_a_store_that_cannot_be_written_is_exit_code_1(
    data_dir: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(data_dir / SQLITE_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert main([*command, "--timeout", "0.3"]) == 1
        other.execute("ROLLBACK")
    assert capsys.readouterr().out.splitlines()[:3] == [
        "status: fail",
        "  The store does not answer.",
        "store: unavailable",
    ]


def test_a_store_that_is_no_database_is_exit_code_1(
    store: SqlStore, data_dir: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    store.close()
    (data_dir / SQLITE_FILE).write_bytes(b"something else" * 1_000)
    assert main(command) == 1
    assert "The store's file is not a database." in capsys.readouterr().out


def test_a_host_whose_slots_are_all_stuck_is_exit_code_1(
    data_dir: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    first = live(data_dir, STUCK)
    assert main(command) == 1
    assert "  Every slot is held by an application that does not return." in capsys.readouterr().out
    other = live(data_dir, BUSY)
    assert main(command) == 0
    first.leave()
    other.leave()


def test_the_advice_stands_below(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "wal_reset", lambda _: Advice(text="By the way.", level=logging.INFO))
    monkeypatch.setattr(checks, "weak_synchronous", lambda _: Advice(text="Beware."))
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == ["info: By the way.", "warning: Beware."]
    main([*command, "--json"])
    assert json.loads(capsys.readouterr().out)["advice"] == [
        {"level": "INFO", "text": "By the way."},
        {"level": "WARNING", "text": "Beware."},
    ]


def test_it_takes_the_settings_of_an_application(
    store: SqlStore, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    added(store, 7)
    (tmp_path / "looked_at_application.py").write_text(
        "from bgrs_middleware.wsgi import BgrsMiddleware\n"
        "application = BgrsMiddleware(\n"
        f"    lambda environ, start_response: [], data_dir={str(data_dir)!r}, min_free_bytes=0\n"
        ")\n"
    )
    command = ["status", "looked_at_application:application", "--app-dir", str(tmp_path)]
    assert main(command) == 0
    assert "  queued: 7" in capsys.readouterr().out
    assert main([*command, "--data-dir", "elsewhere"]) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data-dir", "typo"], "no store at"),
        (["--store", "memory://"], "memory store"),
        (["--store", "nonsense"], "no URL"),
        (["no_such_module:application"], "no_such_module"),
    ],
)
def test_it_makes_nothing_where_there_is_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options, words: str
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    assert main(["status", *options]) == 2
    assert words in capsys.readouterr().err
    assert list(empty.iterdir()) == []


def test_it_upgrades_nothing(store: SqlStore, data_dir: Path, command: list[str]) -> None:
    with closing(sqlite3.connect(data_dir / SQLITE_FILE)) as other:
        other.execute("UPDATE bgrs_schema SET version = 1")
        other.commit()
        assert main(command) == 0
        assert other.execute("SELECT version FROM bgrs_schema").fetchall() == [(1,)]


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "soon", "3601"])
def test_it_refuses_a_timeout_that_makes_no_sense(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["status", "--timeout", seconds])
    assert stopped.value.code == 2
    assert seconds in capsys.readouterr().err


def test_its_threads_end(command: list[str]) -> None:
    assert main(command) == 0
    for thread in [thread for thread in threading.enumerate() if thread.name == "bgrs-status"]:
        thread.join(10)
        assert not thread.is_alive()
