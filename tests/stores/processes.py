"""What tests of stores run in processes of their own, and how they run it.

The functions here are imported by name in a spawned process. Each gets a barrier, at which all of a test's processes
meet once they are ready, and its number.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

from bgrs_middleware.errors import StoreUnavailable
from bgrs_middleware.stores.sql import SqlStore
from stores.orders import a_claim, a_finish, added, an_add, claimed, record

WAIT_SECONDS = 120
SPAWN = multiprocessing.get_context("spawn")


def in_processes(count: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """Run `work(barrier, number, *arguments)` in as many processes; return what they returned.

    Raises:
        AssertionError: one of them raised or died; its traceback is the message.
    """
    barrier = SPAWN.Barrier(count)
    pipes = [SPAWN.Pipe(duplex=False) for _ in range(count)]
    processes = [
        SPAWN.Process(target=_report, args=(sender, work, barrier, number, arguments))
        for number, (_, sender) in enumerate(pipes)
    ]
    for process in processes:
        process.start()
    for _, sender in pipes:
        sender.close()
    results = [_received(receiver) for receiver, _ in pipes]
    for process in processes:
        process.join(WAIT_SECONDS)
    for failed, result in results:
        assert not failed, result
    return [result for _, result in results]


def _received(receiver: Any) -> tuple[bool, Any]:
    with receiver:
        try:
            return receiver.recv() if receiver.poll(WAIT_SECONDS) else (True, "a process did not answer")
        except EOFError:
            return True, "a process died"


def _report(sender: Any, work: Callable[..., Any], barrier: Barrier, number: int, arguments: tuple[Any, ...]) -> None:
    try:
        sender.send((False, work(barrier, number, *arguments)))
    except BaseException:
        barrier.abort()
        sender.send((True, traceback.format_exc()))


def claim_all(barrier: Barrier, number: int, url: str) -> list[str]:
    """Claim three at a time until there is nothing left; return what was claimed."""
    store = SqlStore(url)
    store.open()
    mine: list[str] = []
    barrier.wait(WAIT_SECONDS)
    while taken := claimed(store, worker=f"worker {number}", limit=3):
        mine += [claim.record.rid for claim in taken]
    store.close()
    return mine


def write_many(barrier: Barrier, number: int, url: str, count: int) -> int:
    """Add, claim and finish in as many transactions, as fast as it goes; return how many were finished."""
    store = SqlStore(url)
    store.open()
    finished = 0
    worker = f"worker {number}"
    barrier.wait(WAIT_SECONDS)
    for _ in range(count):
        with store.transaction() as transaction:
            transaction.add([an_add(sealed_request=b"x" * 3_000) for _ in range(3)])
        with store.transaction() as transaction:
            [taken] = transaction.claim([a_claim(worker, 3)])
            changed = transaction.finish([a_finish(claim.record.rid, worker=worker) for claim in taken])
        finished += sum(change.done for change in changed)
        store.count_queued()
    store.close()
    return finished


def open_at_once(barrier: Barrier, number: int, url: str) -> str:
    """Open a store that does not exist yet, with all the others, and add to it."""
    store = SqlStore(url)
    barrier.wait(WAIT_SECONDS)
    store.open()
    [rid] = added(store)
    store.close()
    return rid


def fork_and_write(barrier: Barrier, number: int, url: str) -> list[str]:
    """Use a store before a fork, in the child, and in the parent afterwards; return the rids that were added."""
    store = SqlStore(url)
    store.open()
    rids = added(store) + added(store)
    assert record(store, rids[0]).id == 1
    child = os.fork()
    if child == 0:
        try:
            added(store, name="of the child")
            assert record(store, rids[0]).id == 1
            store.close()
            del store
            gc.collect()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    rids += added(store)
    assert set(store.get(rids)) == set(rids)
    assert store.count_queued() == 4
    store.close()
    return rids


def fork_while_writing(barrier: Barrier, number: int, url: str) -> int:
    """Fork while another thread is in a transaction: the child must not wait for a thread that it does not have."""
    store = SqlStore(url)
    store.open()
    inside, leave = threading.Event(), threading.Event()

    def write() -> None:
        with store.transaction() as transaction:
            transaction.add([an_add()])
            inside.set()
            leave.wait(WAIT_SECONDS)

    thread = threading.Thread(target=write)
    thread.start()
    inside.wait(WAIT_SECONDS)
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(WAIT_SECONDS)
            added(store)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    leave.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    queued = store.count_queued()
    store.close()
    return queued


def hold_transaction(url: str, inside: Event, leave: Event) -> None:
    """Stay inside a transaction until told to leave, or killed."""
    store = SqlStore(url)
    store.open()
    with store.transaction() as transaction:
        transaction.add([an_add()])
        inside.set()
        leave.wait(WAIT_SECONDS)
    store.close()


def use_read_only_folder(barrier: Barrier, number: int, folder: str) -> list[str]:
    """Open and use a store where only the folder's permissions forbid it, and again when they no longer do.

    Root may write anywhere, so root becomes nobody, after a first use that loads all modules.
    """
    warm = SqlStore(f"sqlite:///{folder}/warm/bgrs.sqlite3")
    warm.open()
    added(warm)
    warm.close()
    place = Path(folder) / "data"
    place.mkdir()
    place.chmod(0o500)
    if os.geteuid() == 0:
        os.chown(place, 65534, 65534)
        os.setgid(65534)
        os.setuid(65534)
    store = SqlStore(f"sqlite:///{place}/bgrs.sqlite3")
    reasons = [_reason(store.open)]
    place.chmod(0o700)
    store.open()
    added(store)
    store.close()
    (place / "bgrs.sqlite3").chmod(0o400)
    reasons.append(_reason(store.open))
    for file in place.iterdir():  # SQLite gives its log the permissions of the file
        file.chmod(0o600)
    store.open()
    added(store)
    assert store.count_queued() == 2
    store.close()
    return reasons


def _reason(call: Callable[[], None]) -> str:
    try:
        call()
    except StoreUnavailable as error:
        return str(error)
    return "it could be done"
