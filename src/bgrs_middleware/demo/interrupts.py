"""Ctrl-C and SIGTERM, but only where an interruption leaves nothing behind.

While servers start and stop and the temporary folder comes and goes, a signal is only remembered; inside `allowed()` it
raises `KeyboardInterrupt`, a remembered one at once.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """The signals of this process while the block runs. For the main thread."""

    def __init__(self) -> None:
        self._allowed = False
        self._pending = False
        self._before: list[tuple[signal.Signals, Any]] = []

    def __enter__(self) -> Interrupts:
        self._before = [(each, signal.signal(each, self._handle)) for each in SIGNALS]
        return self

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before:
            signal.signal(each, handler)

    @contextlib.contextmanager
    def allowed(self) -> Iterator[None]:
        """Let a signal interrupt the block.

        Raises:
            KeyboardInterrupt: a signal came.
        """
        self._allowed = True
        try:
            if self._pending:
                raise KeyboardInterrupt
            yield
        finally:
            self._allowed = False

    def _handle(self, _signal: int, _frame: FrameType | None) -> None:
        self._pending = True
        if self._allowed:
            # Once: a second Ctrl-C must not interrupt the cleaning up after the first.
            self._allowed = False
            raise KeyboardInterrupt
