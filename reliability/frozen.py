"""Freezing a process on SQLite at a moment at which it does not hold the right to write.

One that is stopped in the middle of a commit keeps that right, and nobody writes until it goes on: see
docs/reliability.md, "What is not covered". Whoever wants to see what others do meanwhile stops it at another moment.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.01
COMMIT_SECONDS = 1.0
"""Longer than anybody's commit takes: who holds the right to write for so long has been stopped with it."""


def freeze(process_id: int, data: Path) -> None:
    """Stop a process with SIGSTOP, and return when it stands still without the right to write.

    Parameters:
        process_id: of a child that is not reaped yet.
        data: the folder of its store; others may write to that, too.

    Raises:
        TimeoutError: it goes on.
    """
    os.kill(process_id, signal.SIGSTOP)
    _until_it_stands_still(process_id)
    while not _others_can_write(data):
        os.kill(process_id, signal.SIGCONT)
        time.sleep(LOOK_SECONDS)
        os.kill(process_id, signal.SIGSTOP)
        _until_it_stands_still(process_id)


def _until_it_stands_still(process_id: int) -> None:
    """None of its threads runs any more: a busy machine takes its time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all(_stands_still(thread) for thread in Path(f"/proc/{process_id}/task").iterdir()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process {process_id} does not stand still")
        time.sleep(LOOK_SECONDS)


def _stands_still(thread: Path) -> bool:
    """Whether a thread of Linux, given by its folder, is stopped; one that has ended stands still, too."""
    with suppress(FileNotFoundError, ProcessLookupError):
        # The name before it, in parentheses, may have any character.
        return (thread / "stat").read_text().rpartition(") ")[2][0] in "TtZX"
    return True


def _others_can_write(data: Path) -> bool:
    deadline = time.monotonic() + COMMIT_SECONDS
    with open(data / "bgrs.sqlite3-turn", "r+b") as turn:
        while time.monotonic() < deadline:
            try:
                fcntl.lockf(turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(LOOK_SECONDS)
            else:
                return True
    return False
