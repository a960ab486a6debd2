"""What the processes of one host tell each other of themselves: each writes a line into the file that it holds locked.

So any process, and the command `bgrs status`, can say of all of them how much runs, how much is stuck and how many
leases were lost, though these are known to each alone. Whoever dies is counted no more: nobody holds its lock.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields

from ..protocol.health import Figures
from .presence import Presence

_NAMES = tuple(each.name for each in fields(Figures))


class HostFigures:
    """The figures of this process, and of all of the host together.

    Parameters:
        presence: this process's lock file, and a look at the others'.
        own: this process's figures; answers at once.
    """

    def __init__(self, presence: Presence, own: Callable[[], Figures]) -> None:
        self._presence = presence
        self._own = own
        self._told = ""
        self._others = Figures()

    def tell(self) -> None:
        """Let the others know, where something has changed. Called every second."""
        words = dump(self._own())
        if words != self._told:
            self._presence.tell(words)
            self._told = words

    def total(self) -> Figures:
        """Of all processes of this host. Looks at the folder of their locks."""
        self._others = total_of(self._presence)
        return self.last_known()

    def last_known(self) -> Figures:
        """The same, the others as they were at the last look; answers at once."""
        return self._own() + self._others


def total_of(presence: Presence) -> Figures:
    """The figures of all that live on this host, but for the asking process's own."""
    total = Figures()
    for words in presence.told():
        total += load(words)
    return total


def dump(figures: Figures) -> str:
    """As a line of text."""
    return json.dumps({name: getattr(figures, name) for name in _NAMES})


def load(words: str) -> Figures:
    """Of a line of text. One that is not there yet, or of another version, says nothing."""
    with suppress(ValueError, TypeError, AttributeError):
        found = json.loads(words)
        return Figures(**{name: int(found.get(name, 0)) for name in _NAMES})
    return Figures()
