"""Which stores a purge is about, and that it creates none: a wrong path is an error, not an empty store."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..bodies import make_bodies
from ..errors import SettingsError
from ..models import Status
from ..service.purge import purge
from ..settings import Settings
from ..stores import make_store
from ..stores.base import Store
from ..stores.sql import SqlStore


def open_stores(
    application: str | None,
    *,
    app_dir: str,
    options: Mapping[str, Any],
    older_than_days: float | None,
    statuses: frozenset[Status],
    dry_run: bool,
) -> Counter[Status]:
    """Purge the stores of an application, or the one that options and `BGRS_` variables name.

    Parameters:
        application: "module:attribute", or None.
        app_dir: the folder that the module is in.
        options: settings by name; not beside an application.
        older_than_days, statuses, dry_run: see `service.purge.purge`.

    Returns:
        How many were removed, or would be, of each final state.

    Raises:
        SettingsError: there is no such store.
        StorageError: it cannot be used just now.
    """
    counts: Counter[Status] = Counter()
    for settings in _settings_of(application, app_dir, options):
        store, bodies = make_store(settings), make_bodies(settings)
        _check_existing(store)
        try:
            store.open()
            bodies.open()
            counts += purge(
                store, bodies, now=time.time(), older_than_days=older_than_days, statuses=statuses, dry_run=dry_run
            )
        finally:
            store.close()
    return counts


def _settings_of(application: str | None, app_dir: str, options: Mapping[str, Any]) -> list[Settings]:
    if application is None:
        return [replace(Settings.from_env(), **options)]
    if options:
        raise SettingsError(f"{', '.join(options)}: given beside an application, which has settings of its own")
    from ..worker.errors import CannotWork
    from ..worker.finding import choose, load_application, walk

    try:
        loaded = load_application(application, os.path.abspath(app_dir))
        return [found.door.settings for found in choose(loaded, application, walk(loaded))]
    except CannotWork as error:
        raise SettingsError(str(error)) from error


def _check_existing(store: Store) -> None:
    if not store.shared_between_processes:
        raise SettingsError("store: a memory store is seen by its own process alone")
    if isinstance(store, SqlStore) and store.file is not None and not store.file.exists():
        raise SettingsError(f"there is no store at {store.file}")
