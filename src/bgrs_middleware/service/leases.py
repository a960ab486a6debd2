"""Tells whose lease is over, and trusts no clock that somebody has just set.

Leases are measured with one clock for all (`Store.lease_now`). A host's clock since its start cannot be set, a database
server's can. When that is set, leases that are older say nothing: each worker that lives gives itself a new one within
the time of a sweep, which reads the clock, and a heartbeat. So for so long nobody is taken for dead by a lease.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..models import Record
from ..settings import Settings

LONGEST_LEASES = 10
"""No lease can end later than one lease from now. One that is this many leases off was given before the clock was set
back, or began anew with its host."""

STEP_SECONDS = 5.0
"""No clock drifts as far between two sweeps: it was set, or its host slept."""

logger = logging.getLogger("bgrs_middleware.sweeper")


class Leases:
    """The leases of other workers, as one process sees them.

    Parameters:
        settings: `lease_seconds`, `heartbeat_seconds`, `sweep_seconds`.
        lease_now: the clock of leases.
        monotonic: a clock that nobody sets, to see that somebody has set that one.
    """

    def __init__(
        self, settings: Settings, lease_now: Callable[[], float], monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._longest_seconds = LONGEST_LEASES * settings.lease_seconds
        self._notice_seconds = settings.sweep_seconds + 2 * settings.heartbeat_seconds
        self._lease_now = lease_now
        self._monotonic = monotonic
        self._ahead = lease_now() - monotonic()
        self._trusted_from = float("-inf")

    def is_over(self, record: Record) -> bool:
        """Whether the lease on a request that a worker holds is over. To be asked of what was read just now."""
        if not self.can_tell():
            return False
        now, lease_until = self._lease_now(), record.lease_until
        return lease_until is None or lease_until < now or lease_until > now + self._longest_seconds

    def can_tell(self) -> bool:
        """Whether leases say anything just now. To be asked with every sweep, so that no step is missed."""
        monotonic = self._monotonic()
        step = self._lease_now() - monotonic - self._ahead
        self._ahead += step
        if abs(step) > STEP_SECONDS:
            logger.warning(
                "The clock that leases are measured with was set by %+.0f s, or this host slept. Nobody is taken for "
                "dead by a lease for the next %.0f s.",
                step,
                self._notice_seconds,
            )
            self._trusted_from = monotonic + self._notice_seconds
        return monotonic >= self._trusted_from
