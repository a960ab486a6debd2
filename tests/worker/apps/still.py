"""The oracle in a process whose recurring duties never come: nothing but a bell can make it look for work."""

from bgrs_middleware.service import reporter

reporter.PERIOD_SECONDS = 86_400.0

# The period must be set before anything starts; the oracle is in the folder of the other tests' applications.
from oracle import asgi_app, wsgi_app  # type: ignore[import-not-found]  # noqa: E402, F401
