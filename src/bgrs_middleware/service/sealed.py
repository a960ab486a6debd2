"""Responses that were whole on disk when their worker died, just before the store was told: they are kept.

Only a response that is too large for the row is on disk before its record is written. A smaller one and its record are
one commit, so there is nothing to keep of it: what was not committed is not known to anybody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ..bodies.base import Bodies
from ..bodies.names import result_name
from ..bodies.trailer import captured_in
from ..errors import BodyNotFound, StorageError
from ..models import Captured, Record

logger = logging.getLogger("bgrs_middleware.sweeper")


class SealedResponses:
    """What dead workers left, as far as this host can see it: bodies on another host's disk are not there.

    Parameters:
        bodies: where results lie.
        drop_body: removes a stored body, some time soon.
    """

    def __init__(self, bodies: Bodies, drop_body: Callable[[str], object]) -> None:
        self._bodies = bodies
        self._drop_body = drop_body

    def find(self, record: Record) -> Captured | None:
        """The response that the worker which holds a request has sealed for it, if there is one and it is whole.

        Reads all of it, to be sure: a second or two for each GiB.
        """
        name = result_name(record.rid, record.attempt)
        try:
            reader = self._bodies.read(name)
        except BodyNotFound:
            return None
        except StorageError as error:
            logger.warning("The response of %s that its worker left cannot be opened: %s", record.rid, error)
            return None
        try:
            return captured_in(reader, name)
        except StorageError as error:
            logger.warning("The response of %s that its worker left cannot be read: %s", record.rid, error)
            return None
        finally:
            reader.close()

    def drop(self, record: Record) -> None:
        """Remove what the worker that held a request may have sealed for it. No record names it any more."""
        self._drop_body(result_name(record.rid, record.attempt))
