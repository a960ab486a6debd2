"""Where what is too large for a row lives: one interface (`base.py`), one file per kind, and the choice among them.

`make_bodies` reads the setting `bodies` and nothing else decides; making one touches no disk.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ..errors import SettingsError
from .base import Bodies
from .files import FileBodies
from .memory import MemoryBodies

if TYPE_CHECKING:
    from ..settings import Settings

__all__ = ["Bodies", "FileBodies", "MemoryBodies", "make_bodies"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_FILE_URLS = ("file:///", "file://localhost/")
_TAKES = "bodies: takes a folder, a file:// URL, an object of the class Bodies, or nothing"


def make_bodies(settings: Settings) -> Bodies:
    """Return the bodies that the settings ask for. Nothing is opened or created by it.

    None means files in `data_dir`, or memory where the store is in memory.

    Raises:
        SettingsError: `bodies` is nothing of what it may be.
    """
    bodies: Any = settings.bodies
    if bodies is None:
        if _is_in_memory(settings.store):
            return MemoryBodies()
        return FileBodies(os.path.join(settings.data_dir, "bodies"), settings.min_free_bytes)
    if isinstance(bodies, Bodies):
        return bodies
    if not isinstance(bodies, str) or not bodies:
        raise SettingsError(f"{_TAKES}, not {bodies!r}")
    return FileBodies(_folder_of(bodies), settings.min_free_bytes)


def _is_in_memory(store: object) -> bool:
    if isinstance(store, str):
        return store.startswith("memory:")
    return getattr(store, "shared_between_processes", True) is False


def _folder_of(text: str) -> str:
    """The folder that a text names. A folder whose name looks like a URL is written with `./` before it."""
    if _URL.match(text) is None:
        return text
    for start in _FILE_URLS:
        if text.startswith(start):
            return "/" + unquote(text.removeprefix(start))
    # Of a URL only the scheme is shown: the rest may hold credentials.
    scheme = text.partition(":")[0]
    if scheme == "file":
        raise SettingsError(f"{_TAKES}; a file URL is written file:///folder/on/this/machine")
    raise SettingsError(f"{_TAKES}; object storage ({scheme}:) is not available in this version")
