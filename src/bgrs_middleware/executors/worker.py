"""The worker process's executor: as the embedded one, and woken when another process of this host queues something."""

from __future__ import annotations

from .base import Host
from .doorbell import Doorbell
from .embedded import EmbeddedExecutor


class WorkerExecutor(EmbeddedExecutor):
    """Claims for its own process whenever a slot is free and there may be queued work; listens to a bell.

    Parameters:
        folder: where the workers of this host have their bells; `doorbell.folder_of_bells`.
    """

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._bell = Doorbell(folder, self.notify)

    def start(self, host: Host) -> None:
        super().start(host)
        self._bell.open()

    def stop(self) -> None:
        super().stop()
        self._bell.close()
