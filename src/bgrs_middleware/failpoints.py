"""Moments at which a process can be told to die, wait or fail: how the tests of recovery hit what no luck would hit.

The environment variable `BGRS_FAILPOINTS` arms them, `sealed-before-finish=kill,before-renew=hold#3` for instance: a
failpoint, what happens there, and at which time that it is reached (without a number, the first). It is read once, when
this module is first imported, so a server that was started without it cannot be made to fail later.

Each failpoint is named here once and stands in the code once, as `if ARMED: reach(Failpoint.X)`. `ARMED` is a constant
of the importing module: unarmed, CPython loads it and jumps, two instructions and under 10 ns (measured: 3), and no
function is ever called. None of them is in the way of an ordinary request, and those of a commit are passed once for
all that it carries.
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Final

from .errors import SettingsError

VARIABLE: Final = "BGRS_FAILPOINTS"

HOLD_VARIABLE: Final = "BGRS_TEST_HOLD"
"""Names the file of `hold`: it is there from when the failpoint is reached, and who removes it lets the thread go."""

_HOLD_LOOK_SECONDS: Final = 0.01


class Failpoint(StrEnum):
    """Where a process can be made to fail. The values are the names in `BGRS_FAILPOINTS`."""

    ACCEPT_BEFORE_COMMIT = "accept-before-commit"
    """The rows of accepted requests are written and not committed: nobody was answered, nothing may be left."""

    ACCEPT_AFTER_COMMIT = "accept-after-commit"
    """The rows of accepted requests are on disk, and no 202 has left: each of them must still be run, once."""

    CLAIMED_BEFORE_START = "claimed-before-start"
    """The claim on a request is committed, and its application was not called yet."""

    BODY_PIECE_WRITTEN = "body-piece-written"
    """A piece of a body, a request's or a response's, is in its unfinished file. Reached after each piece."""

    ANSWERED_BEFORE_SEALED = "answered-before-sealed"
    """The last byte of the response has come from the application; nothing of it is complete on disk."""

    BODY_BEFORE_NAMED = "body-before-named"
    """A whole body is flushed to disk, under its temporary name."""

    SEALED_BEFORE_FINISH = "sealed-before-finish"
    """The response is whole, and on disk where it is large; the store does not know of it yet."""

    FINISH_BEFORE_COMMIT = "finish-before-commit"
    """The rows that end requests are written and not committed."""

    FINISHED_BEFORE_WIPED = "finished-before-wiped"
    """The end of a request is committed; the file with its request's body is still there."""

    SWEEP_ABANDONED_READ = "sweep-abandoned-read"
    """The sweeper has read which requests are abandoned, and decided nothing yet."""

    SWEEP_BEFORE_TAKEOVER = "sweep-before-takeover"
    """The sweeper is about to take over one request. Reached for each: the second time lies between two of them."""

    BEFORE_RENEW = "before-renew"
    """The heartbeat is about to renew the lease of one run of this process. Reached for each of them."""


class FailpointReached(RuntimeError):
    """What `raise` raises: an exception that the code around does not expect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Armed:
    """What happens at one failpoint, and at the how-manieth time; `times` counts from 1."""

    action: str
    at: int
    times: Iterator[int] = field(default_factory=lambda: count(1))


_ACTIONS: Final = ("kill", "hold", "raise")
_ENTRY = re.compile(r"(?P<name>[a-z-]+)=(?P<action>[a-z]+)(?:#(?P<at>[1-9][0-9]{0,8}))?", re.ASCII)


def parse(text: str) -> Mapping[Failpoint, _Armed]:
    """Read what `BGRS_FAILPOINTS` holds: entries with commas between, `name=action` or `name=action#time`.

    Parameters:
        text: empty or blank arms nothing. The actions: `kill` (SIGKILL to this process), `hold` (the thread waits, the
            others go on: see `HOLD_VARIABLE`), `raise` (an exception that nobody expects).

    Raises:
        SettingsError: an entry cannot be read, names no failpoint or no action, a failpoint is named twice, or there is
            a `hold` and no file for it.
    """
    plan: dict[Failpoint, _Armed] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        found = _ENTRY.fullmatch(entry)
        if found is None:
            raise SettingsError(f"{VARIABLE}: {entry!r} is not of the form name=action or name=action#time")
        if found["name"] not in list(Failpoint):
            raise SettingsError(f"{VARIABLE}: there is no failpoint {found['name']!r}, but {', '.join(Failpoint)}")
        if found["action"] not in _ACTIONS:
            raise SettingsError(f"{VARIABLE}: {found['action']!r} is not one of {', '.join(_ACTIONS)}")
        if found["action"] == "hold" and not os.environ.get(HOLD_VARIABLE):
            raise SettingsError(f"{VARIABLE}: {entry!r} needs a file to be named by {HOLD_VARIABLE}")
        point = Failpoint(found["name"])
        if point in plan:
            raise SettingsError(f"{VARIABLE}: {point} is named twice")
        plan[point] = _Armed(action=found["action"], at=int(found["at"] or 1))
    return MappingProxyType(plan)


_PLAN: Final = parse(os.environ.get(VARIABLE, ""))

ARMED: Final[bool] = bool(_PLAN)
"""Whether any failpoint does anything in this process. Asked before each `reach`."""


def reach(point: Failpoint) -> None:
    """Do what was asked for at this failpoint, if anything was. From any thread; only called where `ARMED`.

    Raises:
        FailpointReached: that was asked for.
    """
    armed = _PLAN.get(point)
    # `next` on a count is one step of the interpreter: no two threads get the same number.
    if armed is None or next(armed.times) != armed.at:
        return
    if armed.action == "raise":
        raise FailpointReached(f"the failpoint {point} was reached")
    if armed.action == "hold":
        _hold(Path(os.environ[HOLD_VARIABLE]))
        return
    os.kill(os.getpid(), signal.SIGKILL)


def _hold(file: Path) -> None:
    """Whoever wants to freeze the process here can choose a moment at which no other thread of it is in a commit."""
    file.touch()
    while file.exists():
        time.sleep(_HOLD_LOOK_SECONDS)
