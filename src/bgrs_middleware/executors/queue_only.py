"""`executor="worker"`, the web process's half: it accepts and answers, and leaves the running to worker processes."""

from __future__ import annotations

from .base import Executor, Host


class QueueOnlyExecutor(Executor):
    """Runs nothing here: what is queued waits in the store until a worker claims it."""

    def start(self, host: Host) -> None:
        """Nothing to begin."""

    def notify(self, rids: tuple[str, ...] = ()) -> None:
        """Nothing to do: workers look into the store."""

    def stop(self) -> None:
        """Nothing to end."""
