"""Looks at a store from a process of its own: the same figures as the health route gives, and the advice beside them.

The store is not opened as servers do: nothing is made, no older one is upgraded. What it writes is the probe alone.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass

from ..advice import Advice
from ..bodies import make_bodies
from ..errors import StorageError
from ..existing import check_existing
from ..pending import Pending
from ..protocol.health import Figures, Health
from ..service.figures import total_of
from ..service.health import examine, no_answer
from ..service.presence import Presence
from ..settings import Settings
from ..stores import make_store
from ..stores.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What was seen of one store."""

    health: Health
    advice: tuple[Advice, ...] = ()


def look(settings: Settings, timeout_seconds: float) -> Sight:
    """Look at the store of these settings.

    Parameters:
        timeout_seconds: how long it may take to answer; after that it counts as unavailable.

    Raises:
        SettingsError: there is no such store.
    """
    store = make_store(settings)
    check_existing(store)
    # Of the folder that the store's processes have their locks in; this one takes none.
    host = total_of(Presence(os.path.join(settings.data_dir, "workers"), ""))
    seen: Pending[Sight] = Pending()
    alarm = threading.Timer(timeout_seconds, lambda: seen.set(Sight(health=no_answer(host))))
    alarm.daemon = True
    alarm.start()
    threading.Thread(target=_look, args=(settings, store, host, seen), name="bgrs-status", daemon=True).start()
    sight = seen.wait()
    alarm.cancel()
    return sight


def _look(settings: Settings, store: Store, host: Figures, seen: Pending[Sight]) -> None:
    try:
        try:
            sight = _see(settings, store, host)
        finally:
            store.close()
    except Exception as error:  # noqa: BLE001  # it is raised where the command waits
        seen.fail(error)
    else:
        seen.set(sight)


def _see(settings: Settings, store: Store, host: Figures) -> Sight:
    bodies = make_bodies(settings)

    def probe() -> None:
        with store.transaction() as transaction:
            transaction.probe([time.time()])

    health = examine(read=store.backlog, write=probe, check_room=bodies.check_room, host=host)
    return Sight(health=health, advice=(*_advice(store), *bodies.advice()))


def _advice(store: Store) -> tuple[Advice, ...]:
    try:
        return tuple(store.advice())
    except StorageError:
        # Why it cannot be used stands in the health.
        return ()
