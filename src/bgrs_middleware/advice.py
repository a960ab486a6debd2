"""Advice: what is not as safe as it could be where data live, in words, and what to do about it.

A check is a small function that returns advice or None. It changes nothing, and what it cannot find out it passes over:
no check may keep a server from its start. The advice names paths: it is for the log and for `bgrs status`, never for a
client.
"""

from __future__ import annotations

import logging
import os
import re
import shlex
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

NETWORK_FILE_SYSTEMS = frozenset(
    {
        *("9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs"),
        *("nfs4", "orangefs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf"),
        *("fuse.ceph", "fuse.ceph-fuse", "fuse.curlftpfs", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs"),
        *("fuse.nfs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs"),
    }
)
"""As the kernel names them: the files are on another machine."""

logger = logging.getLogger("bgrs_middleware.checks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One piece of advice. `level` is logging's: WARNING where data are in danger, INFO where one should know."""

    text: str
    level: int = logging.WARNING


Check = Callable[[], Advice | None]


def gathered(checks: Iterable[Check]) -> list[Advice]:
    """What the checks say. One that fails says nothing, and is told at level DEBUG."""
    found: list[Advice] = []
    for check in checks:
        try:
            advice = check()
        except Exception:
            # Whatever it is: a check is no reason not to start.
            logger.debug("A check could not be made.", exc_info=True)
        else:
            found += [] if advice is None else [advice]
    return found


def log_all(found: Iterable[Advice]) -> None:
    """Log it."""
    for advice in found:
        logger.log(advice.level, "%s", advice.text)


def open_to_others(path: Path) -> Advice | None:
    """Whether every user of this machine can read or change a file, or what lies in a folder.

    Raises:
        OSError: nobody can tell.
    """
    mode = path.stat().st_mode
    can = [word for bit, word in ((stat.S_IROTH, "read"), (stat.S_IWOTH, "change")) if mode & bit]
    if not can or not all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents):
        return None
    kind = "folder" if stat.S_ISDIR(mode) else "file"
    name = shlex.quote(str(path))
    return Advice(
        text=f"Every user of this machine can {' and '.join(can)} the {kind} {name}, which holds requests and "
        f"responses. If that is not meant, run: chmod o-rwx {name}"
    )


def network_file_system(path: Path, mounts: str | None = None) -> str | None:
    """The kind of network file system that a path lies on; None where it lies on none, or nobody can tell.

    Parameters:
        mounts: the text of Linux' `mountinfo` (proc(5)). None: of this process.

    Raises:
        OSError: there is no such text here.
    """
    text = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape") if mounts is None else mounts
    real = Path(os.path.realpath(path))
    kind, depth = "", -1
    for line in text.splitlines():
        left, found, right = line.partition(" - ")
        fields = left.split(" ")
        if not found or len(fields) < 5:
            continue
        point = Path(_unescaped(fields[4]))
        # Of several on one point, the last one hides the others.
        if (real == point or point in real.parents) and len(point.parts) >= depth:
            kind, depth = right.split(" ")[0], len(point.parts)
    return kind if kind in NETWORK_FILE_SYSTEMS else None


def _unescaped(text: str) -> str:
    """The kernel writes blanks and backslashes as three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
