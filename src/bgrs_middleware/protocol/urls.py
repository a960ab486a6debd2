"""Absolute URLs of the application, as the client knows it."""

from __future__ import annotations

from string import ascii_letters, digits
from urllib.parse import quote

from ..settings import Settings
from .message import RequestHead

# What a client can send lands in response headers: letters, digits and the marks of names, ports and IPv6 only.
_IN_A_HOST = (ascii_letters + digits + "._:[]-").encode()


def base_url(head: RequestHead, settings: Settings) -> str:
    """Return the public URL of the application's root, without a slash at the end.

    It is the setting `public_url`, which then stands for scheme, host and any prefix that the proxy takes away; else
    the request's own scheme, `Host` header and `root_path`.
    """
    if settings.public_url is not None:
        return settings.public_url.rstrip("/")
    return f"{head.scheme}://{_host(head)}{quote(head.root_path.rstrip('/'))}"


def _host(head: RequestHead) -> str:
    sent = head.header(b"host")
    if sent and not sent.translate(None, _IN_A_HOST):
        return sent.decode("ascii")
    if head.server is None:
        return "localhost"
    host, port = head.server
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(head.scheme)
    return host if port is None or port == usual else f"{host}:{port}"
