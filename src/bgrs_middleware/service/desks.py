"""Who in one process answers its clients: the four desks, put together, and which of them a route is for.

They share what the service has opened (store, bodies, keys, threads), and open nothing themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..bodies.base import Bodies
from ..ledger import Ledger
from ..protocol.message import RequestHead
from ..protocol.routes import Route
from ..protocol.rules import Rules
from ..reader import Reader
from ..sealing import Keyring
from ..settings import Settings
from ..waiting import Waiting
from .accept import Acceptance
from .answers import Answers, Story
from .batches import Batches
from .callers import Caller
from .operations import Operations
from .polling import Polling
from .runs import Runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Desks:
    """Acceptance and batches take what is new; answers and operations tell of what there is."""

    acceptance: Acceptance
    batches: Batches
    answers: Answers
    operations: Operations

    def answer(self, route: Route, head: RequestHead, caller: Caller, body: bytes) -> Story:
        """Answer a route that tells of what there is, or changes it. To be awaited.

        Parameters:
            body: of the request, where the route reads it; else empty.

        Raises:
            Refusal: what the client asked for cannot be done; it says why.
            StorageError: the store cannot answer.
        """
        if self.operations.has(route.action):
            return self.operations.answer(route, head, caller, body)
        return self.answers.answer(route, head, caller)


def make_desks(
    *,
    settings: Settings,
    rules: Rules,
    ledger: Ledger,
    reader: Reader,
    waiting: Waiting,
    runs: Runs,
    bodies: Bodies,
    keyring: Keyring,
    drop_body: Callable[[str], object],
) -> Desks:
    """Return the desks of a process.

    Parameters:
        rules: the settings' rules, compiled.
        drop_body: removes a stored body, some time soon.
    """
    polling = Polling(settings.max_polls_per_second)
    page_secret = keyring.signing_key("page tokens")
    answers = Answers(
        settings=settings,
        ledger=ledger,
        reader=reader,
        waiting=waiting,
        runs=runs,
        polling=polling,
        page_secret=page_secret,
        drop_body=drop_body,
    )
    operations = Operations(settings=settings, answers=answers, polling=polling, reader=reader, page_secret=page_secret)
    acceptance = Acceptance(
        settings=settings,
        ledger=ledger,
        reader=reader,
        waiting=waiting,
        bodies=bodies,
        keyring=keyring,
        answers=answers,
        operations=operations,
        drop_body=drop_body,
    )
    batches = Batches(
        settings=settings, rules=rules, bodies=bodies, keyring=keyring, acceptance=acceptance, drop_body=drop_body
    )
    return Desks(acceptance=acceptance, batches=batches, answers=answers, operations=operations)
