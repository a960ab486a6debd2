"""A theatre for crashes: servers on one store, an application that writes down its starts, and a hand to let it go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from reliability.frozen import freeze
from servers import Server, serve

APPS = Path(__file__).parent / "apps"
KINDS = {"asgi": ("uvicorn", "oracle:asgi_app"), "wsgi": ("waitress", "oracle:wsgi_app")}
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Theatre:
    """One store, and what the application wrote down."""

    gateway: str
    folder: Path

    @contextmanager
    def server(self, **settings: str) -> Iterator[Server]:
        """A server on the store. Settings are variables without their `BGRS_`."""
        kind, target = KINDS[self.gateway]
        with serve(kind, target, folder=APPS, data_dir=self.data_dir, env=self.environment(settings)) as server:
            # A WSGI server has no startup to tell of: the first look at one of our routes opens the service.
            assert call(server, "GET", "/bgrs").status_code == 200
            yield server

    def dies(self, **settings: str) -> None:
        """Start an ASGI server that does nothing but what every server does by itself, and see it killed by that."""
        environment = os.environ | self.environment(settings) | {"BGRS_DATA_DIR": str(self.data_dir)}
        command = [sys.executable, "-m", "uvicorn", "--port", "0", KINDS["asgi"][1]]
        done = subprocess.run(
            command, cwd=APPS, env=environment, timeout=PATIENCE_SECONDS, capture_output=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The variables of a server on the store. Settings are variables without their `BGRS_`."""
        env = {f"BGRS_{name.upper()}": value for name, value in settings.items()}
        return env | {"ORACLE_STARTS": str(self.folder / "starts"), "ORACLE_GO": str(self.folder / "go")}

    def starts(self, rid: str) -> list[int]:
        """The attempts at which the application was started for a request."""
        file = self.folder / "starts"
        lines = file.read_text().splitlines() if file.exists() else []
        return [int(attempt) for found, attempt in (line.split() for line in lines) if found == rid]

    def let_go(self, path: str) -> None:
        """Let the work of a path come to its end, now and whenever it is started again."""
        (self.folder / "go" / path.strip("/")).touch()

    def freeze(self, server: Server) -> None:
        """Stop a server as a frozen machine would, but not in the middle of a commit: there it stops all others."""
        freeze(server.process.pid, self.data_dir)

    def until_started(self, rid: str, times: int = 1) -> None:
        """Return when the application was started so many times for a request."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(self.starts(rid)) < times:
            assert time.monotonic() < deadline, f"{rid} was not started {times} times"
            time.sleep(0.01)


def call(server: Server, method: str, path: str, body: bytes = b"") -> httpx.Response:
    return httpx.request(method, server.url + path, content=body, timeout=60, trust_env=False)


def ask(server: Server, method: str, path: str, body: bytes = b"") -> str:
    response = call(server, method, f"{path}?bgrs=yes", body)
    assert response.status_code == 202, response.text
    rid: str = response.json()["request"]
    return rid


def document(server: Server, rid: str, wait_seconds: float = 0) -> dict[str, Any]:
    response = call(server, "GET", f"/bgrs/{rid}?wait_for={wait_seconds}")
    assert response.status_code == 200, response.text
    [found] = response.json()
    assert isinstance(found, dict)
    return found


def until(server: Server, rid: str, *statuses: str) -> dict[str, Any]:
    """The status document, as soon as it has one of these statuses. Each look is a long-poll."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        found = document(server, rid, wait_seconds=5)
        if found["status_name"] in statuses:
            return found
        assert time.monotonic() < deadline, f"still {found}"


def details(server: Server, rid: str) -> list[str]:
    return [entry["details"] for entry in call(server, "GET", f"/bgrs/{rid}/details").json()]
