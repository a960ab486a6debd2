"""What processes of one host tell each other: read of those that live, of nobody else, and never half-written."""

from __future__ import annotations

import fcntl
import subprocess
import sys

import pytest

from bgrs_middleware.protocol.health import Figures
from bgrs_middleware.service.figures import HostFigures, dump, load, total_of
from bgrs_middleware.service.presence import Presence

LIVE = """
import sys
from bgrs_middleware.protocol.health import Figures
from bgrs_middleware.service.figures import HostFigures
from bgrs_middleware.service.presence import Presence
presence = Presence(sys.argv[1], sys.argv[2])
assert presence.announce()
HostFigures(presence, lambda: Figures(processes=1, slots=4, running=2, stuck=1, lease_losses=3)).tell()
print("here", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path) -> str:
    return str(tmp_path / "workers")


def test_the_living_are_counted_and_the_dead_are_not(folder: str) -> None:
    me = Presence(folder, "me")
    assert me.announce()
    host = HostFigures(me, lambda: Figures(processes=1, slots=4, running=1))
    with subprocess.Popen(
        [sys.executable, "-c", LIVE, folder, "other"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "here\n"
        both = Figures(processes=2, slots=8, running=3, stuck=1, lease_losses=3)
        assert host.total() == both
        assert host.last_known() == both
        other.kill()
    assert host.last_known() == both, "as it was at the last look"
    assert host.total() == Figures(processes=1, slots=4, running=1)
    me.leave()


def test_what_is_told_is_replaced_by_what_is_told_later(folder: str) -> None:
    running = 100
    presence, looking = Presence(folder, "one"), Presence(folder, "")
    assert presence.announce()
    host = HostFigures(presence, lambda: Figures(processes=1, running=running))
    assert total_of(looking) == Figures(), "it lives, and has told nothing yet"
    host.tell()
    assert total_of(looking).running == 100
    running = 7
    host.tell()
    assert total_of(looking).running == 7
    presence.leave()
    host.tell()
    assert total_of(looking) == Figures()


def test_who_looks_at_the_same_time_is_not_taken_for_the_worker(folder: str, tmp_path) -> None:
    (tmp_path / "workers").mkdir()
    gone = tmp_path / "workers" / "gone.lock"
    gone.write_text(dump(Figures(processes=1)))
    with gone.open("rb") as looked_at:
        fcntl.flock(looked_at, fcntl.LOCK_SH)
        assert Presence(folder, "").told() == []


@pytest.mark.parametrize("words", ["", "{", "[]", "null", "7", '"x"', '{"processes": null}', '{"processes": "many"}'])
def test_what_cannot_be_read_says_nothing(words: str) -> None:
    assert load(words) == Figures()


def test_another_version_may_say_less_or_more() -> None:
    assert load('{"processes": 1, "slots": 2, "mood": "good"}') == Figures(processes=1, slots=2)
    figures = Figures(processes=1, slots=4, running=3, stuck=2, lease_losses=1)
    assert load(dump(figures)) == figures


def test_a_disk_that_refuses_is_no_end_of_the_work(folder: str, caplog: pytest.LogCaptureFixture, monkeypatch) -> None:
    presence = Presence(folder, "one")
    assert presence.announce()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.pwrite", full)
        presence.tell("words")
    assert "cannot tell the others" in caplog.text
    presence.leave()
