"""Several worker processes: starts them, hands signals on, and starts another one where one has died.

Each worker is a process group of its own, so that Ctrl-C reaches it once, through here; and each holds one end of a
pipe by which it notices that the supervisor is gone. All decisions are made in one thread, event by event.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from queue import Empty, SimpleQueue
from typing import Any

from .errors import CannotWork
from .signals import Wakeups

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
"""After how long a life a death is not counted with the ones before."""


@dataclass(slots=True, eq=False)
class _Place:
    """The place of one worker: its process, or when the next one starts (monotonic clock). Neither: it is done."""

    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float | None = None
    pause_seconds: float = FIRST_PAUSE_SECONDS


class Supervisor:
    """Keeps so many workers until it is told to end, or all are done.

    Parameters:
        command: what starts one worker.
        processes: how many.
    """

    def __init__(self, command: Sequence[str], processes: int) -> None:
        self._command = command
        self._places = [_Place() for _ in range(processes)]
        self._events: SimpleQueue[int | _Place] = SimpleQueue()
        """Signals that came, and places whose process has ended."""
        self._wakeups = Wakeups()
        self._told: set[int] = set()
        self._exit_code = 0

    def run(self) -> int:
        """Run until no worker is left; returns 0, or the code of a worker that could not work or did not end well."""
        self._wakeups.take_signals(self._handle)
        for place in self._places:
            self._start(place)
        while any(place.process is not None or place.due is not None for place in self._places):
            event = self._next_event()
            if isinstance(event, _Place):
                self._ended(event)
            elif event is not None:
                self._tell_all(event)
            self._start_due()
        return self._exit_code

    def _handle(self, number: int, _: Any) -> None:
        self._happened(number)

    def _happened(self, event: int | _Place) -> None:
        self._events.put(event)
        self._wakeups.wake()

    def _next_event(self) -> int | _Place | None:
        """What happens next; None when it is time to start a worker."""
        while True:
            with suppress(Empty):
                return self._events.get_nowait()
            seconds = (
                min((place.due for place in self._places if place.due is not None), default=inf) - time.monotonic()
            )
            if seconds <= 0:
                return None
            self._wakeups.sleep(None if seconds == inf else seconds)

    def _start(self, place: _Place) -> None:
        place.due, place.started = None, time.monotonic()
        place.process = subprocess.Popen(self._command, stdin=subprocess.PIPE, process_group=0)
        threading.Thread(target=self._watch, args=(place, place.process), daemon=True).start()

    def _watch(self, place: _Place, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._happened(place)

    def _start_due(self) -> None:
        for place in self._places:
            if place.due is not None and place.due <= time.monotonic():
                self._start(place)

    def _tell_all(self, number: int) -> None:
        self._told.add(number)
        for place in self._places:
            place.due = None
            if place.process is not None:
                place.process.send_signal(number)

    def _ended(self, place: _Place) -> None:
        process, place.process = place.process, None
        assert process is not None
        if process.stdin is not None:
            process.stdin.close()
        code = process.returncode
        # One that had not come so far as to listen for signals yet was ended by the signal itself, which is as good.
        if code == 0 or -code in self._told:
            return
        if self._told:
            self._exit_code = max(self._exit_code, 1)
        elif code == CannotWork.exit_code:
            self._exit_code = code
            self._tell_all(signal.SIGTERM)
        else:
            self._start_later(place, process)

    def _start_later(self, place: _Place, process: subprocess.Popen[bytes]) -> None:
        now = time.monotonic()
        if now - place.started >= HEALTHY_SECONDS:
            place.pause_seconds = FIRST_PAUSE_SECONDS
        place.due = now + place.pause_seconds
        code = process.returncode
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        sys.stderr.write(
            f"bgrs worker: process {process.pid} ended {how}; another one starts in {place.pause_seconds:g} s\n"
        )
        sys.stderr.flush()
        place.pause_seconds = min(place.pause_seconds * 2, LONGEST_PAUSE_SECONDS)
