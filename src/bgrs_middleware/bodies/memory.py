"""Bodies in the memory of this process: for the memory store, so that both forget together.

Everything else is as on disk: a body is complete or absent, and one that is being read stays readable.
"""

from __future__ import annotations

from ..errors import BodyError, BodyNotFound
from .base import Bodies, BodyReader, BodyWriter
from .names import checked_name


class MemoryBodies(Bodies):
    """Bodies in memory. There is no floor: `min_free_bytes` speaks of disks."""

    def __init__(self) -> None:
        self._sealed: dict[str, bytearray] = {}

    def open(self) -> None:
        """Nothing is needed."""

    def create(self, name: str) -> BodyWriter:
        return _MemoryWriter(self._sealed, checked_name(name))

    def read(self, name: str) -> BodyReader:
        data = self._sealed.get(checked_name(name))
        if data is None:
            raise BodyNotFound("The body is not there any more.")
        return _MemoryReader(data)

    def delete(self, name: str) -> None:
        self._sealed.pop(checked_name(name), None)

    def check_room(self) -> None:
        """There is always room, or a `MemoryError`."""


class _MemoryWriter(BodyWriter):
    def __init__(self, sealed: dict[str, bytearray], name: str) -> None:
        self._sealed = sealed
        self._name = name
        self._data: bytearray | None = bytearray()

    def write(self, data: bytes | memoryview) -> None:
        self._open_data().extend(data)

    def seal(self) -> None:
        # Nobody changes it any more, so it is not copied.
        self._sealed[self._name] = self._open_data()
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
