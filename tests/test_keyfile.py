"""The generated key file: made once, by whoever is first, for this user alone; an unsafe or broken one is refused."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bgrs_middleware.errors import DiskFull, SettingsError, StoreUnavailable
from bgrs_middleware.keyfile import read_or_make_key
from bgrs_middleware.sealing import Keyring, make_keyring
from bgrs_middleware.settings import Settings

RID = b"0123456789abcdef" * 2


def fail_with(number: int) -> Any:
    def fail(*_arguments: Any, **_options: Any) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_a_key_is_made_for_this_user_alone_and_kept(tmp_path: Path, umask: int) -> None:
    data_dir = tmp_path / "data"
    before = os.umask(umask)
    try:
        key = read_or_make_key(str(data_dir))
    finally:
        os.umask(before)
    assert len(bytes.fromhex(key)) == 32
    assert read_or_make_key(str(data_dir)) == key
    assert [path.name for path in data_dir.iterdir()] == ["secret.key"]
    assert stat.S_IMODE((data_dir / "secret.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_two_folders_have_two_keys(tmp_path: Path) -> None:
    assert read_or_make_key(str(tmp_path / "one")) != read_or_make_key(str(tmp_path / "two"))


def test_a_keyring_of_the_key_file_opens_after_a_restart(tmp_path: Path) -> None:
    settings = Settings(data_dir=str(tmp_path))
    assert make_keyring(settings).open(make_keyring(settings).seal(b"data", context=RID), context=RID) == b"data"


def test_the_text_of_the_key_file_can_be_moved_into_the_settings(tmp_path: Path) -> None:
    sealed = make_keyring(Settings(data_dir=str(tmp_path))).seal(b"from before", context=RID)
    text = (tmp_path / "secret.key").read_text().strip()
    assert Keyring(["a secret of my own", text]).open(sealed, context=RID) == b"from before"


MAKE_AT_ONCE = """
import sys
from bgrs_middleware.keyfile import read_or_make_key
print("ready", flush=True)
sys.stdin.readline()
print(read_or_make_key(sys.argv[1]))
"""


def test_processes_that_start_at_once_get_the_same_key(tmp_path: Path) -> None:
    data_dir = str(tmp_path / "data")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE_AT_ONCE, data_dir],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    keys = {process.communicate()[0] for process in processes}
    assert keys == {read_or_make_key(data_dir) + "\n"}
    assert os.listdir(data_dir) == ["secret.key"]


def test_one_that_is_slower_takes_the_key_of_the_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other process finishes between this one's look and its link."""
    link = os.link

    def slower(source: str, target: str) -> None:
        monkeypatch.setattr(os, "link", link)
        faster.append(read_or_make_key(str(tmp_path)))
        link(source, target)

    faster: list[str] = []
    monkeypatch.setattr(os, "link", slower)
    assert [read_or_make_key(str(tmp_path))] == faster
    assert os.listdir(tmp_path) == ["secret.key"]


def test_it_is_flushed_before_it_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, link = os.fsync, os.link

    def noted_fsync(fd: int) -> None:
        steps.append(Path(os.readlink(f"/proc/self/fd/{fd}")).suffix or "folder")
        fsync(fd)

    def noted_link(source: str, target: str) -> None:
        steps.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "link", noted_link)
    read_or_make_key(str(tmp_path))
    assert steps == [".tmp", "link", "folder"]


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o644, 0o666])
def test_a_key_open_to_others_is_refused_with_advice(tmp_path: Path, mode: int) -> None:
    read_or_make_key(str(tmp_path))
    (tmp_path / "secret.key").chmod(mode)
    with pytest.raises(SettingsError, match="chmod 600"):
        read_or_make_key(str(tmp_path))


def test_a_key_that_kubernetes_made_open_to_the_group_is_taken(tmp_path: Path) -> None:
    key = read_or_make_key(str(tmp_path))
    (tmp_path / "secret.key").chmod(0o660)
    assert read_or_make_key(str(tmp_path)) == key


@pytest.mark.parametrize(
    "text", ["", "\n", "ab" * 31, "ab" * 33, "AB" * 32, "xy" * 32, "ab" * 32 + "\n\n", "\xff" * 64]
)
def test_a_file_that_is_no_key_is_refused_with_advice_and_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret.key"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    with pytest.raises(SettingsError, match="restore it from a backup"):
        read_or_make_key(str(tmp_path))
    assert path.read_text(encoding="latin-1") == text


def test_a_key_of_another_user_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read_or_make_key(str(tmp_path))
    monkeypatch.setattr(os, "open", fail_with(errno.EACCES))
    with pytest.raises(SettingsError, match="another user"):
        read_or_make_key(str(tmp_path))


def test_a_file_system_without_links_is_refused_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "link", fail_with(errno.EPERM))
    with pytest.raises(SettingsError, match="set secret_keys"):
        read_or_make_key(str(tmp_path))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, DiskFull), (errno.EROFS, StoreUnavailable)])
@pytest.mark.parametrize("call", ["mkdir", "write", "fsync", "link"])
def test_a_disk_that_refuses_leaves_nothing_and_it_works_when_that_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, error: type[Exception]
) -> None:
    data_dir = tmp_path / "data"
    with monkeypatch.context() as patched:
        patched.setattr(os, call, fail_with(number))
        with pytest.raises(error):
            read_or_make_key(str(data_dir))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert read_or_make_key(str(data_dir))


def test_a_key_that_cannot_be_read_just_now_is_no_fault_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "open", fail_with(errno.EIO))
    with pytest.raises(StoreUnavailable):
        read_or_make_key(str(tmp_path))
    (tmp_path / "file").write_text("in the way")
    monkeypatch.undo()
    with pytest.raises(StoreUnavailable):
        read_or_make_key(str(tmp_path / "file"))
