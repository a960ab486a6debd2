"""Executors: who runs what is queued. `base.py` is the interface; one file per kind."""

from __future__ import annotations

from ..errors import SettingsError
from ..settings import Settings
from .base import Executor


def make_executor(settings: Settings) -> Executor:
    """Return the executor that the setting `executor` names.

    Raises:
        SettingsError: there is none of that name.
    """
    from .doorbell import folder_of_bells
    from .embedded import EmbeddedExecutor
    from .queue_only import QueueOnlyExecutor

    if isinstance(settings.executor, Executor):
        return settings.executor
    if settings.executor == "embedded":
        return EmbeddedExecutor()
    if settings.executor == "worker":
        return QueueOnlyExecutor(folder_of_bells(settings))
    raise SettingsError(f'executor: "embedded", "worker" or an Executor object, not {settings.executor!r}')
