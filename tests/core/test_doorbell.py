"""Bells: a ring reaches every worker of the host, blocks nobody, and dead workers' bells are taken down."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bgrs_middleware.executors.doorbell import SUFFIX, Doorbell, Ringer

LISTEN = """
import sys, time
from bgrs_middleware.executors.doorbell import Doorbell
assert Doorbell(sys.argv[1], lambda: print("rung", flush=True)).open()
print("here", flush=True)
sys.stdin.read()
"""
PATIENCE_SECONDS = 30.0


@pytest.fixture
def folder(tmp_path) -> str:
    return str(tmp_path / "workers")


@contextmanager
def bell(folder: str) -> Iterator[queue.SimpleQueue[bool]]:
    rings: queue.SimpleQueue[bool] = queue.SimpleQueue()
    doorbell = Doorbell(folder, lambda: rings.put(True))
    assert doorbell.open()
    try:
        yield rings
    finally:
        doorbell.close()


def heard(rings: queue.SimpleQueue[bool]) -> bool:
    return rings.get(timeout=PATIENCE_SECONDS)


def names(folder: str) -> list[str]:
    return os.listdir(folder)


def test_every_worker_hears_a_ring_also_one_that_came_later(folder):
    ringer = Ringer(folder)
    ringer.ring()
    with bell(folder) as first:
        ringer.ring()
        assert heard(first)
        with bell(folder) as second:
            ringer.ring()
            assert heard(first)
            assert heard(second)
        ringer.ring()
        assert heard(first)
    ringer.close()
    assert names(folder) == []


def test_many_ringers_come_and_go_and_the_last_is_heard(folder):
    with bell(folder) as rings:
        for _ in range(3):
            ringer = Ringer(folder)
            ringer.ring()
            assert heard(rings)
            ringer.close()
            # After its end, too: a process that drains may still accept.
            ringer.ring()
            assert heard(rings)


def test_a_ring_does_not_wait_for_a_worker_that_does_not_listen(folder):
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "here\n"
        worker.send_signal(signal.SIGSTOP)
        ringer = Ringer(folder)
        # More than a pipe holds.
        for _ in range(70_000):
            ringer.ring()
        worker.send_signal(signal.SIGCONT)
        assert worker.stdout.readline() == "rung\n"
        worker.kill()
        worker.wait()
        ringer.ring()
        assert names(folder) == []
        ringer.close()


def test_a_dead_workers_bell_is_taken_down_by_who_finds_it(folder):
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "here\n"
        worker.kill()
    assert len(names(folder)) == 1
    ringer = Ringer(folder)
    ringer.ring()
    assert names(folder) == []


def test_bells_are_for_their_user_alone(folder):
    with bell(folder):
        [name] = names(folder)
        assert name.endswith(SUFFIX)
        assert os.stat(os.path.join(folder, name)).st_mode & 0o777 == 0o600
        assert os.stat(folder).st_mode & 0o777 == 0o700


def test_nothing_is_written_into_what_is_no_bell(folder, tmp_path):
    os.mkdir(folder)
    target = tmp_path / "target"
    target.write_bytes(b"kept")
    with open(os.path.join(folder, f"file{SUFFIX}"), "wb"):
        pass
    os.symlink(target, os.path.join(folder, f"link{SUFFIX}"))
    ringer = Ringer(folder)
    ringer.ring()
    ringer.close()
    assert os.path.getsize(os.path.join(folder, f"file{SUFFIX}")) == 0
    assert target.read_bytes() == b"kept"


def test_a_folder_that_cannot_be_used_costs_the_bell_only(tmp_path):
    (tmp_path / "file").write_text("no folder")
    folder = str(tmp_path / "file" / "workers")
    doorbell = Doorbell(folder, lambda: None)
    assert not doorbell.open()
    doorbell.close()
    Ringer(folder).ring()


def test_nothing_is_left_open(folder):
    before = descriptors()
    ringer = Ringer(folder)
    for _ in range(20):
        doorbell = Doorbell(folder, lambda: None)
        assert doorbell.open()
        ringer.ring()
        doorbell.close()
        doorbell.close()
    ringer.ring()
    ringer.close()
    for thread in threading.enumerate():
        if thread.name == "bgrs-doorbell":
            thread.join()
    assert descriptors() == before


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))
