"""Log records that a background request emits become its details (setting `capture_logging`)."""

from __future__ import annotations

import logging

from ..progress import current_run


class RunLogHandler(logging.Handler):
    """Turns records at or above a level into details of the run they were emitted in.

    It sees what the application's own logging configuration lets through to the root logger.

    Parameters:
        level: a level's name, such as "INFO".
    """

    def __init__(self, level: str) -> None:
        super().__init__(level.upper())
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Add a detail, where a background request runs."""
        run = current_run.get()
        if run is None or record.name.startswith("bgrs_middleware"):
            return
        try:
            run.note(self.format(record))
        except Exception:  # noqa: BLE001  # logging's own way with a record that cannot be formatted
            self.handleError(record)
