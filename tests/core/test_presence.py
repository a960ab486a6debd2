"""Presence: a worker's death is seen through its lock, its life through the lock being held."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bgrs_middleware.service.presence import Presence

LIVE = """
import sys
from bgrs_middleware.service.presence import Presence
assert Presence(sys.argv[1], sys.argv[2]).announce()
print("here", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "workers")


def dead(presence: Presence) -> list[str]:
    with presence.dead() as tokens:
        return tokens


def test_a_worker_that_was_killed_is_seen_and_one_that_lives_is_not(folder):
    me = Presence(folder, "me")
    assert me.announce()
    with subprocess.Popen(
        [sys.executable, "-c", LIVE, folder, "other"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "here\n"
        assert dead(me) == []
        other.kill()
    assert dead(me) == ["other"]
    me.forget("other")
    assert dead(me) == []
    me.leave()


def test_two_workers_of_one_process_do_not_take_each_other_for_dead(folder):
    first, second = Presence(folder, "first"), Presence(folder, "second")
    assert first.announce()
    assert second.announce()
    assert dead(first) == dead(second) == []
    second.leave()
    assert dead(first) == []
    first.leave()
    first.leave()


def test_only_one_looks_after_a_dead_worker_at_a_time(folder, tmp_path):
    first, second = Presence(folder, "first"), Presence(folder, "second")
    assert first.announce()
    assert second.announce()
    (tmp_path / "workers" / "gone.lock").touch()
    with first.dead() as tokens:
        assert tokens == ["gone"]
        assert dead(second) == []
    assert dead(second) == ["gone"]
    first.leave()
    second.leave()


def test_without_a_folder_nobody_is_dead(folder):
    assert dead(Presence(folder, "me")) == []


def test_a_folder_that_cannot_be_made_leaves_it_to_the_leases(tmp_path, caplog):
    (tmp_path / "file").touch()
    assert not Presence(str(tmp_path / "file" / "workers"), "me").announce()
    assert "by its leases alone" in caplog.text
