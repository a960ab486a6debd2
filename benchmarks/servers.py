"""Starts uvicorn in a process of its own, around one of the applications of `served.py`, and stops it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .load import Address, LoadError, ask, request

START_SECONDS = 60.0
STOP_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that runs, and that has answered once."""

    address: Address
    pid: int

    def get(self, target: str) -> Any:
        """The JSON that a GET is answered with."""
        status, body = ask(self.address, request("GET", target))
        if status != 200:
            raise LoadError(f"{target}: {status} {body[:500]!r}")
        return json.loads(body)


@contextmanager
def serving(application: str, folder: str, **options: Any) -> Iterator[Server]:
    """Run an application of `served.py` behind uvicorn: one process, one loop, httptools, no access log.

    Parameters:
        application: its name there.
        folder: where it may write.
        options: passed on to it.
    """
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        address = listener.getsockname()
        command = [sys.executable, "-m", "benchmarks.served", application, folder, str(listener.fileno())]
        process = subprocess.Popen([*command, json.dumps(options)], pass_fds=(listener.fileno(),), env=_environment())
    try:
        _wait_until_it_answers(process, address)
        yield Server(address=address, pid=process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], address: Address) -> None:
    # The socket listens already, so the first request waits there until the server takes it, unless the server died.
    try:
        status, body = ask(address, request("GET", "/bare"), timeout_seconds=START_SECONDS)
    except (OSError, LoadError) as error:
        raise LoadError(f"the server did not start (exit code {process.poll()})") from error
    if status != 200:
        raise LoadError(f"the server does not work: {status} {body[:500]!r}")


def _environment() -> dict[str, str]:
    # The settings of the benchmarks are their own, whatever is set around them.
    return {name: value for name, value in os.environ.items() if not name.startswith("BGRS_")}
