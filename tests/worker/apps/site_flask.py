"""Flask, with the middleware in its place, and below other wrappers."""

from __future__ import annotations

import os

from flask import Flask, jsonify, request
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from bgrs_middleware import Settings
from bgrs_middleware.wsgi import BgrsMiddleware

app = Flask(__name__)


@app.route("/told", methods=["GET", "POST"])
def told():
    return jsonify(pid=os.getpid(), path=request.path)


@app.get("/health")
def health():
    return "well"


# What Flask's own documentation says to do.
app.wsgi_app = BgrsMiddleware(app.wsgi_app, settings=Settings.from_env())  # type: ignore[method-assign]


def decorated(wrapped):
    def application(environ, start_response):
        return wrapped(environ, start_response)

    return application


below_others = ProxyFix(DispatcherMiddleware(Flask("outer"), {"/below": decorated(app)}))
without = Flask("without")
