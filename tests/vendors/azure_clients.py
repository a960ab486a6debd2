"""Clients as Azure's generated packages build them: azure-core, unmodified, with every policy that those use.

`Noted` is the last policy and the transport in one view: what was sent, what came, and how long the poller slept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from azure.core import AsyncPipelineClient, PipelineClient
from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline import PipelineRequest, PipelineResponse, policies
from azure.core.pipeline.transport import AsyncioRequestsTransport, RequestsTransport
from azure.core.polling import AsyncLROPoller, LROPoller
from azure.core.polling.async_base_polling import AsyncLROBasePolling
from azure.core.polling.base_polling import LocationPolling, LongRunningOperation, LROBasePolling
from azure.core.rest import HttpRequest

INTERVAL_SECONDS = 0.01
"""How long a poller would wait if nobody told it: far less than any `Retry-After`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A request that a client sent, and its answer."""

    method: str
    url: str
    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def operation_status(self) -> str | None:
        """What the answer says of the operation, where it is the operation's document."""
        return json.loads(self.body)["status"] if self.url.endswith("/operation") else None

    @property
    def retry_after_seconds(self) -> float | None:
        """The header `Retry-After`."""
        said = self.headers.get("Retry-After")
        return None if said is None else float(said)


@dataclass(slots=True)
class Noted(policies.SansIOHTTPPolicy[Any, Any]):
    """What went over the wire, in order. `after_each` is called with each exchange."""

    after_each: Callable[[Exchange], object] = lambda exchange: None
    exchanges: list[Exchange] = field(default_factory=list)
    sleeps: list[float] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def on_response(self, request: PipelineRequest[Any], response: PipelineResponse[Any, Any]) -> None:
        came = response.http_response
        exchange = Exchange(
            method=request.http_request.method,
            url=request.http_request.url,
            status=came.status_code,
            headers=came.headers,
            body=came.text(),
        )
        self.exchanges.append(exchange)
        self.after_each(exchange)

    @property
    def sent(self) -> list[tuple[str, str]]:
        """Method and URL of each request."""
        return [(each.method, each.url) for each in self.exchanges]


class NotingTransport(RequestsTransport):  # type: ignore[misc]  # exported lazily, without its type
    """The usual transport; it writes down how long it was told to sleep."""

    def __init__(self, noted: Noted) -> None:
        super().__init__(use_env_settings=False)
        self._noted = noted

    def sleep(self, duration: float) -> None:
        self._noted.sleeps.append(duration)
        super().sleep(duration)


class LosingTransport(NotingTransport):
    """One whose connection breaks before the first answer arrives; the server has done its part."""

    def send(self, request: Any, **config: Any) -> Any:
        answer = super().send(request, **config)
        if not self._noted.lost:
            self._noted.lost.append(request.url)
            answer.close()
            raise ServiceResponseError("the connection broke")
        return answer


def client_of(
    url: str, user: str, noted: Noted | None = None, transport: type[NotingTransport] = NotingTransport
) -> PipelineClient[Any, Any]:
    """A client of a server.

    Parameters:
        user: who it says it is.
        noted: what it sends, gets and sleeps is written down there.
    """
    noted = noted or Noted()
    repeating = [policies.RedirectPolicy(), policies.RetryPolicy()]
    return PipelineClient(url, policies=_chain(user, repeating, noted), transport=transport(noted))


def async_client_of(url: str, user: str) -> AsyncPipelineClient[Any, Any]:
    """The same for coroutines."""
    repeating = [policies.AsyncRedirectPolicy(), policies.AsyncRetryPolicy()]
    transport = AsyncioRequestsTransport(use_env_settings=False)
    return AsyncPipelineClient(url, policies=_chain(user, repeating, Noted()), transport=transport)


def _chain(user: str, repeating: list[Any], noted: Noted) -> list[Any]:
    """The policies of a generated client, in its order."""
    return [
        policies.RequestIdPolicy(),
        policies.HeadersPolicy({"X-User": user}),
        policies.UserAgentPolicy(sdk_moniker="things"),
        policies.ProxyPolicy(),
        policies.ContentDecodePolicy(),
        *repeating,
        policies.CustomHookPolicy(),
        policies.NetworkTraceLoggingPolicy(),
        policies.DistributedTracingPolicy(),
        policies.SensitiveHeaderCleanupPolicy(),
        noted,
        policies.HttpLoggingPolicy(),
    ]


def as_json(response: PipelineResponse[Any, Any]) -> Any:
    """What a generated client does with the last answer: make an object of it."""
    return response.http_response.json()


def polling(
    by_location: bool = False, final_state_via: str | None = None, **config: Any
) -> LROBasePolling[Any, Any, Any]:
    """Azure's usual way to poll, by `Operation-Location` where there is one; or the one by `Location`.

    Parameters:
        config: of each request of the poller, such as `retry_total`.
    """
    algorithms: list[LongRunningOperation[Any, Any]] | None = [LocationPolling()] if by_location else None
    options = None if final_state_via is None else {"final-state-via": final_state_via}
    return LROBasePolling(INTERVAL_SECONDS, algorithms, options, **config)


def begin(
    client: PipelineClient[Any, Any],
    method: str,
    target: str,
    how: LROBasePolling[Any, Any, Any],
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> LROPoller[Any]:
    """What a generated client's `begin_...` does: send the request, and poll in a thread."""
    request = HttpRequest(method, client.format_url(target), json=body, headers=dict(headers or {}))
    first = client.send_request(request, _return_pipeline_response=True)
    first.http_response.raise_for_status()
    return LROPoller(client, first, as_json, how)


def resumed(client: PipelineClient[Any, Any], token: str, how: LROBasePolling[Any, Any, Any]) -> LROPoller[Any]:
    """Go on where another poller left off."""
    return LROPoller.from_continuation_token(how, token, client=client, deserialization_callback=as_json)


async def begin_async(client: AsyncPipelineClient[Any, Any], method: str, target: str) -> AsyncLROPoller[Any]:
    """The same for coroutines."""
    request = HttpRequest(method, client.format_url(target))
    first: Any = await client.send_request(request, _return_pipeline_response=True)
    first.http_response.raise_for_status()
    return AsyncLROPoller(client, first, as_json, AsyncLROBasePolling(INTERVAL_SECONDS))
