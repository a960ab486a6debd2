"""Where what is too large for a row lives: one interface (`base.py`), one file per kind, and the choice among them.

`make_bodies` reads the setting `bodies` and nothing else decides; making one touches no disk.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..errors import SettingsError
from .base import Bodies
from .files import FileBodies
from .memory import MemoryBodies

if TYPE_CHECKING:
    from ..settings import Settings

__all__ = ["Bodies", "FileBodies", "MemoryBodies", "make_bodies"]

_FILE_URL = "file://"


def make_bodies(settings: Settings) -> Bodies:
    """Return the bodies that the settings ask for. Nothing is opened or created by it.

    None means files in `data_dir`, or memory where the store is in memory.

    Raises:
        SettingsError: `bodies` is an object of another class.
    """
    bodies: Any = settings.bodies
    if bodies is None:
        if _is_in_memory(settings.store):
            return MemoryBodies()
        return FileBodies(os.path.join(settings.data_dir, "bodies"), settings.min_free_bytes)
    if isinstance(bodies, str):
        return FileBodies(_folder_of(bodies), settings.min_free_bytes)
    if not isinstance(bodies, Bodies):
        raise SettingsError(f"bodies: takes an object of the class Bodies, not {type(bodies).__name__}")
    return bodies


def _is_in_memory(store: object) -> bool:
    if isinstance(store, str):
        return store.startswith("memory:")
    return getattr(store, "shared_between_processes", True) is False


def _folder_of(text: str) -> str:
    """The folder that a path or a `file://` URL names; the settings let nothing else through."""
    return unquote(text.removeprefix(_FILE_URL)) if text.startswith(_FILE_URL) else text
