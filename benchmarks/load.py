"""A load on keep-alive connections, made by one epoll: cheap enough not to be what is measured.

Requests are bytes that were made beforehand; of a response only its status and its length are read. A load ends by
itself: after a time, after a number of requests, or when the server is silent for too long.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from time import perf_counter
from types import TracebackType
from typing import Self

Address = tuple[str, int]

SILENCE_SECONDS = 30.0
RECEIVE_BYTES = 64 * 1024
_LENGTH = b"content-length:"


class LoadError(Exception):
    """The server answered something else than what is measured, or nothing."""


class _Connection:
    """One connection with at most one request under way."""

    __slots__ = ("_received", "socket")

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, timeout=SILENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def receive(self) -> bytes | None:
        """Take what has come; a whole response, or None while it is not whole."""
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise LoadError("the server closed a connection")
        self._received = data = self._received + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return None
        at = data.lower().find(_LENGTH, 0, end)
        if at < 0:
            raise LoadError(f"a response without a length: {data[:200]!r}")
        length = int(data[at + len(_LENGTH) : data.index(b"\r\n", at)])
        if len(data) < end + 4 + length:
            return None
        self._received = b""
        return data


class Load:
    """Open connections to one server; used as a context manager.

    Parameters:
        address: of the server.
        connections: how many requests are under way at a time.
    """

    def __init__(self, address: Address, connections: int) -> None:
        self._connections = [_Connection(address) for _ in range(connections)]
        self._poller = select.epoll()
        self._by_number = {connection.socket.fileno(): connection for connection in self._connections}
        for number in self._by_number:
            self._poller.register(number, select.EPOLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._poller.close()
        for connection in self._connections:
            connection.socket.close()

    def run(
        self,
        requests: Iterator[bytes],
        status: int,
        *,
        seconds: float = 3600.0,
        count: int | None = None,
    ) -> tuple[int, float]:
        """Keep all connections busy until the time is up or enough requests were sent.

        Parameters:
            requests: what is sent, one after another, over all connections.
            status: what every response must have.
            seconds, count: when to end; whichever comes first.

        Returns:
            how many responses came before the end, and after how many seconds the last of them did.

        Raises:
            LoadError: a response had another status, or none came.
        """
        expected = b"HTTP/1.1 %d " % status
        poll, by_number = self._poller.poll, self._by_number
        sent, done, under_way = 0, 0, 0
        started = perf_counter()
        until = started + seconds
        for connection in self._connections:
            if count is None or sent < count:
                connection.socket.sendall(next(requests))
                sent += 1
                under_way += 1
        counted, counted_at = 0, started
        while under_way:
            events = poll(SILENCE_SECONDS)
            if not events:
                raise LoadError(f"no answer for {SILENCE_SECONDS:g} s")
            now = perf_counter()
            goes_on = now < until
            for number, _ in events:
                connection = by_number[number]
                response = connection.receive()
                if response is None:
                    continue
                if not response.startswith(expected):
                    raise LoadError(f"expected {status}, got {response[:500]!r}")
                done += 1
                if goes_on and (count is None or sent < count):
                    connection.socket.sendall(next(requests))
                    sent += 1
                else:
                    under_way -= 1
            if goes_on:
                # What comes after the time is up is only waited for, so that the next measurement begins in quiet.
                counted, counted_at = done, perf_counter()
        return counted, counted_at - started

    def rate(self, requests: Iterator[bytes], status: int, seconds: float) -> float:
        """Responses per second, over so many seconds. Parameters and errors as `run`."""
        counted, elapsed = self.run(requests, status, seconds=seconds)
        return counted / elapsed


def request(method: str, target: str, headers: str = "", body: bytes = b"") -> bytes:
    """A request as bytes; `headers` are lines that end with CR LF."""
    length = f"content-length: {len(body)}\r\n" if body else ""
    return f"{method} {target} HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}{length}\r\n".encode("ascii") + body


def ask(address: Address, sent: bytes, *, timeout_seconds: float = SILENCE_SECONDS) -> tuple[int, bytes]:
    """Send one request on a connection of its own; its status and body.

    Raises:
        OSError, LoadError: there was no whole answer.
    """
    connection = _Connection(address)
    try:
        connection.socket.settimeout(timeout_seconds)
        connection.socket.sendall(sent)
        while (response := connection.receive()) is None:
            pass
        return int(response[9:12]), response.partition(b"\r\n\r\n")[2]
    finally:
        connection.socket.close()


def download(address: Address, sent: bytes) -> tuple[int, float]:
    """Send one request and take its response without keeping it; how many bytes of body came, in how many seconds.

    Raises:
        LoadError: the answer is no 200, or not whole.
    """
    with socket.create_connection(address, timeout=SILENCE_SECONDS) as connection:
        buffer = bytearray(1024 * 1024)
        started = perf_counter()
        connection.sendall(sent)
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(RECEIVE_BYTES)
            if not piece:
                raise LoadError("the server closed the connection before its answer")
            head += piece
        head, _, first = head.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            raise LoadError(f"expected 200, got {head[:500]!r}")
        at = head.lower().index(_LENGTH) + len(_LENGTH)
        length = int(head[at:].split(b"\r\n")[0])
        got = len(first)
        while got < length:
            count = connection.recv_into(buffer)
            if not count:
                raise LoadError(f"the response ended after {got} of {length} bytes")
            got += count
        return got, perf_counter() - started
