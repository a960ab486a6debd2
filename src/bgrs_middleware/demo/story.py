"""The story the demo tells: a request that is too slow for its proxy, and the same request in the background.

It is a client like any other: all it knows of the API goes through HTTP and the proxy.
"""

from __future__ import annotations

import threading
import time
from typing import Any, NoReturn

import httpx

from .errors import DemoError
from .proxy import PATIENCE_SECONDS
from .screen import Bar, Screen

POLL_SECONDS = 0.2
RUNNING = ("queued", "running", "cancelling")


class Story:
    """Tells it on a screen.

    Parameters:
        api_url, proxy_url: where the API and the proxy answer.
        seconds: how long the request takes.
    """

    def __init__(self, screen: Screen, *, api_url: str, proxy_url: str, seconds: float) -> None:
        self._screen = screen
        self._api_url = api_url
        self._proxy_url = proxy_url
        self._seconds = seconds
        # Environment variables that name a proxy must not lead requests to loopback astray.
        self._client = httpx.Client(trust_env=False, timeout=seconds + 60)

    def tell(self) -> None:
        """Tell it, in about as long as the request takes and the proxy waits.

        Raises:
            DemoError: an answer was not what it should be.
        """
        self._screen.say(f"An example API runs at {self._api_url}, behind a proxy at {self._proxy_url}")
        self._screen.say(f"that gives up after {PATIENCE_SECONDS:g} seconds. Nothing leaves this machine.")
        with self._client:
            try:
                self._plainly()
                rid = self._in_background()
                self._follow(rid)
                self._result(rid)
            except httpx.HTTPError as error:
                raise DemoError(f"the example API broke off: {error!r}.") from error

    def leave_running(self) -> None:
        """Show what to try, and wait to be interrupted."""
        base = self._proxy_url
        self._screen.title("Both keep running until Ctrl-C. To try, in another terminal:")
        self._screen.say(
            f"    curl -i '{base}/report?seconds=10&bgrs=yes'     then, with the id that came back:\n"
            f"    curl {base}/bgrs/<id>\n"
            f"    curl {base}/bgrs/<id>/details\n"
            f"    curl -i '{base}/bgrs/<id>/result?wait_for=2'\n"
            f"    curl -X POST {base}/bgrs/<id>/cancel\n"
            f"    curl -i '{base}/failing?bgrs=yes&wait_for=2'"
        )
        threading.Event().wait()

    def _plainly(self) -> None:
        self._screen.title(f"1. A request that takes {self._seconds:g} seconds, sent as usual")
        response = self._send("GET", f"/report?seconds={self._seconds:g}")
        if response.status_code == 503:
            self._screen.say("  The API went on working, and its answer reached nobody.")
        else:
            self._screen.say("  This was quick enough for the proxy; slower ones are not.")

    def _in_background(self) -> str:
        self._screen.title("2. The same request, with bgrs=yes")
        response = self._send("GET", f"/report?seconds={self._seconds:g}&bgrs=yes")
        if response.status_code != 202:
            _unexpected(response)
        rid: str = response.json()["request"]
        self._screen.say("  Accepted: it is on disk and runs now. Nobody has to hold a connection open for it.")
        return rid

    def _follow(self, rid: str) -> None:
        self._screen.title("3. How it goes on")
        self._screen.sent("GET", f"{self._proxy_url}/bgrs/{rid}", "(its status, five times a second)")
        self._screen.sent("GET", f"{self._proxy_url}/bgrs/{rid}/details?after=...", "(what is new in its history)")
        last_detail = "0"
        with self._screen.bar() as bar:
            while True:
                status = self._document(f"/bgrs/{rid}")[0]
                bar.move(status["status_name"], float(status["progress"] or 0))
                last_detail = self._show_details(rid, last_detail, bar)
                if status["status_name"] not in RUNNING:
                    break
                time.sleep(POLL_SECONDS)
        if status["status_name"] != "finished":
            raise DemoError(f"the background request is {status['status_name']}, not finished.")

    def _show_details(self, rid: str, last: str, bar: Bar) -> str:
        for entry in self._document(f"/bgrs/{rid}/details?after={last}"):
            bar.detail(f"{entry['dt']} UTC   {entry['details']}")
            last = entry["id"]
        return last

    def _result(self, rid: str) -> None:
        self._screen.title("4. The result: the API's own answer, whenever somebody asks for it")
        response = self._send("GET", f"/bgrs/{rid}/result")
        if response.status_code != 200:
            _unexpected(response)

    def _send(self, method: str, path: str) -> httpx.Response:
        url = self._proxy_url + path
        self._screen.sent(method, url)
        began = time.monotonic()
        response = self._client.request(method, url)
        self._screen.came_back(response, time.monotonic() - began)
        return response

    def _document(self, path: str) -> Any:
        response = self._client.get(self._proxy_url + path)
        if response.status_code != 200:
            _unexpected(response)
        return response.json()


def _unexpected(response: httpx.Response) -> NoReturn:
    is_problem = response.headers.get("Content-Type") == "application/problem+json"
    text = response.json()["detail"] if is_problem else response.text
    raise DemoError(f"{response.request.url} was answered with {response.status_code}: {text}")
