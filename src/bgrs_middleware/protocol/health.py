"""Whether background requests can be accepted and run just now: the figures, what is wrong, and the document of it.

Counts and times alone, no id, no owner, no path: whoever can reach the server may read it. `store` is what all who
share the store have in common, `host` the sum of the processes of one host that share a `data_dir`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class StoreState(StrEnum):
    """What can be done with the store just now."""

    OK = "ok"
    UNWRITABLE = "unwritable"
    """It can be read; nothing can be accepted."""
    UNAVAILABLE = "unavailable"
    """It cannot be opened or read, or does not answer in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What processes say of themselves.

    Parameters:
        processes: how many they are.
        slots: how many requests they run at a time.
        running: how many they hold.
        stuck: how many applications have not returned though the time limit of their request is over. Each keeps its
            slot.
        lease_losses: how many claims they could not keep, since each of them started.
    """

    processes: int = 0
    slots: int = 0
    running: int = 0
    stuck: int = 0
    lease_losses: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            processes=self.processes + other.processes,
            slots=self.slots + other.slots,
            running=self.running + other.running,
            stuck=self.stuck + other.stuck,
            lease_losses=self.lease_losses + other.lease_losses,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One look at it. What the store would have to tell is None where it cannot be read.

    Parameters:
        state: of the store; `reason` says in a sentence for anybody why it is not OK.
        queued, running: how many requests, of all who share the store.
        oldest_queued_seconds: how long the one that waits longest has waited. None: none waits.
        host: the processes of this host.
    """

    state: StoreState
    reason: str | None = None
    queued: int | None = None
    oldest_queued_seconds: float | None = None
    running: int | None = None
    host: Figures

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why nothing can be accepted or run, one sentence each. Empty: all is well.

        A long queue is no reason: it is work that waits, and taking a process away would not shorten it. Nor is one
        stuck slot among others.
        """
        reasons: list[str] = []
        if self.state is not StoreState.OK:
            reasons.append(self.reason or "The store cannot be used.")
        if self.host.slots and self.host.stuck >= self.host.slots:
            reasons.append("Every slot is held by an application that does not return.")
        return tuple(reasons)


def health_document(health: Health) -> dict[str, Any]:
    """Return the health document: numbers are numbers, null is what is not known or not there."""
    seconds = health.oldest_queued_seconds
    return {
        "status": "fail" if health.reasons else "pass",
        "reasons": list(health.reasons),
        "store": {
            "state": health.state.value,
            "queued": health.queued,
            "oldest_queued_seconds": None if seconds is None else round(seconds, 1),
            "running": health.running,
        },
        "host": {
            "processes": health.host.processes,
            "slots": health.host.slots,
            "running": health.host.running,
            "stuck": health.host.stuck,
            "lease_losses": health.host.lease_losses,
        },
    }
