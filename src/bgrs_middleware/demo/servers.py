"""The demo's two servers, each in a thread of this process: the example API under uvicorn, and the proxy before it.

Threads, so that nothing can outlive the command, however it ends. Both ports are bound before anything starts: a port
that is taken is found out first.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from .app import make_app
from .errors import DemoError
from .proxy import run_proxy

START_SECONDS = 30.0
STOP_SECONDS = 10.0
HOST = "127.0.0.1"


def bound(port: int, option: str) -> socket.socket:
    """Return a loopback socket that holds a port.

    Parameters:
        port: 0 for a free one.
        option: the option that chose it, for the message.

    Raises:
        DemoError: it is taken, or not for us.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # Without this a port whose last connection ended a moment ago would count as taken.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        why = "is already in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise DemoError(f"port {port} on {HOST} {why}; choose another one with {option}, or leave it out.") from error
    return listener


@contextlib.contextmanager
def api(listener: socket.socket, data_dir: str) -> Iterator[None]:
    """Run the example API while the block runs.

    Raises:
        DemoError: it did not start.
    """
    config = uvicorn.Config(
        make_app(data_dir),
        log_config=None,
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with _thread("bgrs-demo-api", lambda: server.run(sockets=[listener]), lambda: _tell(server)) as thread:
        _wait_until(lambda: server.started, thread)
        yield


@contextlib.contextmanager
def proxy(listener: socket.socket, upstream_port: int) -> Iterator[None]:
    """Run the proxy while the block runs."""
    # A runner ends what asyncio itself has begun, too: a connection that is just being accepted is a task of its own.
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    loop = runner.get_loop()
    stopped = asyncio.Event()

    def run() -> None:
        with runner:
            runner.run(run_proxy(listener, upstream_port, stopped))

    def stop() -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed: it has ended by itself.
            loop.call_soon_threadsafe(stopped.set)

    with _thread("bgrs-demo-proxy", run, stop):
        yield


@contextlib.contextmanager
def _thread(name: str, run: Callable[[], Any], stop: Callable[[], None]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        stop()
        thread.join(STOP_SECONDS)


def _tell(server: uvicorn.Server) -> None:
    server.should_exit = True


def _wait_until(started: Callable[[], bool], thread: threading.Thread) -> None:
    """Uvicorn tells nobody when it has started; so this looks, a hundred times a second."""
    waited = 0.0
    while not started():
        thread.join(0.01)
        waited += 0.01
        if not thread.is_alive() or waited > START_SECONDS:
            raise DemoError("the example API did not start.")
