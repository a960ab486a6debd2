"""The interface of an executor: who decides when a queued request is run, and in which process.

An executor gets ids and a `Host`, nothing else. Ids are hints: the claim in the store decides who runs what, so a
hint that is lost, late or repeated does no harm.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol


class Host(Protocol):
    """What an executor may ask of the process that it works in."""

    concurrency: int

    def claim_and_run(self, limit: int, on_claimed: Callable[[int], None], on_done: Callable[[], None]) -> None:
        """Claim up to `limit` queued requests and start them.

        Returns at once. `on_claimed(n)` is called once, from any thread, with the number that were claimed (0 where
        nothing is queued or the store cannot answer); `on_done()` once for each of them when its slot is free again.
        """


class Executor(ABC):
    """Runs queued requests, or lets others run them."""

    @abstractmethod
    def start(self, host: Host) -> None:
        """Begin to take work. Called once per process, before the first `notify`."""

    @abstractmethod
    def notify(self, rids: tuple[str, ...] = ()) -> None:
        """There may be queued work: these ids, or some that another process queued. From any thread."""

    @abstractmethod
    def stop(self) -> None:
        """Take no new work. Work that was started goes on."""
