"""What both doors share: which requests concern us, and this process's service."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace

from .errors import BgrsError, SettingsError
from .executors.doorbell import folder_of_bells
from .executors.worker import WorkerExecutor
from .protocol.ask import Ask, read_ask
from .protocol.message import Reply, RequestHead
from .protocol.openapi import openapi_reply
from .protocol.problem import google_error_reply, problem_reply
from .protocol.routes import Action, Route, find_route, is_googles_path
from .protocol.rules import Rules
from .service.job import Replayer
from .service.service import Service
from .settings import Settings

logger = logging.getLogger("bgrs_middleware.doors")


class Doorway:
    """Settings, compiled once, and the service of whichever process asks for it.

    Parameters:
        settings: all of them.
        replayer: starts replays in the way of the door's gateway.
    """

    def __init__(self, settings: Settings, replayer: Replayer) -> None:
        self.settings = settings
        self.rules = Rules(settings.rules)
        self._replayer = replayer
        self._service: Service | None = None
        self._lock = threading.Lock()

    def concern(self, head: RequestHead) -> Route | Ask | None:
        """What a request wants of us: one of our routes, to be run in the background, or nothing.

        Raises:
            Refusal: it concerns us, but cannot be understood.
        """
        route = find_route(head.method, head.route_path, self.settings, self.rules)
        return route if route is not None else read_ask(head, self.settings, self.rules)

    def error_reply(self, error: BgrsError, head: RequestHead, concern: Route | Ask | None = None) -> Reply:
        """The answer to an error, in the form that who asked can read.

        Parameters:
            concern: what was asked for; None where it could not be told.
        """
        if isinstance(error, SettingsError):
            logger.error("A setting is unusable: %s", error)
        is_googles = self._is_googles(head, concern)
        return google_error_reply(error, head.method) if is_googles else problem_reply(error, head.method)

    def _is_googles(self, head: RequestHead, concern: Route | Ask | None) -> bool:
        if isinstance(concern, Ask):
            rule = concern.rule
        elif is_googles_path(head.route_path, self.settings):
            return True
        else:
            # Perhaps a request to a rule, of which something, such as its marker, could not be understood.
            rule = self.rules.match(head.method, head.route_path) if concern is None else None
        return rule is not None and rule.returns_operation

    async def answer_anybody(self, route: Route, head: RequestHead) -> Reply:
        """Answer what needs neither a caller nor a store that works. Awaits nothing but `Pending`s."""
        if route.action is Action.OPENAPI:
            return openapi_reply(self.settings, head)
        return await self.service.health.answer(head)

    @property
    def service(self) -> Service:
        """This process's service, not necessarily open. After a fork the child gets one of its own."""
        service = self._service
        if service is None or service.pid != os.getpid():
            with self._lock:
                service = self._service
                if service is None or service.pid != os.getpid():
                    service = self._service = Service(self.settings, self.rules, self._replayer)
        return service

    @property
    def open_service(self) -> Service | None:
        """This process's service if it is open."""
        service = self._service
        return service if service is not None and service.is_open and service.pid == os.getpid() else None

    def become_worker(self, concurrency: int | None) -> Service:
        """The service of a process that runs requests, whatever `executor` says; not open. Before any other use.

        Parameters:
            concurrency: how many at a time. None: as the settings say.
        """
        executor = WorkerExecutor(folder_of_bells(self.settings))
        self.settings = replace(self.settings, executor=executor, concurrency=concurrency or self.settings.concurrency)
        return self.service
