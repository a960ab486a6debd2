"""A memory store belongs to one process: a second one is refused, and the end of the first frees it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bgrs_middleware.errors import SettingsError
from bgrs_middleware.service.process_lock import ProcessLock

HOLD = """
import sys
from bgrs_middleware.service.process_lock import ProcessLock
ProcessLock(sys.argv[1]).acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_refused_until_the_first_one_is_gone(tmp_path):
    folder = str(tmp_path / "data")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        lock = ProcessLock(folder)
        with pytest.raises(SettingsError, match="store: a memory store serves one process"):
            lock.acquire()
        holder.kill()
        holder.wait()
        lock.acquire()
        lock.release()
        lock.release()


def test_two_middlewares_of_one_process_may_hold_it_together(tmp_path):
    first, second = ProcessLock(str(tmp_path)), ProcessLock(str(tmp_path))
    first.acquire()
    second.acquire()
    second.release()
    first.release()
