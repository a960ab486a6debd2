"""After how many seconds it makes sense to ask again: the one estimate behind every `Retry-After` of a request.

Where the progress of a run is known, the time that is left if it goes on at this pace. Else a tenth of the time that it
has taken already: who asked for something long is not told to hurry, and hears of the end soon after it. Always from 1
to 30 seconds, whatever the clocks and the application say.
"""

from __future__ import annotations

from ..models import Record, Status

SHORTEST_SECONDS = 1
LONGEST_SECONDS = 30

# Looked up once: Python 3.11 takes as long to find a member as for all that is computed here.
_QUEUED, _RUNNING, _CANCELLING = Status.QUEUED, Status.RUNNING, Status.CANCELLING

_SHARE = 0.1
"""Of the time that it has taken, where nothing is known of the progress."""


def retry_after_seconds(record: Record, now: float) -> int:
    """Return after how many whole seconds to ask again for a request that has not ended.

    Parameters:
        record: as it is known. One that has ended gets the shortest time: there is nothing to wait for.
        now: seconds since the epoch; earlier than the record's own times where somebody set the clock back.
    """
    if record.status.is_final:
        return SHORTEST_SECONDS
    progress = record.progress
    share = (100.0 - progress) / progress if progress and record.status is _RUNNING else _SHARE
    seconds = share * (now - _since(record))
    # Asked in this way round, so that a progress that is no number is none.
    if not seconds > SHORTEST_SECONDS:
        return SHORTEST_SECONDS
    return LONGEST_SECONDS if seconds >= LONGEST_SECONDS else round(seconds)


def _since(record: Record) -> float:
    """Since when the wait that is going on lasts: in the queue, since the start, or since it was told to stop.

    A report of an application that is being stopped counts as news of it, like the cancel itself.
    """
    if record.status is _CANCELLING:
        return record.updated_at
    return record.queued_at if record.status is _QUEUED or record.started_at is None else record.started_at
