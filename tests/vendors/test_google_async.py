"""google-api-core's asynchronous REST client and futures, unmodified, against real servers in two processes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.api_core import exceptions, operation_async, retry_async
from google.api_core.future.async_future import _OperationNotComplete
from google.api_core.operations_v1 import AsyncOperationsRestClient, AsyncOperationsRestTransport
from google.auth.aio.credentials import AnonymousCredentials
from google.rpc import code_pb2

from vendors.google_clients import LONGEST_SECONDS, PARENT, GoogleUser, Struct, info_of, plain
from vendors.serving import SERVERS, Site, things

# This client does not read what a delete or a cancel answers, and lets go of it unread; aiohttp warns of that when it
# is collected.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed connection:ResourceWarning")


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """Nothing is left of a test that would be collected, with such a warning, in the middle of another one."""
    yield
    gc.collect()


@pytest.fixture(scope="module", params=SERVERS)
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with things(request.param, tmp_path_factory.mktemp("google-async")) as site:
        yield site


@pytest.fixture
def ann(site: Site) -> Iterator[GoogleUser]:
    """Who starts the operations, by a client without coroutines."""
    user = GoogleUser(site.url, "/bgrs/v1")
    yield user
    user.close()


@asynccontextmanager
async def async_client(site: Site) -> AsyncIterator[AsyncOperationsRestClient]:
    transport = AsyncOperationsRestTransport(host=site.url, credentials=AnonymousCredentials(), path_prefix="bgrs/v1")
    try:
        yield AsyncOperationsRestClient(transport=transport)
    finally:
        await transport._session.close()


def future_of(ann: GoogleUser, client: AsyncOperationsRestClient, started: Any) -> Any:
    often = retry_async.AsyncRetry(
        predicate=retry_async.if_exception_type(_OperationNotComplete),
        initial=0.1,
        maximum=0.3,
        timeout=LONGEST_SECONDS,
    )
    return operation_async.from_gapic(
        started, client, Struct, metadata_type=Struct, grpc_metadata=ann.metadata, retry=often
    )


def test_a_future_ends_with_the_result(site: Site, ann: GoogleUser) -> None:
    started = ann.process("gate=future")

    async def follow() -> Any:
        async with async_client(site) as client:
            future = future_of(ann, client, started)
            assert not await future.done()
            site.let_go("future")
            return await future.result(timeout=LONGEST_SECONDS)

    assert plain(asyncio.run(follow()))["method"] == "POST"


def test_a_failure_has_its_code(site: Site, ann: GoogleUser) -> None:
    started = ann.process("status=404")

    async def follow() -> None:
        async with async_client(site) as client:
            await future_of(ann, client, started).result(timeout=LONGEST_SECONDS)

    # This future has one class for all failures.
    with pytest.raises(exceptions.GoogleAPICallError) as raised:
        asyncio.run(follow())
    assert [error.code for error in raised.value.errors] == [code_pb2.NOT_FOUND]


def test_a_cancelled_future(site: Site, ann: GoogleUser) -> None:
    started = ann.process("gate=never-opened")

    async def follow() -> None:
        async with async_client(site) as client:
            future = future_of(ann, client, started)
            assert await future.cancel()
            with pytest.raises(exceptions.GoogleAPICallError):
                await future.result(timeout=LONGEST_SECONDS)
            assert await future.cancelled()
            assert not await future.cancel()

    asyncio.run(follow())


def test_list_delete_and_errors(site: Site, ann: GoogleUser) -> None:
    mine = [ann.process("wait_for=20").name for _ in range(3)]

    async def use() -> None:
        async with async_client(site) as client:
            pager = await client.list_operations(PARENT, "done = true", page_size=2, metadata=ann.metadata)
            assert [each.name async for each in pager] == mine[::-1]
            await client.delete_operation(mine[0], metadata=ann.metadata)
            with pytest.raises(exceptions.NotFound):
                await client.get_operation(mine[0], metadata=ann.metadata)
            with pytest.raises(exceptions.BadRequest) as late:
                await client.cancel_operation(mine[1], metadata=ann.metadata)
            assert f"cannot be cancelled: '{mine[1]}'." in late.value.message
            with pytest.raises(exceptions.BadRequest) as refused:
                await client.list_operations(PARENT, "colour = red", metadata=ann.metadata)
            assert info_of(refused.value)["reason"] == "INVALID_FILTER"

    asyncio.run(use())
