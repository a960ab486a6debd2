"""What `bgrs purge` removes, and what it leaves; and that it says so."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from bgrs_middleware.bodies import FileBodies
from bgrs_middleware.cli import main
from bgrs_middleware.errors import BodyNotFound
from bgrs_middleware.models import Status
from bgrs_middleware.service import purge as module
from bgrs_middleware.service.purge import purge
from bgrs_middleware.stores import SQLITE_FILE
from bgrs_middleware.stores.sql import SqlStore
from stores.orders import a_captured, a_finish, added, running, texts

DAY = 86_400.0


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def store(data_dir: Path):
    store = SqlStore(f"sqlite:///{data_dir / SQLITE_FILE}")
    store.open()
    yield store
    store.close()


@pytest.fixture
def bodies(data_dir: Path) -> FileBodies:
    bodies = FileBodies(str(data_dir / "bodies"), 0)
    bodies.open()
    return bodies


def ended(store: SqlStore, bodies: FileBodies, status: Status, days_ago: float, **changes) -> str:
    """A request that ended some days ago, with a stored response."""
    rid = running(store, **changes)
    name = f"{rid}.1.result"
    writer = bodies.create(name)
    writer.write(b"response")
    writer.seal()
    captured = a_captured(inline=None, body_name=name)
    order = a_finish(rid, status=status, now=time.time() - days_ago * DAY, captured=captured, notes=("done",))
    with store.transaction() as transaction:
        transaction.finish([order])
    return rid


def test_it_removes_what_is_over_its_retention_and_nothing_else(
    store: SqlStore, bodies: FileBodies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_SIZE", 2)
    old = [ended(store, bodies, Status.FINISHED, 31) for _ in range(3)]
    old.append(ended(store, bodies, Status.FAILED, 2, retention_days=1.0))
    young = [ended(store, bodies, Status.FINISHED, 29), ended(store, bodies, Status.LOST, 0.5, retention_days=1.0)]
    alive = [running(store, retention_days=0.001), *added(store, retention_days=0.001)]
    everything = set(old + young + alive)
    expected = Counter({Status.FINISHED: 3, Status.FAILED: 1})
    assert purge(store, bodies, now=time.time(), dry_run=True) == expected
    assert set(store.get(list(everything))) == everything
    assert purge(store, bodies, now=time.time()) == expected
    assert set(store.get(list(everything))) == set(young + alive)
    for rid in old:
        assert texts(store, rid) == []
        with pytest.raises(BodyNotFound):
            bodies.read(f"{rid}.1.result")
    for rid in young:
        bodies.read(f"{rid}.1.result").close()
    assert purge(store, bodies, now=time.time()) == Counter()


def test_the_command_removes_what_its_options_say_and_tells_how_many(
    store: SqlStore, bodies: FileBodies, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    failed, lost, finished = (ended(store, bodies, s, 5) for s in (Status.FAILED, Status.LOST, Status.FINISHED))
    waiting = added(store)
    place = ["purge", "--data-dir", str(data_dir)]
    assert main(place) == 0
    assert main([*place, "--older-than-days", "6"]) == 0
    assert main([*place, "--older-than-days", "4.5", "--status", "lost", "--status", "failed", "--dry-run"]) == 0
    assert len(store.get([failed, lost, finished])) == 3
    assert main([*place, "--older-than-days", "4.5", "--status", "lost", "--status", "failed"]) == 0
    assert set(store.get([failed, lost, finished])) == {finished}
    assert main(["purge", "--store", f"sqlite:///{data_dir / SQLITE_FILE}", "--older-than-days", "0"]) == 0
    assert set(store.get([finished, *waiting])) == set(waiting)
    assert capsys.readouterr().out.splitlines() == [
        "removed: 0",
        "removed: 0",
        "would remove: 2 (1 failed, 1 lost)",
        "removed: 2 (1 failed, 1 lost)",
        "removed: 1 (1 finished)",
    ]


def test_the_command_takes_the_settings_of_an_application(
    store: SqlStore, bodies: FileBodies, data_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rid = ended(store, bodies, Status.FINISHED, 40)
    Path(tmp_path, "purged_application.py").write_text(
        "from bgrs_middleware.wsgi import BgrsMiddleware\n"
        f"application = BgrsMiddleware(lambda environ, start_response: [], data_dir={str(data_dir)!r})\n"
    )
    command = ["purge", "purged_application:application", "--app-dir", str(tmp_path)]
    assert main([*command, "--store", "sqlite:////nowhere"]) == 2
    assert main(command) == 0
    assert store.get([rid]) == {}
    captured = capsys.readouterr()
    assert captured.out == "removed: 1 (1 finished)\n"
    assert "given beside an application" in captured.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--data-dir", "typo"], "no store at"),
        (["--store", "sqlite:///typo.sqlite3"], "no store at"),
        (["--store", "memory://"], "memory store"),
        (["--store", "nonsense"], "no URL"),
        (["no_such_module:application"], "no_such_module"),
    ],
)
def test_the_command_makes_no_store_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["purge", *options]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "options", [["--status", "running"], ["--older-than-days", "-1"], ["--older-than-days", "nan"]]
)
def test_the_command_refuses_what_makes_no_sense(options, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["purge", *options])
    assert stopped.value.code == 2
    assert options[1] in capsys.readouterr().err
