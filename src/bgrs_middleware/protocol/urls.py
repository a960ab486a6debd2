"""Absolute URLs of the application, as the client knows it."""

from __future__ import annotations

from urllib.parse import quote

from ..settings import Settings
from .message import RequestHead


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
    if sent is not None and _is_host(sent):
        return sent.decode("ascii")
    if head.server is None:
        return "localhost"
    host, port = head.server
    host = f"[{host}]" if ":" in host else host
    usual = {"http": 80, "https": 443}.get(head.scheme)
    return host if port is None or port == usual else f"{host}:{port}"


def _is_host(value: bytes) -> bool:
    # What a client can send lands in response headers: letters, digits and the marks of names, ports and IPv6 only.
    return bool(value) and all(chr(byte).isascii() and (chr(byte).isalnum() or chr(byte) in "-._:[]") for byte in value)
