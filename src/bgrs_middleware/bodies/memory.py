"""Bodies in the memory of this process: for the memory store, so that both forget together.

Everything else is as on disk: a body is complete or absent, and one that is being read stays readable.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..errors import BodyError, BodyNotFound
from .base import Bodies, BodyReader, BodyWriter
from .names import checked_name


class MemoryBodies(Bodies):
    """Bodies in memory. There is no floor: `min_free_bytes` speaks of disks."""

    def __init__(self) -> None:
        self._sealed: dict[str, bytearray] = {}
        self._sealed_at: dict[str, float] = {}
        self._owner: str | None = None

    def open(self) -> None:
        """Nothing is needed."""

    def create(self, name: str) -> BodyWriter:
        return _MemoryWriter(self, checked_name(name))

    def read(self, name: str) -> BodyReader:
        data = self._sealed.get(checked_name(name))
        if data is None:
            raise BodyNotFound("The body is not there any more.")
        return _MemoryReader(data)

    def delete(self, name: str) -> None:
        self._sealed.pop(checked_name(name), None)
        self._sealed_at.pop(name, None)

    def check_room(self) -> None:
        """There is always room, or a `MemoryError`."""

    def belong_to(self, identity: str) -> bool:
        self._owner = self._owner or identity
        return self._owner == identity

    def names(self, older_than_seconds: float, now: float) -> Iterator[str]:
        return iter([name for name, at in list(self._sealed_at.items()) if at < now - older_than_seconds])


class _MemoryWriter(BodyWriter):
    def __init__(self, bodies: MemoryBodies, name: str) -> None:
        self._bodies = bodies
        self._name = name
        self._data: bytearray | None = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self._open_data().extend(data)

    def seal(self) -> None:
        # Nobody changes it any more, so it is not copied.
        self._bodies._sealed[self._name] = self._open_data()
        self._bodies._sealed_at[self._name] = time.time()
        self._data = None

    def discard(self) -> None:
        self._data = None

    def _open_data(self) -> bytearray:
        if self._data is None:
            raise BodyError("This body is sealed or discarded already.")
        return self._data


class _MemoryReader(BodyReader):
    def __init__(self, data: bytearray) -> None:
        self._data: bytearray | None = data
        self.size = len(data)

    def read(self, offset: int, length: int) -> bytes:
        data = self._data
        if data is None:
            raise BodyError("This body is closed already.")
        return bytes(memoryview(data)[offset : offset + length])

    def close(self) -> None:
        self._data = None
