"""Real server processes on loopback, for the tests that claim something about real servers.

`serve("uvicorn", "app:app", folder=..., data_dir=...)` starts one, waits until it accepts connections, and stops it
with SIGTERM when its block ends. A server that dies, or does not end when told to, fails the test with its log.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

START_SECONDS = 60.0
STOP_SECONDS = 30.0
POLL_SECONDS = 0.02
PORT_ATTEMPTS = 3


class ServerFailed(AssertionError):
    """A server did not start, died, or did not stop; the message has its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of server.

    `command` makes the arguments after `python -m` from a target and a port. `says_port` finds the port in its log,
    where it chooses one itself; otherwise it is told a free one. `root_path` makes its options for running below a
    path, and `strips` tells whether clients then leave that path out, because a proxy would.
    """

    gateway: Literal["asgi", "wsgi"]
    command: Callable[[str, int], Sequence[str]]
    says_port: str | None = None
    root_path: Callable[[str], Sequence[str]] | None = None
    strips: bool = False


def _gunicorn(*options: str) -> Callable[[str, int], Sequence[str]]:
    # Since version 25 each gunicorn opens a control socket, and all of a user open it at the same path.
    quiet = ("--no-control-socket",) if _gunicorn_version() >= 25 else ()

    def command(target: str, port: int) -> Sequence[str]:
        return ("gunicorn", "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "10", *quiet, *options, target)

    return command


def _gunicorn_version() -> int:
    return int(version("gunicorn").split(".")[0])


def _script_name(path: str) -> Sequence[str]:
    return ("--env", f"SCRIPT_NAME={path}")


_GUNICORN_PORT = r"Listening at: http://127\.0\.0\.1:(\d+)"
_GTHREAD = ("--worker-class", "gthread", "--threads", "8")

KINDS: dict[str, Kind] = {
    "uvicorn": Kind(
        gateway="asgi",
        command=lambda target, port: ("uvicorn", "--port", str(port), target),
        says_port=r"Uvicorn running on http://127\.0\.0\.1:(\d+)",
        root_path=lambda path: ("--root-path", path),
        strips=True,
    ),
    "gunicorn-uvicorn": Kind(
        gateway="asgi",
        command=_gunicorn("--worker-class", "uvicorn_worker.UvicornWorker"),
        says_port=_GUNICORN_PORT,
    ),
    "granian-asgi": Kind(
        gateway="asgi",
        command=lambda target, port: ("granian", "--interface", "asgi", "--port", str(port), target),
        root_path=lambda path: ("--url-path-prefix", path),
    ),
    "hypercorn": Kind(
        gateway="asgi",
        command=lambda target, port: ("hypercorn", "--bind", f"127.0.0.1:{port}", target),
        root_path=lambda path: ("--root-path", path),
    ),
    "gunicorn-gthread": Kind(
        gateway="wsgi", command=_gunicorn(*_GTHREAD), says_port=_GUNICORN_PORT, root_path=_script_name
    ),
    "gunicorn-preload": Kind(
        gateway="wsgi", command=_gunicorn(*_GTHREAD, "--preload"), says_port=_GUNICORN_PORT, root_path=_script_name
    ),
    "granian-wsgi": Kind(
        gateway="wsgi",
        command=lambda target, port: (
            "granian", "--interface", "wsgi", "--blocking-threads", "8", "--port", str(port), target,
        ),
        root_path=lambda path: ("--url-path-prefix", path),
    ),
    "waitress": Kind(
        gateway="wsgi",
        command=lambda target, port: ("waitress", "--listen", f"127.0.0.1:{port}", "--threads", "8", target),
        says_port=r"Serving on http://127\.0\.0\.1:(\d+)",
        root_path=lambda path: ("--url-prefix", path),
    ),
}  # fmt: skip
"""Every kind by its name. Options of a test go before the target, after these."""

if _gunicorn_version() >= 25:
    # gunicorn's own ASGI worker, which older ones do not have.
    KINDS["gunicorn-asgi"] = Kind(
        gateway="asgi",
        command=_gunicorn("--worker-class", "asgi"),
        says_port=_GUNICORN_PORT,
        root_path=lambda path: ("--root-path", path),
    )


class Server:
    """A server process that runs, in a process group of its own."""

    def __init__(self, kind: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
        self.kind = kind
        self.process = process
        self.port = 0
        self._log_file = log_file
        self._ended_by_us = False

    @property
    def url(self) -> str:
        """Where it answers; no slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def log(self) -> str:
        """What it has written so far, to stdout and stderr."""
        return self._log_file.read_text(errors="replace")

    def stop(self) -> int:
        """End it with SIGTERM and return its exit code. Idempotent.

        Raises:
            ServerFailed: it had died by itself before, or does not end.
        """
        if self._ended_by_us:
            return self.process.wait()
        self._ended_by_us = True
        if self.process.poll() is not None:
            self.kill()
            raise ServerFailed(f"{self.kind} died with exit code {self.process.returncode}. {self._told()}")
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise ServerFailed(f"{self.kind} did not end {STOP_SECONDS:g} s after SIGTERM. {self._told()}") from error
        finally:
            self.kill()

    def kill(self) -> None:
        """End it and all its workers with SIGKILL, as a crash would. Idempotent."""
        self._ended_by_us = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def wait_until_it_accepts(self, says_port: str | None) -> None:
        """Return as soon as it accepts connections.

        Parameters:
            says_port: finds its port in the log, where it is not known yet.

        Raises:
            ServerFailed: it died, or takes too long.
        """
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise ServerFailed(f"{self.kind} died with exit code {self.process.returncode}. {self._told()}")
            if says_port is not None and not self.port and (said := re.search(says_port, self.log())):
                self.port = int(said[1])
            if self.port and self._accepts():
                return
            time.sleep(POLL_SECONDS)
        raise ServerFailed(f"{self.kind} accepts no connection after {START_SECONDS:g} s. {self._told()}")

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _told(self) -> str:
        return f"Its log:\n{self.log()}"


@contextlib.contextmanager
def serve(
    kind: str,
    target: str,
    *,
    folder: Path,
    data_dir: Path,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """Run a server process while the block runs. Several may run at a time, also on one `data_dir`.

    Parameters:
        kind: a key of `KINDS`.
        target: the application, "module:attribute".
        folder: the working folder, where the module is.
        data_dir: the setting of that name, through the environment.
        env: further variables; no `BGRS_` variable comes from the test's own environment.
        options: further command line options.

    Raises:
        ServerFailed: it did not start, died meanwhile, or did not stop.
    """
    with tempfile.TemporaryDirectory() as log_dir:
        server = _started(kind, target, folder, _environment(folder, data_dir, env or {}), options, Path(log_dir))
        try:
            yield server
        except BaseException as error:
            server.kill()
            error.add_note(f"The log of {kind}:\n{server.log()}")
            raise
        server.stop()


def _environment(folder: Path, data_dir: Path, env: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("BGRS_")}
    entries = [str(folder), *filter(None, inherited.get("PYTHONPATH", "").split(os.pathsep))]
    # The server runs in another folder, where relative entries would mean something else.
    path = os.pathsep.join(os.path.abspath(entry) for entry in entries)
    return inherited | {
        "PYTHONPATH": path,
        "PYTHONUNBUFFERED": "1",
        "BGRS_DATA_DIR": str(data_dir),
        "BGRS_DRAIN_SECONDS": "2",
        **env,
    }


def _started(
    kind: str, target: str, folder: Path, environment: dict[str, str], options: Sequence[str], log_dir: Path
) -> Server:
    for attempt in range(1, PORT_ATTEMPTS + 1):
        server = _spawned(kind, target, folder, environment, options, log_dir / f"{attempt}.log")
        try:
            server.wait_until_it_accepts(KINDS[kind].says_port)
        except BaseException as error:
            server.kill()
            # Someone else may have taken the port between our look and the server's.
            if isinstance(error, ServerFailed) and attempt < PORT_ATTEMPTS and "in use" in server.log():
                continue
            raise
        return server
    raise AssertionError("not reached: the last attempt returns or raises")


def _spawned(
    kind: str, target: str, folder: Path, environment: dict[str, str], options: Sequence[str], log_file: Path
) -> Server:
    port = 0 if KINDS[kind].says_port else free_port()
    module, *arguments, target = KINDS[kind].command(target, port)
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, *options, target],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(kind, process, log_file)
    server.port = port
    return server


def free_port() -> int:
    """A loopback port that nobody uses at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
