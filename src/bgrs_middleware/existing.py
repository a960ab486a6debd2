"""Which stores a command is about: those of an application, or the one that options and `BGRS_` variables name.

A command that looks after a store makes none: a wrong path is an error, not an empty store. What is heavy is imported
when a command runs.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .errors import SettingsError
from .settings import Settings
from .stores.base import Store

_OPTIONS = ("data_dir", "store", "bodies")


def add_place(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the store is."""
    where = "Where the store is: an application whose middleware has the settings, or options, or BGRS_ variables."
    place = parser.add_argument_group("store", where)
    place.add_argument("application", metavar="module:application", nargs="?", help="the application")
    place.add_argument("--app-dir", default=".", help="the folder that the module is in (default: this one)")
    place.add_argument("--data-dir", help="the setting data_dir")
    place.add_argument("--store", help="the setting store: the URL of a database")
    place.add_argument("--bodies", help="the setting bodies: a folder or its file:// URL")


def settings_of(arguments: argparse.Namespace) -> list[Settings]:
    """The settings that these options mean; of an application, one for each of its stores.

    Raises:
        SettingsError: there are none, or a value is not accepted.
    """
    options: Mapping[str, Any] = {name: value for name in _OPTIONS if (value := getattr(arguments, name))}
    application: str | None = arguments.application
    if application is None:
        return [replace(Settings.from_env(), **options)]
    if options:
        raise SettingsError(f"{', '.join(options)}: given beside an application, which has settings of its own")
    from .worker.errors import CannotWork
    from .worker.finding import choose, load_application, walk

    try:
        loaded = load_application(application, os.path.abspath(arguments.app_dir))
        return [found.door.settings for found in choose(loaded, application, walk(loaded))]
    except CannotWork as error:
        raise SettingsError(str(error)) from error


def check_existing(store: Store) -> None:
    """Make sure that there is such a store, and that another process may use it.

    Raises:
        SettingsError: there is not.
    """
    from .stores.sql import SqlStore

    if not store.shared_between_processes:
        raise SettingsError("store: a memory store is seen by its own process alone")
    if isinstance(store, SqlStore) and store.file is not None and not store.file.exists():
        raise SettingsError(f"there is no store at {store.file}")
