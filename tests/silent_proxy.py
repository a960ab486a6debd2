"""A proxy before a server that can fall silent: its connections stay open, and nothing comes through any more.

So does a network that forgets a connection, or a host that is frozen: neither end is ever told.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

PIECE_BYTES = 64 * 1024


class SilentProxy:
    """Passes TCP connections on; used as a context manager.

    Parameters:
        connect: opens a connection to the server.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._speaking = threading.Event()
        self._sockets: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._sockets:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()

    def fall_silent(self) -> None:
        """Let nothing through any more on the connections that there are; later ones are as before."""
        with self._lock:
            self._speaking.set()
            self._speaking = threading.Event()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            with self._lock:
                self._sockets += [client, server]
                silent = self._speaking
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(source, target, silent), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, silent: threading.Event) -> None:
    with suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            if not silent.is_set():
                target.sendall(piece)
        if not silent.is_set():
            target.shutdown(socket.SHUT_RDWR)
