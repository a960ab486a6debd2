"""Opens the stores that a purge is about, and purges one after the other."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable

from ..bodies import make_bodies
from ..existing import check_existing
from ..models import Status
from ..service.purge import purge
from ..settings import Settings
from ..stores import make_store


def purge_all(
    chosen: Iterable[Settings], *, older_than_days: float | None, statuses: frozenset[Status], dry_run: bool
) -> Counter[Status]:
    """Purge the stores of these settings.

    Parameters:
        older_than_days, statuses, dry_run: see `service.purge.purge`.

    Returns:
        How many were removed, or would be, of each final state.

    Raises:
        SettingsError: there is no such store.
        StorageError: it cannot be used just now.
    """
    counts: Counter[Status] = Counter()
    for settings in chosen:
        store, bodies = make_store(settings), make_bodies(settings)
        check_existing(store)
        try:
            store.open()
            bodies.open()
            counts += purge(
                store, bodies, now=time.time(), older_than_days=older_than_days, statuses=statuses, dry_run=dry_run
            )
        finally:
            store.close()
    return counts
