"""A house of two tiers on one store: a web server that only accepts, and `bgrs worker` processes that run."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import recovery.theatre
from recovery.theatre import Theatre
from servers import Server, _environment, serve

OWN_APPS = Path(__file__).parent / "apps"
PATIENCE_SECONDS = 60.0
READY = re.compile(r"process (\d+) runs the requests of")


class Worker:
    """A `bgrs worker` process."""

    def __init__(self, process: subprocess.Popen[bytes], log_file: Path) -> None:
        self.process = process
        self._log_file = log_file

    def log(self) -> str:
        return self._log_file.read_text(errors="replace")

    def ready(self) -> list[int]:
        """The processes that have said that they run requests, in order."""
        return [int(pid) for pid in READY.findall(self.log())]

    def until_ready(self, processes: int) -> list[int]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(found := self.ready()) < processes:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)
        return found

    def tell(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def ended(self) -> int:
        """Its exit code, when it has ended by itself."""
        try:
            return self.process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(f"it does not end. Its log:\n{self.log()}") from error


@dataclass(frozen=True)
class House(Theatre):
    """`gateway` is that of the oracle application, which tells what was started (tests/recovery)."""

    def web(self, **settings: str) -> AbstractContextManager[Server]:
        return self.server(executor="worker", **settings)

    @contextmanager
    def web_of(self, kind: str, target: str, **settings: str) -> Iterator[Server]:
        """A server for an application of this folder."""
        env = self._env({"executor": "worker", **settings})
        with serve(kind, target, folder=OWN_APPS, data_dir=self.data, env=env) as server:
            yield server

    @contextmanager
    def worker(self, *options: str, target: str | None = None, **settings: str) -> Iterator[Worker]:
        """A worker that is ready; it must end with 0 when its block ends, unless it has ended before."""
        with self.starting(*options, target=target or f"oracle:{self.gateway}_app", **settings) as worker:
            worker.until_ready(int(options[options.index("--processes") + 1]) if "--processes" in options else 1)
            yield worker
            if worker.process.poll() is None:
                worker.tell()
                assert worker.ended() == 0, worker.log()

    @contextmanager
    def starting(self, *options: str, target: str, **settings: str) -> Iterator[Worker]:
        """A worker that may be ready some time, or never."""
        apps = recovery.theatre.APPS
        environment = _environment(apps, self.data, self._env(settings))
        log_file = self.folder / f"worker-{time.monotonic_ns()}.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *_command(options), "--app-dir", str(OWN_APPS), target],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        worker = Worker(process, log_file)
        try:
            yield worker
        except BaseException as error:
            error.add_note(f"The log of the worker:\n{worker.log()}")
            raise
        finally:
            process.kill()
            process.wait()
            for pid in worker.ready():
                _kill_if_there(pid)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def bells(self) -> list[Path]:
        return list((self.data / "workers").glob("*.fifo"))

    def until_no_bell(self) -> None:
        """Return when no worker takes new work: the first thing that a worker does when it is told to end."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.bells():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _env(self, settings: dict[str, str]) -> dict[str, str]:
        env = {f"BGRS_{name.upper()}": value for name, value in settings.items()}
        return env | {"ORACLE_STARTS": str(self.folder / "starts"), "ORACLE_GO": str(self.folder / "go")}


def _kill_if_there(pid: int) -> None:
    """End a worker that its supervisor left behind; nobody else who has got its number meanwhile."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        if b"bgrs_middleware.cli" in Path(f"/proc/{pid}/cmdline").read_bytes():
            os.kill(pid, signal.SIGKILL)


def _command(options: Sequence[str]) -> list[str]:
    return ["-P", "-m", "bgrs_middleware.cli", "worker", *options]
