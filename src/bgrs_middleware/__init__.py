"""Makes any endpoint of an existing ASGI or WSGI application callable in the background, with one line.

What an application imports stands here: `Settings` and `Rule`, the five functions that a handler may call, and the
module `errors`. The middleware itself is in `bgrs_middleware.asgi` and `bgrs_middleware.wsgi`. Each name is imported
at its first use, so that `import bgrs_middleware` alone costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import errors
    from .progress import cancelled, current_request, report_item, report_progress, track
    from .settings import Rule, Settings

__version__ = "0.1.0"

__all__ = [
    "Rule",
    "Settings",
    "__version__",
    "cancelled",
    "current_request",
    "errors",
    "report_item",
    "report_progress",
    "track",
]

_HOMES = {
    "Rule": "settings",
    "Settings": "settings",
    "cancelled": "progress",
    "current_request": "progress",
    "report_item": "progress",
    "report_progress": "progress",
    "track": "progress",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module(".errors", __name__)
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
