"""The machine: its processors, a process's memory, and the words that describe both without naming the machine."""

from __future__ import annotations

import os
import platform
import re
import sqlite3
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

MIB = 1024 * 1024


def cores() -> list[int]:
    """The processors that this process may use."""
    return sorted(os.sched_getaffinity(0))


def stay_on_last_core() -> None:
    """Keep this process, which makes the load, on one processor, so that the server has the others."""
    available = cores()
    if len(available) > 1:
        os.sched_setaffinity(0, {available[-1]})


def use_all_cores() -> None:
    """Let this process, started by one that keeps to a processor, use all of them."""
    # The kernel takes those of the list that there are, and that this process may use.
    os.sched_setaffinity(0, range(os.cpu_count() or 1))


def memory_mib(pid: int | str, field: str) -> float:
    """A field of a process's memory in MiB: `VmRSS` what it has now, `VmHWM` the most it had since the last reset."""
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc does not say {field}")
    return int(found[1]) / 1024


def reset_peak_memory(pid: int | str) -> None:
    """Let `VmHWM` begin anew at what the process has now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def file_system_of(folder: str) -> str:
    """The kind of file system of a folder."""
    mounts = [line.split(" ")[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    path = os.path.realpath(folder)
    inside = [(point, kind) for point, kind in mounts if path == point or path.startswith(point.rstrip("/") + "/")]
    return max(inside, key=lambda mount: len(mount[0]))[1]


def described() -> str:
    """Python, the versions that matter, and the number of processors."""
    packages = ("uvicorn", "uvloop", "httptools", "starlette", "sqlalchemy", "cryptography")
    versions = ", ".join(f"{name} {_version(name)}" for name in packages)
    return f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {versions}; {len(cores())} processors"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
