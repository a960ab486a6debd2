"""The generated key: one file in `data_dir`, for users who set no `secret_keys`.

Made once, whole, by whichever process comes first; all others that start at the same time read that one. Its text can
be moved into `secret_keys` unchanged, as the last key, when a user wants keys of their own.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
from typing import Final

from .bodies.disk import disk_error, make_private_folder, sync_folder
from .errors import SettingsError, StoreUnavailable

KEY_FILE: Final = "secret.key"
_KEY = re.compile(rb"[0-9a-f]{64}\n?")
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def read_or_make_key(data_dir: str) -> str:
    """Return the key in `<data_dir>/secret.key`, 64 hex characters; make it where there is none.

    Raises:
        SettingsError: the file is not a key, is open to others, or cannot be read by this user.
        DiskFull, StoreUnavailable: it could not be read or made just now.
    """
    path = os.path.join(os.path.abspath(data_dir), KEY_FILE)
    try:
        return _read(path)
    except FileNotFoundError:
        _make(path)
    except OSError as error:
        raise disk_error("The key file could not be read", error, StoreUnavailable) from error
    try:
        return _read(path)
    except OSError as error:
        raise disk_error("The key file could not be read", error, StoreUnavailable) from error


def _read(path: str) -> str:
    try:
        fd = os.open(path, os.O_RDONLY)
    except PermissionError as error:
        raise SettingsError(
            f"data_dir: the key file {path} belongs to another user; run as that user, or set secret_keys"
        ) from error
    try:
        # Bits of the group are let be: Kubernetes adds them to every file when it mounts a volume with fsGroup.
        if os.fstat(fd).st_mode & stat.S_IRWXO:
            raise SettingsError(
                f"data_dir: the key file {path} is open to every user of this machine; if nobody can have read it, "
                f"run: chmod 600 {path}; otherwise set secret_keys, and remove it"
            )
        text = os.read(fd, 4096)
    finally:
        os.close(fd)
    if _KEY.fullmatch(text) is None:
        raise SettingsError(
            f"data_dir: the key file {path} does not hold a key (64 hex characters); restore it from a backup, or "
            "remove it: a new one is made, and what was waiting to be replayed cannot be opened any more"
        )
    return text.decode().strip()


def _make(path: str) -> None:
    """Make a key under its name, whole and flushed, unless another process was faster."""
    temporary = f"{path}.{secrets.token_hex(8)}.tmp"
    try:
        make_private_folder(os.path.dirname(path))
        try:
            _write(temporary, secrets.token_hex(32) + "\n")
            os.link(temporary, path)
        finally:
            _unlink(temporary)
        sync_folder(os.path.dirname(path))
    except FileExistsError:
        return
    except OSError as error:
        if error.errno in _NO_LINKS:
            raise SettingsError(
                f"data_dir: a key file cannot be made safely on the file system of {path} (it has no hard links); "
                "set secret_keys"
            ) from error
        raise disk_error("The key file could not be made", error, StoreUnavailable) from error


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.fchmod(fd, 0o600)
        rest = text.encode()
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)


def _unlink(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)
