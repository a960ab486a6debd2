"""`executor="worker"`, the web process's half: it accepts and answers, and leaves the running to worker processes."""

from __future__ import annotations

from .base import Executor, Host
from .doorbell import Ringer


class QueueOnlyExecutor(Executor):
    """Runs nothing here: what is queued waits in the store until a worker claims it.

    Parameters:
        folder: where the workers of this host have their bells; `doorbell.folder_of_bells`.
    """

    def __init__(self, folder: str) -> None:
        self._ringer = Ringer(folder)

    def start(self, host: Host) -> None:
        """Nothing to begin."""

    def notify(self, rids: tuple[str, ...] = ()) -> None:
        """Wake the workers of this host; those of others look into the store once a second."""
        self._ringer.ring()

    def stop(self) -> None:
        self._ringer.close()
