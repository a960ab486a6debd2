"""Starts servers and workers in a tenth of the time: a process that has everything imported, and forks when it is told.

Ten thousand kills need ten thousand starts, and most of a start is imports. What is forked here is no different from
what a command line starts: real uvicorn or waitress on a listening socket that it inherits, or the real `bgrs worker`.
Nothing runs in this process before the fork, so no thread, loop or connection is inherited. It is told what to do in
JSON, one packet for each order and each answer; when the one who tells it is gone, all that it has started is killed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

IMPORTED_BEFORE = (
    "asyncio",
    "cryptography.hazmat.primitives.ciphers.aead",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "sqlalchemy.dialects.sqlite",
    "uvicorn",
    "uvicorn.lifespan.on",
    "uvicorn.protocols.http.h11_impl",
    "waitress",
    "bgrs_middleware.asgi",
    "bgrs_middleware.cli",
    "bgrs_middleware.executors.embedded",
    "bgrs_middleware.executors.queue_only",
    "bgrs_middleware.executors.worker",
    "bgrs_middleware.stores.sql",
    "bgrs_middleware.worker.process",
    "bgrs_middleware.wsgi",
)
PACKET_BYTES = 64 * 1024


def _asgi_server(listener: socket.socket) -> None:
    import uvicorn

    from .oracle import asgi_app

    config = uvicorn.Config(asgi_app, http="h11", loop="asyncio", ws="none", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


def _wsgi_server(listener: socket.socket) -> None:
    import waitress

    from .oracle import wsgi_app

    waitress.serve(wsgi_app, sockets=[listener], threads=20)


SERVERS: Mapping[str, Callable[[socket.socket], None]] = {"asgi": _asgi_server, "wsgi": _wsgi_server}


def _become(order: Mapping[str, Any], listener: socket.socket) -> int:
    """Be what was ordered, in a forked process, until it ends; returns the exit code."""
    log = os.open(order["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["environment"])
    if order["role"] == "web":
        SERVERS[order["gateway"]](listener)
        return 0
    listener.close()
    from bgrs_middleware.cli import main

    return main(["worker", *order["options"], f"{__package__}.oracle:{order['gateway']}_app"])


def _start(order: Mapping[str, Any], orders: socket.socket, listener: socket.socket) -> int:
    """Fork; returns the process id in this process, and never in the other one."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        orders.close()
        code = _become(order, listener)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001  # a forked process must never come back into the loop of its parent
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _obey(order: Mapping[str, Any], handed: Sequence[int], orders: socket.socket) -> int:
    if order["do"] == "start":
        with socket.socket(fileno=handed[0]) as listener:
            return _start(order, orders, listener)
    # It is known to be dead: this does not wait.
    _, status = os.waitpid(order["pid"], 0)
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    """Obey until there is nobody who gives orders. The argument: the inherited socket that they come through."""
    orders = socket.socket(fileno=int(sys.argv[1]))
    for name in IMPORTED_BEFORE:
        import_module(name)
    orders.send(b"0")
    while True:
        packet, handed, _, _ = socket.recv_fds(orders, PACKET_BYTES, 1)
        if not packet:
            os.killpg(0, signal.SIGKILL)
        orders.send(json.dumps(_obey(json.loads(packet), handed, orders)).encode())


if __name__ == "__main__":
    main()
