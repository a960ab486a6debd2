"""The heart of the tests: whatever is asked and whatever is answered, the captured answer is the plain one.

For each of seven applications Hypothesis draws 2,000 requests with the response each of them should get. Every one is
sent plainly to the bare application and with the marker through the middleware.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .apps import raw_asgi, raw_wsgi, with_django, with_fastapi, with_flask, with_starlette
from .cases import CASES_PER_EXAMPLE, HOP_BY_HOP, UNSENDABLE, Case, cases
from .harness import AsgiHarness, Harness, WsgiHarness, make_files

CASES = 2_000

MAKERS: dict[str, Callable[[str, Path], Harness]] = {
    "raw ASGI": lambda folder, data_dir: AsgiHarness(raw_asgi.app, data_dir),
    "Starlette": lambda folder, data_dir: AsgiHarness(with_starlette.make_app(folder), data_dir),
    "FastAPI": lambda folder, data_dir: AsgiHarness(with_fastapi.make_app(folder), data_dir),
    "raw WSGI": lambda folder, data_dir: WsgiHarness(raw_wsgi.app, data_dir),
    "Flask": lambda folder, data_dir: WsgiHarness(with_flask.make_app(folder), data_dir),
    "Django": lambda folder, data_dir: WsgiHarness(with_django.make_wsgi(folder), data_dir, reads_chunked=False),
    "Django's ASGI": lambda folder, data_dir: AsgiHarness(with_django.make_asgi(folder), data_dir),
}
# What a framework refuses to send itself is drawn only for those that pass it on.
EXTRA_HEADERS = {
    "raw ASGI": HOP_BY_HOP + UNSENDABLE,
    "Starlette": HOP_BY_HOP + UNSENDABLE,
    "FastAPI": HOP_BY_HOP + UNSENDABLE,
    "raw WSGI": HOP_BY_HOP + UNSENDABLE,
    "Flask": HOP_BY_HOP,
    "Django": HOP_BY_HOP,
    "Django's ASGI": HOP_BY_HOP,
}


@pytest.fixture
def _quietly() -> Iterator[None]:
    """Hundreds of the cases are exceptions, each of which is logged, as it should be."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def _django() -> Iterator[None]:
    with with_django.in_force():
        yield


@pytest.mark.usefixtures("_quietly", "_django")
@pytest.mark.parametrize("name", MAKERS)
def test_the_captured_answer_is_the_plain_one(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    harness = MAKERS[name](make_files(tmp_path / "files"), tmp_path / "data")
    count = 0

    @settings(
        max_examples=CASES // CASES_PER_EXAMPLE,
        derandomize=True,
        database=None,
        deadline=None,
        # A failure names the one case of twenty that differs; shrinking would run thousands more to say little else.
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(cases(extra_headers=EXTRA_HEADERS[name]), min_size=CASES_PER_EXAMPLE, max_size=CASES_PER_EXAMPLE))
    def check(drawn: list[Case]) -> None:
        nonlocal count
        harness.run(drawn)
        count += len(drawn)

    try:
        check()
    finally:
        harness.close()
    kinds = ", ".join(f"{number} {kind}" for kind, number in sorted(harness.seen.items()))
    record_property("differential cases", f"{name}: {count}, 0 mismatches ({kinds})")
    assert count >= CASES
    assert min(harness.seen[kind] for kind in ("broken off", "empty", "in a file", "server errors")) >= 50
