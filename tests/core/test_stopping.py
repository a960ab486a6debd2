"""The signals by which a server is told to end: who hears them, when, and what a second one does."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
import warnings
from contextlib import suppress

import pytest

from bgrs_middleware.pending import Pending
from bgrs_middleware.service import stopping
from bgrs_middleware.service.stopping import FIRST, QUICK, heed_signals, ignore_signals

PATIENCE_SECONDS = 30


class Service:
    """Runs something until it is let go, or hurried."""

    def __init__(self) -> None:
        self.left = threading.Event()
        self.drains = threading.Event()
        self.hurried = threading.Event()
        self.idle: Pending[bool] = Pending()

    def leave(self) -> None:
        self.left.set()

    async def drain(self) -> None:
        self.drains.set()
        await self.idle

    def hurry(self) -> None:
        self.hurried.set()
        self.idle.set(False)


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def heard(service):
    """The signals that the server gets."""
    server: list[int] = []
    numbers = (*FIRST, *QUICK)
    before = {number: signal.signal(number, lambda number, _: server.append(number)) for number in numbers}
    yield server
    ignore_signals(service)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def no_repeats(monkeypatch):
    monkeypatch.setattr(stopping, "REPEAT_SECONDS", 0.0)


def until(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.mark.parametrize("number", FIRST)
def test_an_asgi_server_hears_it_at_once_and_so_does_the_service(service, heard, number):
    heed_signals(service, holds=False)
    signal.raise_signal(number)
    assert heard == [number]
    assert service.left.wait(PATIENCE_SECONDS)
    assert not service.hurried.is_set()


@pytest.mark.parametrize("number", FIRST)
def test_a_wsgi_server_hears_it_when_what_runs_has_ended(service, heard, number):
    heed_signals(service, holds=True)
    signal.raise_signal(number)
    assert service.drains.wait(PATIENCE_SECONDS)
    assert service.left.is_set()
    assert heard == []
    service.idle.set(True)
    until(lambda: heard)
    assert heard == [number]


@pytest.mark.parametrize("holds", [True, False])
def test_a_signal_that_is_repeated_at_once_is_the_same_one(service, heard, holds, monkeypatch):
    monkeypatch.setattr(stopping, "REPEAT_SECONDS", 3600.0)
    heed_signals(service, holds=holds)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert service.left.wait(PATIENCE_SECONDS)
    assert heard == ([] if holds else [signal.SIGTERM] * 2)
    assert not service.hurried.is_set()
    service.idle.set(True)
    until(lambda: heard)


@pytest.mark.parametrize("holds", [True, False])
def test_a_second_signal_is_passed_on_at_once_and_ends_the_drain(service, heard, holds, no_repeats):
    heed_signals(service, holds=holds)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM] * (1 if holds else 2)
    assert service.hurried.wait(PATIENCE_SECONDS)


def test_what_a_server_takes_as_at_once_is_passed_on_at_once(service, heard):
    heed_signals(service, holds=True)
    signal.raise_signal(signal.SIGQUIT)
    assert heard == [signal.SIGQUIT]
    assert service.hurried.wait(PATIENCE_SECONDS)


def test_several_services_of_a_process_are_all_told_and_all_waited_for(service, heard):
    other = Service()
    heed_signals(service, holds=True)
    heed_signals(other, holds=True)
    signal.raise_signal(signal.SIGTERM)
    assert other.drains.wait(PATIENCE_SECONDS)
    service.idle.set(True)
    assert other.left.is_set()
    assert heard == []
    other.idle.set(True)
    until(lambda: heard)
    ignore_signals(other)
    assert heard == [signal.SIGTERM]


def test_a_service_that_is_closed_keeps_nothing_from_the_server(service, heard):
    heed_signals(service, holds=True)
    ignore_signals(service)
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert not service.left.is_set()


def test_nothing_is_left_of_it_and_it_can_begin_again(service, heard):
    def listeners():
        return [thread for thread in threading.enumerate() if thread.name == "bgrs-signals"]

    for _ in range(2):
        heed_signals(service, holds=True)
        assert len(listeners()) == 1
        ignore_signals(service)
        assert listeners() == []
    heed_signals(service, holds=True)
    signal.raise_signal(signal.SIGTERM)
    assert service.left.wait(PATIENCE_SECONDS)
    service.idle.set(True)
    until(lambda: heard)


def test_it_can_be_asked_for_from_a_thread_of_the_server(service, heard):
    thread = threading.Thread(target=heed_signals, args=(service,), kwargs={"holds": True})
    thread.start()
    thread.join()
    until(lambda: signal.getsignal(signal.SIGTERM).__class__ is stopping._Signals)
    signal.raise_signal(signal.SIGTERM)
    assert service.left.wait(PATIENCE_SECONDS)
    service.idle.set(True)
    until(lambda: heard)


SLEEPER = """
import signal, sys, threading
from bgrs_middleware.service import stopping

class Service:
    def leave(self): pass
    def hurry(self): pass
    async def drain(self): print("drains", flush=True)

woken = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: woken.set())

def heed():
    stopping.heed_signals(Service(), holds=True)
    while not isinstance(signal.getsignal(signal.SIGTERM), stopping._Signals):
        pass
    print("heard", flush=True)

threading.Thread(target=heed).start()
woken.wait()
print(signal.getsignal(signal.SIGURG), flush=True)
"""


def test_a_main_thread_that_sleeps_on_a_lock_is_woken_for_it():
    with subprocess.Popen([sys.executable, "-c", SLEEPER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "heard\n"
        process.terminate()
        while not select.select([process.stdout], [], [], 0.1)[0]:
            # One that comes just before the main thread goes to sleep does not wake it.
            process.terminate()
        assert process.stdout.readline() == "drains\n"
        assert process.stdout.readline() == f"{signal.SIG_DFL}\n"
        assert process.wait(PATIENCE_SECONDS) == 0


def test_a_loop_outside_of_the_main_thread_takes_no_signals(service, heard):
    thread = threading.Thread(target=heed_signals, args=(service,), kwargs={"holds": False})
    thread.start()
    thread.join()
    signal.raise_signal(signal.SIGTERM)
    assert heard == [signal.SIGTERM]
    assert not service.left.is_set()


def test_a_child_that_was_forked_leaves_its_parents_service_alone(service, heard):
    heed_signals(service, holds=True)
    with warnings.catch_warnings():
        # Newer Pythons warn of threads at a fork, which is what this is about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        signal.raise_signal(signal.SIGTERM)
        os._exit(0 if heard == [signal.SIGTERM] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


PROGRAM = """
import sys, threading
from bgrs_middleware.pending import Pending
from bgrs_middleware.service import stopping
stopping.REPEAT_SECONDS = 0.0

class Service:
    idle = Pending()
    def leave(self): print("left", flush=True)
    def hurry(self): pass
    async def drain(self):
        print("drains", flush=True)
        await self.idle
        print("drained", flush=True)

service = Service()
stopping.heed_signals(service, holds=sys.argv[1] == "wsgi")
threading.Thread(target=lambda: (sys.stdin.read(1), service.idle.set(True)), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("gateway", ["asgi", "wsgi"])
@pytest.mark.parametrize("second", [False, True])
def test_where_nobody_else_hears_it_the_process_dies_of_it_after_the_drain_or_at_a_second_one(gateway, second):
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, gateway], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        said = process.stdout
        assert said.readline() == "ready\n"
        process.terminate()
        assert said.readline() == "left\n"
        assert said.readline() == "drains\n"
        assert process.poll() is None
        if second:
            ended = False
            while not ended:
                # As above: the main thread may be just about to sleep again.
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    ended = process.wait(0.1) is not None
        else:
            process.stdin.write("x")
            process.stdin.flush()
        assert process.wait(PATIENCE_SECONDS) == -signal.SIGTERM
        assert ("drained\n" in said.read()) is not second
