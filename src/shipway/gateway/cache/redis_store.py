"""A Redis or Valkey that keeps answers for several gateways.

It is never waited for longer than `DEADLINE_S`, and not at all while it is known to be ill: a cache that does not answer is a
cache that knows nothing. What it keeps ends by the `ttl` of each entry; how much it keeps is its own `maxmemory`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from shipway.errors import MissingExtraError, UsageError
from shipway.gateway.breaker import Breaker
from shipway.gateway.cache.entry import Entry, packed, unpacked
from shipway.gateway.cache.store import FAULTS, POLICY

if TYPE_CHECKING:
    from redis.asyncio import Redis

DEADLINE_S = 0.03
"""How long a look-up may take. A Redis nearby takes less than one of these milliseconds."""
LONGEST_S = 1.0
"""How long a command may take when nobody waits for it any more: to make a connection, or to keep an answer."""
CLOSING_S = 0.5
MAX_UNDER_WAY = 64
"""Commands under way at once, and so connections; more would mean that it does not keep up."""
MAX_STORING_BYTES = 16 * 1024 * 1024
"""Of answers on their way to be kept; more are not kept."""


class RedisStore:
    """Keeps entries in the Redis at *address* (`redis://…` or `rediss://…`).

    Attributes:
        faults: How often it failed, by kind.
    """

    def __init__(self, address: str) -> None:
        """Raises: MissingExtraError, UsageError."""
        self.faults = dict.fromkeys(FAULTS, 0)
        self._client = _client(address)
        self._breaker = Breaker(POLICY)
        self._under_way: set[asyncio.Task[bytes | None]] = set()
        self._storing_bytes = 0

    async def get(self, key: bytes) -> Entry | None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if len(self._under_way) >= MAX_UNDER_WAY or not self._breaker.allows(began_s):
            self.faults["skipped"] += 1
            return None
        task = self._start(self._client.get(_name(key)))
        in_time: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(DEADLINE_S, _settle, in_time)
        task.add_done_callback(lambda _: _settle(in_time))
        try:
            await in_time
        except asyncio.CancelledError:  # the client left
            self._breaker.probe_abandoned(began_s)
            raise
        finally:
            timer.cancel()
        if not task.done():
            # It goes on for a while: a connection that is coming to be will serve the next.
            self.faults["timeout"] += 1
            self._breaker.failed(loop.time(), began_s)
            return None
        data = self._result(task, began_s)
        try:
            return None if data is None else unpacked(key, data)
        except ValueError:
            self.faults["error"] += 1
            return None

    def put(self, key: bytes, entry: Entry, ttl_s: float) -> None:
        data = packed(key, entry)
        busy = len(self._under_way) >= MAX_UNDER_WAY or self._storing_bytes + len(data) > MAX_STORING_BYTES
        if busy or not self._breaker.closed:
            self.faults["skipped"] += 1
            return
        began_s = asyncio.get_running_loop().time()
        self._storing_bytes += len(data)

        def stored(task: asyncio.Task[bytes | None]) -> None:
            self._storing_bytes -= len(data)
            self._result(task, began_s)

        self._start(self._client.set(_name(key), data, px=max(1, round(ttl_s * 1000)))).add_done_callback(stored)

    async def close(self) -> None:
        under_way = tuple(self._under_way)
        if under_way:
            await asyncio.wait(under_way, timeout=CLOSING_S)
        for task in under_way:
            task.cancel()
        await self._client.aclose()

    def _start(self, command: Awaitable[Any]) -> asyncio.Task[bytes | None]:
        """Run *command* in a task: the library wants one, and what runs handlers is none (decision 0004)."""
        task = asyncio.get_running_loop().create_task(_within(command))
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[bytes | None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # seen, whether or not anybody still waits for it

    def _result(self, task: asyncio.Task[bytes | None], began_s: float) -> bytes | None:
        now_s = task.get_loop().time()
        if task.cancelled() or task.exception() is not None:
            self.faults["error"] += 1
            self._breaker.failed(now_s, began_s)
            return None
        self._breaker.succeeded(now_s, began_s)
        return task.result()


async def _within(command: Awaitable[Any]) -> Any:
    async with asyncio.timeout(LONGEST_S):
        return await command


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _name(key: bytes) -> str:
    return f"shipway:answer:{key.hex()}"


def _client(address: str) -> Redis:
    try:
        import redis.asyncio
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise MissingExtraError("a cache in Redis", "redis") from None
    try:
        return redis.asyncio.Redis.from_url(
            address,
            max_connections=MAX_UNDER_WAY,
            socket_timeout=LONGEST_S,
            socket_connect_timeout=LONGEST_S,
            retry=Retry(NoBackoff(), 0),  # a second try would take longer than it is worth
            protocol=2,
            driver_info=None,  # one round trip less for each connection
        )
    except ValueError:  # not told, as it may hold a password
        raise UsageError("the address of a model's cache is none of Redis", 'write "redis://HOST:PORT/DB"') from None
