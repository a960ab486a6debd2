"""The plan, followed with Flask: its Response, jsonify, generators with the request's context, send_file."""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, Response, g, jsonify, request, send_file, stream_with_context

from ..plan import Plan, encoded, received
from .methods import METHODS
from .raw_wsgi import headers_of


def make_app(folder: str) -> Flask:
    """An application whose files are in this folder."""
    app = Flask(__name__)

    @app.before_request
    def begin() -> None:
        g.plan = Plan.load(request.headers.get("x-plan"))

    @app.route("/", defaults={"path": ""}, methods=METHODS)
    @app.route("/<path:path>", methods=METHODS)
    def answer(path: str) -> Response:
        content = received(
            method=request.method,
            path=request.path,
            query=request.query_string.decode("latin-1"),
            headers=headers_of(request.environ),
            body=request.get_data(),
            route=path,
            parameters=list(request.args.items(multi=True)),
            cookies=request.cookies,
            remote=request.remote_addr,
            url=request.url,
        )
        g.plan.check_before()
        response = _response(g.plan, content, folder)
        for name, value in g.plan.headers:
            response.headers.add(name, value)
        return response

    return app


def _response(plan: Plan, content: dict[str, Any], folder: str) -> Response:
    echo = encoded(content)
    if plan.way == "json":
        response = jsonify(content)
        response.status_code = plan.status
        return response
    if plan.way == "file":
        path = os.path.join(folder, f"{plan.sizes[0] if plan.sizes else 0}.bin")
        response = send_file(path, mimetype="application/octet-stream", download_name="a file.bin")
        response.status_code = plan.status
        return response
    if plan.way == "stream":
        response = Response(stream_with_context(plan.pieces(echo)), status=plan.status)
        length = plan.declared(echo)
        if length is not None:
            response.content_length = length
        return response
    return Response(plan.body(echo), status=plan.status)
