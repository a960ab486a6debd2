"""A small Django site for the replays: views that read, stream, fail, wait and count signals."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

from bgrs_middleware.progress import current_request

if not settings.configured:
    settings.configure(SECRET_KEY="tests", USE_TZ=True)

SITE = {
    "ROOT_URLCONF": __name__,
    "ALLOWED_HOSTS": ["*"],
    "MIDDLEWARE": ["django.middleware.common.CommonMiddleware"],
    "DEBUG": False,
    "DEBUG_PROPAGATE_EXCEPTIONS": False,
    "SECRET_KEY": "tests",
}

events: list[str] = []
began = threading.Event()


async def waits(_: HttpRequest) -> HttpResponse:
    await asyncio.sleep(0.01)
    return HttpResponse("alive")


async def waits_long(_: HttpRequest) -> HttpResponse:
    events.append("began")
    began.set()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        events.append("cancelled")
        raise
    return HttpResponse("never")


def echo(request: HttpRequest, rest: str) -> HttpResponse:
    run = current_request()
    assert run is not None
    return JsonResponse(
        {
            "post": {key: request.POST.getlist(key) for key in request.POST},
            "path": request.path_info,
            "rest": rest,
            "address": request.META["REMOTE_ADDR"],
            "uri": request.build_absolute_uri(),
            "method": run.method,
        }
    )


def streams(_: HttpRequest) -> StreamingHttpResponse:
    def pieces() -> Iterator[bytes]:
        for number in range(5):
            yield b"%d\n" % number

    return StreamingHttpResponse(pieces(), content_type="text/csv")


async def streams_async(_: HttpRequest) -> StreamingHttpResponse:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5):
            await asyncio.sleep(0)
            yield b"%d\n" % number

    return StreamingHttpResponse(pieces(), content_type="text/csv")


def sends_file(_: HttpRequest) -> FileResponse:
    return FileResponse(open(__file__, "rb"))


def fails(_: HttpRequest) -> HttpResponse:
    raise ValueError("boom")


urlpatterns: list[Any] = [
    path("waits", waits),
    path("waits-long", waits_long),
    path("echo/<str:rest>", echo),
    path("streams", streams),
    path("streams-async", streams_async),
    path("file", sends_file),
    path("fails", fails),
]
