"""Steps the wall clock of one process and its children: what root does to a host, without being root.

Python imports a module of this name at its start, where it finds one. The eight bytes of the file CLOCK_STEP are the
offset in seconds, a double, that is added to what `time.time` and `time.time_ns` say; the file may change at any time.
The clocks that count since the start of the host are what they are: nobody can set those.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

OFFSET = struct.Struct("d")


def _step_clock(file: Path) -> None:
    with file.open("r+b") as opened:
        memory = mmap.mmap(opened.fileno(), OFFSET.size)
    real = time.time

    def stepped() -> float:
        offset: float = OFFSET.unpack_from(memory)[0]
        return real() + offset

    time.time = stepped
    time.time_ns = lambda: int(stepped() * 1_000_000_000)


if "CLOCK_STEP" in os.environ:
    _step_clock(Path(os.environ["CLOCK_STEP"]))
