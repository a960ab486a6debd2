"""The plan, followed with Django: HttpResponse, JsonResponse, StreamingHttpResponse and FileResponse.

Django has one configuration per process, and other tests have theirs: `in_force` puts this one in its place meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any

import django
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.core.handlers.wsgi import WSGIHandler
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.test import override_settings
from django.urls import path, re_path

from ..plan import Plan, encoded, received

SITE = {
    "ALLOWED_HOSTS": ["*"],
    "DEBUG": False,
    "ROOT_URLCONF": __name__,
    "MIDDLEWARE": ["django.middleware.common.CommonMiddleware"],
    "DATA_UPLOAD_MAX_MEMORY_SIZE": None,
}

if not settings.configured:
    settings.configure(SECRET_KEY="only for tests", LOGGING_CONFIG=None)
    django.setup()


def in_force() -> AbstractContextManager[None]:
    """Make `SITE` this process's configuration for the block. Make and use the handlers inside it."""
    site: AbstractContextManager[None] = override_settings(**SITE)
    return site


def make_wsgi(folder: str) -> Callable[..., Any]:
    """Django's WSGI handler; files are in this folder."""
    handler = WSGIHandler()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        return handler(environ | {"test.folder": folder}, start_response)

    return app


def make_asgi(folder: str) -> Callable[..., Any]:
    """Django's ASGI handler; files are in this folder."""

    class Request(ASGIRequest):  # type: ignore[misc]  # Django has no types
        def __init__(self, scope: dict[str, Any], body_file: Any) -> None:
            super().__init__(scope, body_file)
            self.META["test.folder"] = folder

    class Handler(ASGIHandler):  # type: ignore[misc]  # Django has no types
        request_class = Request

    handler: Callable[..., Any] = Handler()
    return handler


def answer(request: HttpRequest) -> HttpResponseBase:
    """Answer as the plan says."""
    plan = Plan.load(request.headers.get("x-plan"))
    content = received(
        method=request.method or "",
        path=request.path,
        query=request.META["QUERY_STRING"],
        headers=sorted(request.headers.items()),
        body=request.body,
        parameters=[(name, request.GET.getlist(name)) for name in request.GET],
        cookies=request.COOKIES,
        url=request.build_absolute_uri(),
        remote=request.META["REMOTE_ADDR"],
    )
    plan.check_before()
    make = _async_response if isinstance(request, ASGIRequest) else _response
    response = make(plan, content, request.META["test.folder"])
    for name, value in plan.headers:
        if name.lower() == "set-cookie":
            response.set_cookie("seen", "yes")
        else:
            response[name] = value
    return response


def _async_response(plan: Plan, content: dict[str, Any], folder: str) -> HttpResponseBase:
    """The same under ASGI, where Django warns of plain iterators, its own FileResponse's among them."""
    echo = encoded(content)
    if plan.way == "file":
        with open(_path(plan, folder), "rb") as file:
            return StreamingHttpResponse(_one_by_one([file.read()]), status=plan.status)
    if plan.way == "stream":
        response = StreamingHttpResponse(_one_by_one(plan.pieces(echo)), status=plan.status)
        length = plan.declared(echo)
        if length is not None:
            response["Content-Length"] = str(length)
        return response
    return _response(plan, content, folder)


async def _one_by_one(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


def _path(plan: Plan, folder: str) -> str:
    return os.path.join(folder, f"{plan.sizes[0] if plan.sizes else 0}.bin")


def _response(plan: Plan, content: dict[str, Any], folder: str) -> HttpResponseBase:
    echo = encoded(content)
    if plan.way == "json":
        return JsonResponse(content, status=plan.status)
    if plan.way == "file":
        file = open(_path(plan, folder), "rb")  # noqa: SIM115  # FileResponse closes it
        return FileResponse(file, status=plan.status, as_attachment=True)
    if plan.way == "stream":
        response = StreamingHttpResponse(plan.pieces(echo), status=plan.status)
        length = plan.declared(echo)
        if length is not None:
            response["Content-Length"] = str(length)
        return response
    return HttpResponse(plan.body(echo), status=plan.status)


# The second is never reached by the first's pattern; it is there because a real urlconf has several.
urlpatterns = [path("health/", answer), re_path(r"^(?s:.*)$", answer)]
