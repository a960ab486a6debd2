"""A client over TCP on one connection: asks, looks, takes results; opens it again after the server has died.

It knows as little as a client does: what is not answered may have been recorded or not.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

ANSWER_SECONDS = 60.0
FINAL = frozenset({"finished", "failed", "cancelled", "lost", "expired"})
LONG_POLL_SECONDS = 5
IDLE_SECONDS = 2.0
"""After so long a connection is not used again: servers close theirs after five seconds, maybe just then."""


class NoAnswer(Exception):
    """The connection broke before the whole answer was there; the cause says how."""


class WrongAnswer(Exception):
    """An answer that is none of those that there may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer. Header names are in small letters."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Client:
    """One connection at a time, used by one thread at a time.

    Parameters:
        address: host and port.
        patience_seconds: how long to wait for an answer or a state.
    """

    def __init__(self, address: tuple[str, int], patience_seconds: float = ANSWER_SECONDS) -> None:
        self._connection = http.client.HTTPConnection(*address, timeout=patience_seconds)
        self._patience_seconds = patience_seconds
        self._last_used = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connection. It is opened again where it is needed."""
        self._connection.close()

    def call(
        self, method: str, target: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send one request and return its whole answer.

        Raises:
            NoAnswer: there is none; the next call opens a new connection.
        """
        if time.monotonic() - self._last_used > IDLE_SECONDS:
            self.close()
        try:
            self._connection.request(method, target, body, dict(headers or {}))
            with self._connection.getresponse() as response:
                read = response.read()
                self._last_used = time.monotonic()
                names = {name.lower(): value for name, value in response.getheaders()}
                return Answer(status=response.status, headers=names, body=read)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(f"{method} {target}: {error!r}") from error

    def ask(self, method: str, path: str, body: bytes | None = None) -> str:
        """Ask for a background request; returns its rid.

        Raises:
            NoAnswer: as `call`.
            WrongAnswer: it was not accepted.
        """
        answer = self.call(method, f"{path}?bgrs=yes", body)
        if answer.status != 202:
            raise WrongAnswer(f"{method} {path}: {answer.status} {answer.body[:500]!r}")
        rid: str = answer.json()["request"]
        return rid

    def find(self, rid: str, wait_seconds: float = 0) -> dict[str, Any] | None:
        """The status document of a request; None where there is no such request.

        Parameters:
            wait_seconds: how long the server may hold the answer back until the status changes.

        Raises:
            NoAnswer: as `call`.
            WrongAnswer: it is neither of the two.
        """
        answer = self.call("GET", f"/bgrs/{rid}" + f"?wait_for={wait_seconds:g}" * bool(wait_seconds))
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise WrongAnswer(f"{rid}: {answer.status} {answer.body[:500]!r}")
        [document] = answer.json()
        if not isinstance(document, dict):
            raise WrongAnswer(f"{rid}: {answer.body[:500]!r}")
        return document

    def until_final(self, rid: str) -> dict[str, Any] | None:
        """The status document as soon as the state is final, or as it is after a minute; None: no such request.

        Raises:
            NoAnswer, WrongAnswer: as `find`.
        """
        deadline = time.monotonic() + self._patience_seconds
        while True:
            document = self.find(rid, LONG_POLL_SECONDS)
            if document is None or document["status_name"] in FINAL or time.monotonic() > deadline:
                return document

    def result(self, rid: str) -> Answer:
        """What `/result` answers."""
        return self.call("GET", f"/bgrs/{rid}/result")

    def details(self, rid: str) -> list[str]:
        """The texts of the details, oldest first."""
        return [entry["details"] for entry in self.call("GET", f"/bgrs/{rid}/details").json()]
