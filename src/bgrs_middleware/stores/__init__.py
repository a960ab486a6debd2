"""Stores: where records and details live. `make_store` makes the one that the settings ask for.

The database's libraries are imported only when a store that needs them is made.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SettingsError

if TYPE_CHECKING:
    from ..settings import Settings
    from .base import Store

SQLITE_FILE = "bgrs.sqlite3"


def make_store(settings: Settings) -> Store:
    """Return the store that `settings.store` names. Opens nothing.

    None means SQLite in `data_dir`; a text is a URL of SQLAlchemy's kind, or `memory://`; an engine of SQLAlchemy or a
    `Store` is taken as it is.

    Raises:
        SettingsError: it is none of these, or the database's driver is not installed.
    """
    from .base import Store

    wanted = settings.store
    if isinstance(wanted, Store):
        return wanted
    if wanted == "memory://":
        from .memory import MemoryStore

        return MemoryStore()
    from sqlalchemy import URL, Engine

    from .sql import SqlStore

    if wanted is None:
        path = Path(settings.data_dir).absolute() / SQLITE_FILE
        return SqlStore(URL.create("sqlite", database=str(path)))
    if isinstance(wanted, (str, Engine)):
        return SqlStore(wanted)
    raise SettingsError(
        "store: takes a database URL such as 'postgresql://user@host/name', 'memory://', an SQLAlchemy Engine or a "
        f"bgrs_middleware Store, not {type(wanted).__name__}"
    )
