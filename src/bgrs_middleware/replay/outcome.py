"""What both gateways say of an application that went wrong: the log, the detail, and the server's own 500.

An exception that a server would have answered with a 500 is captured as that 500, in the words of uvicorn, because the
result of a background request is what a synchronous caller would have got.
"""

from __future__ import annotations

import logging

from ..bodies.recorder import Recorder
from ..progress import Run

logger = logging.getLogger("bgrs_middleware.replay")

SERVER_ERROR_BODY = b"Internal Server Error"
SERVER_ERROR_HEADERS = ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21"))

STOPPED = "it was stopped while it ran"

MAX_REASON_LENGTH = 500


def describe(error: BaseException) -> str:
    """An exception in one line: its type and text."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001  # a broken __str__ of the application must not hide that it failed
        text = ""
    name = type(error).__name__
    return (f"{name}: {text}" if text else name)[:MAX_REASON_LENGTH]


def record_server_error(recorder: Recorder) -> None:
    """Record the 500 of a server whose application gave no response. `finish()` is the caller's."""
    recorder.start(500, SERVER_ERROR_HEADERS)
    recorder.write(SERVER_ERROR_BODY)


def note_withheld(run: Run, recorder: Recorder) -> None:
    """Tell in the details which headers of the response are not kept."""
    if recorder.withheld:
        run.note(f"withheld from the response: {', '.join(recorder.withheld)}"[:MAX_REASON_LENGTH])


def note_server_error(run: Run, error: BaseException | None) -> None:
    """Log why there is a 500 and tell it in the details."""
    if error is None:
        logger.error("The application returned without starting a response, background request %s", run.rid)
        run.note("the application returned without starting a response")
    else:
        _log_error(run, error)
        run.note(f"the application raised {describe(error)}")


def note_late_error(run: Run, error: BaseException) -> None:
    """Log an exception that came after the end of the response, and tell it in the details."""
    _log_error(run, error)
    run.note(f"after the end of its response the application raised {describe(error)}")


def log_broken(run: Run, error: BaseException | None) -> None:
    """Log that the application left its response unfinished; the reason is the listener's to tell."""
    if error is None:
        logger.error("The application returned without completing its response, background request %s", run.rid)
    else:
        _log_error(run, error)


def reason_of(error: BaseException | None) -> str:
    """Why a response broke off: the application raised, or returned too early."""
    if error is None:
        return "the application returned before the end of its response"
    return f"the application raised {describe(error)} before the end of its response"


def _log_error(run: Run, error: BaseException) -> None:
    logger.error("Exception in the application, background request %s", run.rid, exc_info=error)
