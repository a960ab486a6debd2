"""The application's side: what a handler may say and ask while it runs in the background.

All functions are no-ops in a foreground call. They work from async code, from sync endpoints in a thread pool, and
from WSGI, because the run travels in a context variable that all of these copy. Nothing here writes: a `Run` hands
what was reported to its process's reporter, which writes once a second, however often a handler reports.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextvars import ContextVar
from typing import TypeVar

from .models import Item

T = TypeVar("T")

MAX_ITEMS = 1_000
MAX_NOTES = 10_000


class Run:
    """One background request while it runs in this process. Safe for use from several threads.

    Parameters:
        rid: its id.
        attempt: 1 for the first start, 2 for the one after a worker's death or a retry.
        method, name: as in its record.
        changed: called, from the reporting thread, when there is something new to write.
    """

    __slots__ = (
        "_cancel_seen", "_cancelled", "_changed", "_dropped_notes", "_interrupted", "_items", "_items_changed", "_lock",
        "_message",
        "_note_count", "_notes", "_progress", "_reported", "attempt", "dirty", "method", "name", "rid",
    )  # fmt: skip

    def __init__(self, *, rid: str, attempt: int, method: str, name: str, changed: Callable[[Run], None]) -> None:
        self.rid = rid
        self.attempt = attempt
        self.method = method
        self.name = name
        self._changed = changed
        self._lock = threading.Lock()
        self._progress: float | None = None
        self._reported = False
        self._message: str | None = None
        self._items: dict[str, Item] = {}
        self._items_changed = False
        self._notes: list[tuple[float, str]] = []
        self._note_count = 0
        self._dropped_notes = 0
        self._cancelled = False
        self._cancel_seen = False
        self._interrupted = False
        self.dirty = False
        """Whether it stands in the reporter's list; the reporter's own mark."""

    @property
    def progress(self) -> float | None:
        """Percent, 0 to 100, as last reported or derived."""
        return self._progress

    @property
    def message(self) -> str | None:
        """The message last reported."""
        return self._message

    @property
    def items(self) -> tuple[Item, ...]:
        """All items, in the order of their first report."""
        with self._lock:
            return tuple(self._items.values())

    @property
    def cancel_seen(self) -> bool:
        """Whether the application was told that it should stop: it asked `cancelled()` and got True."""
        return self._cancel_seen

    @property
    def is_cancelled(self) -> bool:
        """Whether cancellation was asked for. Asking here does not count as the application's knowing."""
        return self._cancelled

    def ask_cancelled(self) -> bool:
        """Whether the application should stop, asked by it: someone cancelled, or this process must stop the work."""
        should_stop = self._cancelled or self._interrupted
        if should_stop:
            self._cancel_seen = True
        return should_stop

    def cancel(self) -> None:
        """Someone asked for cancellation: tell the application, from now on, that it should stop."""
        self._cancelled = True

    def interrupt(self) -> None:
        """This process must stop the work, though nobody cancelled it: tell the application the same."""
        self._interrupted = True

    def report(self, percent: float, message: str | None = None) -> None:
        """Record what the application says of its progress."""
        if not math.isfinite(percent):
            raise ValueError(f"report_progress: percent must be a number from 0 to 100, not {percent!r}")
        with self._lock:
            self._progress = min(100.0, max(0.0, float(percent)))
            self._reported = True
            if message is not None and message != self._message:
                self._message = message
                self._append(message)
        self._changed(self)

    def derive(self, percent: float) -> None:
        """Record progress that was derived from the bytes sent; the application's own word goes before it."""
        if self._reported:
            return
        self._progress = min(100.0, max(0.0, percent))
        self._changed(self)

    def report_item(self, name: str, state: str, message: str | None = None) -> None:
        """Record the state of one item; beyond 1,000 items new names are ignored."""
        with self._lock:
            if name in self._items or len(self._items) < MAX_ITEMS:
                self._items[name] = Item(name=name, state=state, message=message)
                self._items_changed = True
        self._changed(self)

    def note(self, text: str) -> None:
        """Add a detail."""
        with self._lock:
            self._append(text)
        self._changed(self)

    def _append(self, text: str) -> None:
        if self._note_count < MAX_NOTES:
            self._notes.append((time.time(), text))
            self._note_count += 1
        else:
            self._dropped_notes += 1

    def take_notes(self) -> list[tuple[float, str]]:
        """The details not yet written, each with its time; they are then the caller's to write."""
        with self._lock:
            notes, self._notes = self._notes, []
            if self._dropped_notes:
                notes.append((time.time(), f"{self._dropped_notes} further details were dropped (limit {MAX_NOTES})"))
                self._dropped_notes = 0
            return notes

    def put_back_notes(self, notes: list[tuple[float, str]]) -> None:
        """Return details that could not be written, to be taken again before newer ones."""
        with self._lock:
            self._notes[:0] = notes

    def take_items(self) -> tuple[Item, ...] | None:
        """All items if one changed since they were last taken, else None."""
        with self._lock:
            if not self._items_changed:
                return None
            self._items_changed = False
            return tuple(self._items.values())


current_run: ContextVar[Run | None] = ContextVar("bgrs_middleware_run", default=None)
"""The run that this code belongs to. A replay sets it in a context of its own."""


def current_request() -> Run | None:
    """Return the background request that this code runs in: its `rid`, `attempt`, `method`, `name`.

    None in a foreground call.
    """
    return current_run.get()


def cancelled() -> bool:
    """Tell whether someone asked to cancel this background request; False in a foreground call."""
    run = current_run.get()
    return run is not None and run.ask_cancelled()


def report_progress(percent: float, message: str | None = None) -> None:
    """Say how far the work is.

    Parameters:
        percent: 0 to 100; what is outside is taken as the nearer end.
        message: what is being done now; a new message also becomes a line of the details.

    Raises:
        ValueError: `percent` is not a finite number.
    """
    run = current_run.get()
    if run is not None:
        run.report(percent, message)


def report_item(name: str, state: str, message: str | None = None) -> None:
    """Say how one item of the work stands; a second report of the same name replaces the first.

    Parameters:
        name: which item.
        state: free text, such as "running", "done", "failed".
        message: anything more to say of it.
    """
    run = current_run.get()
    if run is not None:
        run.report_item(name, state, message)


def track(iterable: Iterable[T], message: str | None = None, *, total: int | None = None) -> Iterator[T]:
    """Yield the elements of `iterable`, reporting progress after each.

    Parameters:
        iterable: what to go through.
        message: reported beside the progress.
        total: how many there are; taken from `len()` where it is left out. Unknown: the elements are only passed on.
    """
    run = current_run.get()
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    if run is None or not total:
        yield from iterable
        return
    run.report(0.0, message)
    for count, element in enumerate(iterable, start=1):
        yield element
        run.report(100.0 * count / total)
