"""The demo from beginning to end: what it starts, and that all of it is gone afterwards, however it ends."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator

from .errors import DemoError
from .interrupts import Interrupts
from .screen import Screen
from .servers import HOST, api, bound, proxy
from .story import Story

INTERRUPTED = 130


def run(*, port: int, proxy_port: int, seconds: float, serve: bool, data_dir: str | None) -> int:
    """Run the demo.

    Parameters:
        port, proxy_port: where the API and the proxy listen; 0 for free ports.
        seconds: how long the request of the demo takes.
        serve: whether both stay until they are interrupted.
        data_dir: where the API keeps its data. None: a temporary folder.

    Returns:
        0, or 130 where it was interrupted before the end.

    Raises:
        DemoError: a port is taken, or something did not go as it should.
    """
    # The demo tells what happens; a log beside it would only be in the way.
    logging.getLogger("bgrs_middleware").setLevel(logging.CRITICAL)
    screen = Screen()
    served = False
    with Interrupts() as interrupts:
        try:
            with _servers(port, proxy_port, data_dir) as (api_url, proxy_url), interrupts.allowed():
                story = Story(screen, api_url=api_url, proxy_url=proxy_url, seconds=seconds)
                story.tell()
                if serve:
                    served = True
                    story.leave_running()
        except KeyboardInterrupt:
            # On a screen of its own: rich may have been cut off while it printed, and keep what is said after that.
            Screen().say("Stopped; nothing is left behind." if data_dir is None else "Stopped.")
            return 0 if served else INTERRUPTED
    return 0


@contextlib.contextmanager
def _servers(port: int, proxy_port: int, data_dir: str | None) -> Iterator[tuple[str, str]]:
    """The API and the proxy, while the block runs: their URLs."""
    with contextlib.ExitStack() as stack:
        api_listener = stack.enter_context(bound(port, "--port"))
        proxy_listener = stack.enter_context(bound(proxy_port, "--proxy-port"))
        api_port, proxy_port = (listener.getsockname()[1] for listener in (api_listener, proxy_listener))
        folder = stack.enter_context(_data_folder(data_dir))
        stack.enter_context(api(api_listener, folder))
        stack.enter_context(proxy(proxy_listener, api_port))
        yield f"http://{HOST}:{api_port}", f"http://{HOST}:{proxy_port}"


@contextlib.contextmanager
def _data_folder(data_dir: str | None) -> Iterator[str]:
    if data_dir is not None:
        try:
            os.makedirs(data_dir, mode=0o700, exist_ok=True)
            tempfile.TemporaryFile(dir=data_dir).close()
        except OSError as error:
            raise DemoError(f"{data_dir} cannot be used ({error.strerror}); name another folder.") from error
        yield os.path.abspath(data_dir)
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix="bgrs-demo-")
    except OSError as error:
        raise DemoError(f"no temporary folder can be made ({error.strerror}); name one with --data-dir.") from error
    with folder as name:
        yield name
