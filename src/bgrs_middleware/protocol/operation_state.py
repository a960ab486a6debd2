"""What a record is as a long-running operation (CONTRACT, section 5): its state, and its times in microseconds.

Said once, because a document that shows an operation and a filter that looks for it must mean the same by it.
"""

from __future__ import annotations

import math
from enum import StrEnum
from fractions import Fraction

from ..models import Status

MICROSECONDS = 1_000_000
"""In a second."""

FIRST_ERROR_STATUS = 400
"""A response from this HTTP status on is an operation that failed."""

_HALF = Fraction(1, 2)


class OperationState(StrEnum):
    """The states of an operation, by their names on the wire."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    CANCELLING = "CANCELLING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


DONE = frozenset({OperationState.SUCCEEDED, OperationState.FAILED, OperationState.CANCELLED})
"""The states in which `done` is true."""

STATE_OF: dict[Status, OperationState] = {
    Status.QUEUED: OperationState.PENDING,
    Status.RUNNING: OperationState.RUNNING,
    Status.CANCELLING: OperationState.CANCELLING,
    Status.FAILED: OperationState.FAILED,
    Status.CANCELLED: OperationState.CANCELLED,
    Status.LOST: OperationState.FAILED,
    Status.EXPIRED: OperationState.FAILED,
}
"""For every status but FINISHED, which the captured response decides."""


def state_of(status: Status, http_status: int | None) -> OperationState:
    """The state of an operation.

    Parameters:
        status: of its record.
        http_status: of the captured response. FINISHED is SUCCEEDED below 400, else FAILED, as it is without one.
    """
    if status is not Status.FINISHED:
        return STATE_OF[status]
    is_good = http_status is not None and http_status < FIRST_ERROR_STATUS
    return OperationState.SUCCEEDED if is_good else OperationState.FAILED


def microseconds(seconds: float) -> int:
    """A record's time in whole microseconds since the epoch: the nearest, and the later one of two as near.

    The nearest and not the one before, because most decimal fractions lie a little beside their float.
    """
    return math.floor(Fraction(seconds) * MICROSECONDS + _HALF)


def first_seconds(at_microseconds: int) -> float:
    """The smallest float of seconds that `microseconds` takes for this number, or a greater one."""
    bound = (at_microseconds - _HALF) / MICROSECONDS
    nearest = float(bound)
    return nearest if nearest >= bound else math.nextafter(nearest, math.inf)
