"""A stage: one store, real servers and workers on it in processes of their own, and clients that speak to them by TCP.

Everything is real but the way that processes are started, see `nursery.py`. The listening socket belongs to the stage:
a client that comes while no server runs waits there for the next one, as behind a socket-activated service.
"""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

from .client import Client
from .evidence import Evidence

ROOT = Path(__file__).parent.parent
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.01
BACKLOG = 1024
PACKET_BYTES = 64 * 1024
READY = re.compile(r"^bgrs worker: process \d+ runs the requests of", re.MULTILINE)

T = TypeVar("T")
Gateway = Literal["asgi", "wsgi"]
Role = Literal["web", "worker"]


GATEWAYS: tuple[Gateway, ...] = ("asgi", "wsgi")


class StageError(Exception):
    """Something on the stage did not come about in time, or died by itself; the message has its log."""


class Process:
    """A process that the stage has started."""

    def __init__(self, nursery: _Nursery, pid: int, log_file: Path) -> None:
        self.pid = pid
        self._nursery = nursery
        self._log_file = log_file
        # It is not reaped before `wait`, so its number is its own until then.
        self._handle = os.pidfd_open(pid)
        self._exit_code: int | None = None

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self._exit_code is None and not self._has_ended(0)

    def log(self) -> str:
        """What it has written so far, to stdout and stderr."""
        return self._log_file.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal. Does nothing where it has ended."""
        if self._exit_code is None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """End it with SIGKILL, and return when it has ended. Idempotent."""
        self.send(signal.SIGKILL)
        self.wait()

    def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
        """Return its exit code when it has ended, or minus the number of the signal that ended it.

        Raises:
            StageError: it takes longer.
        """
        if self._exit_code is None:
            if not self._has_ended(seconds):
                raise StageError(f"process {self.pid} has not ended after {seconds:g} s. Its log:\n{self.log()}")
            self._exit_code = self._nursery.tell({"do": "reap", "pid": self.pid})
            os.close(self._handle)
        return self._exit_code

    def until_it_says(self, text: re.Pattern[str]) -> None:
        """Return when its log has such a text.

        Raises:
            StageError: it died, or takes too long.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not text.search(self.log()):
            if not self.is_alive or time.monotonic() > deadline:
                raise StageError(f"it never said {text.pattern!r}. Its log:\n{self.log()}")
            time.sleep(LOOK_SECONDS)

    def _has_ended(self, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(seconds * 1000))


class _Nursery:
    """The process that starts the others; see `nursery.py`. From any thread."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A session of its own: Ctrl-C reaches the one who gives the orders, and the end of these ends all the rest.
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.nursery", str(theirs.fileno())],
            cwd=ROOT,
            env=dict(environment),
            pass_fds=(theirs.fileno(),),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        if not self._orders.recv(PACKET_BYTES):
            raise StageError("the process that starts the others did not start")

    def tell(self, order: Mapping[str, Any], *handed: socket.socket) -> int:
        with self._lock:
            socket.send_fds(self._orders, [json.dumps(order).encode()], [each.fileno() for each in handed])
            answer: int = json.loads(self._orders.recv(PACKET_BYTES))
            return answer

    def close(self) -> None:
        self._orders.close()
        self._process.wait()


class Nurseries:
    """What starts processes, on any number of stages; used as a context manager. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_failpoints: dict[str, _Nursery] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all that it has started."""
        for nursery in self._by_failpoints.values():
            nursery.close()

    def start(self, order: Mapping[str, Any], listener: socket.socket, log: Path, failpoints: str) -> Process:
        """Start a process."""
        with self._lock:
            nursery = self._by_failpoints.get(failpoints)
            if nursery is None:
                # The package looks at its failpoints when it is imported, which a nursery has done before it forks.
                environment = {name: value for name, value in os.environ.items() if not name.startswith("BGRS_")}
                environment |= {"BGRS_FAILPOINTS": failpoints} if failpoints else {}
                nursery = self._by_failpoints[failpoints] = _Nursery(environment)
        return Process(nursery, nursery.tell({"do": "start", "log": str(log), **order}, listener), log)


class Stage:
    """One store, and what plays on it; used as a context manager, which ends all its processes.

    Parameters:
        folder: empty; gets the store (`data`), the logs, and what the oracle writes down.
        gateway: that of the oracle application.
        nurseries: what starts its processes, where several stages share it. None: one of its own.
        settings: of all servers and workers, fields of `Settings` in the words of the environment.
    """

    def __init__(
        self, folder: Path, gateway: Gateway = "asgi", nurseries: Nurseries | None = None, **settings: str
    ) -> None:
        self.folder = folder
        self.gateway = gateway
        self.evidence = Evidence(folder)
        self._settings = settings
        self._processes: list[Process] = []
        self._own_nurseries = Nurseries()
        self._nurseries = nurseries or self._own_nurseries
        self._numbers = 0

    def __enter__(self) -> Self:
        (self.folder / "go").mkdir(parents=True)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.kill()
        self._own_nurseries.close()
        self._listener.close()

    @property
    def data(self) -> Path:
        """The folder of the store, the body files and the locks."""
        return self.folder / "data"

    def clear(self) -> None:
        """Remove what it has written. After its end."""
        shutil.rmtree(self.folder)

    def web(self, *, failpoints: str = "", **settings: str) -> Process:
        """Start a server. Clients may speak to it at once: they wait until it takes them.

        Parameters:
            failpoints: where it kills or stops itself, see `bgrs_middleware/failpoints.py`.
            settings: beside those of the stage.
        """
        return self._start("web", (), failpoints, settings)

    def worker(self, *options: str, failpoints: str = "", **settings: str) -> Process:
        """Start a `bgrs worker` with such options; see `until_ready`. Other parameters as `web`."""
        return self._start("worker", options, failpoints, settings)

    def until_ready(self, worker: Process) -> None:
        """Return when a worker takes requests."""
        worker.until_it_says(READY)

    def client(self) -> Client:
        """A client with a connection of its own."""
        return Client(self._listener.getsockname()[:2])

    def let_go(self, path: str) -> None:
        """Let the work of a path come to its end, now and whenever it is started again."""
        (self.folder / "go" / path.strip("/").replace("/", "-")).touch()

    def until_started(self, rid: str, times: int = 1) -> None:
        """Return when the application was started so many times for a request."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.evidence.starts(rid)) < times:
            if time.monotonic() > deadline:
                raise StageError(f"{rid} was not started {times} times")
            time.sleep(LOOK_SECONDS)

    def _start(self, role: Role, options: tuple[str, ...], failpoints: str, settings: Mapping[str, str]) -> Process:
        self._numbers += 1
        log = self.folder / f"{role}-{self._numbers}.log"
        values = {"data_dir": str(self.data), "drain_seconds": "2", **self._settings, **settings}
        environment = {f"BGRS_{name.upper()}": value for name, value in values.items()}
        environment["ORACLE_FOLDER"] = str(self.folder)
        order = {"role": role, "gateway": self.gateway, "options": options, "environment": environment}
        log.touch()
        process = self._nurseries.start(order, self._listener, log, failpoints)
        self._processes.append(process)
        return process


def under_both_gateways(do: Callable[[Gateway, Nurseries], list[T]]) -> list[T]:
    """Do something with each gateway, at the same time, and return what both found. For what mostly waits."""
    with Nurseries() as nurseries, ThreadPoolExecutor(len(GATEWAYS)) as threads:
        return [one for found in threads.map(lambda gateway: do(gateway, nurseries), GATEWAYS) for one in found]
