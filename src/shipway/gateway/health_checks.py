"""Active checks: addresses that the app file gives a health path are asked for it, and left out while they do not answer.

What requests show of an address is the breaker's business; this one notices trouble, and its end, without spending any.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from shipway.gateway.upstreams import Endpoint
from shipway.spec.health import Health


@dataclass(frozen=True, slots=True)
class Check:
    """One address to ask, and how."""

    endpoint: Endpoint
    path: bytes
    interval_s: float
    timeout_s: float
    failures: int

    @classmethod
    def of(cls, endpoint: Endpoint, health: Health) -> Check | None:
        """The check that *health* asks for; None without a path."""
        if health.path is None:
            return None
        return cls(endpoint, health.path.encode(), health.interval, health.timeout, health.failures)


def next_health(healthy: bool, failed_in_a_row: int, check: Check) -> bool:
    """Whether an address counts as healthy: one good answer is enough, `failures` bad ones in a row are too many."""
    if failed_in_a_row == 0:
        return True
    return healthy and failed_in_a_row < check.failures


class HealthChecks:
    """Runs the checks of one snapshot until they are replaced or stopped. One that stays goes on with what it knows."""

    def __init__(self) -> None:
        self._tasks: dict[Check, asyncio.Task[None]] = {}

    def replace(self, checks: Iterable[Check]) -> None:
        wanted = dict.fromkeys(checks)
        before = self._tasks
        loop = asyncio.get_running_loop()
        self._tasks = {
            check: before.pop(check) if check in before else loop.create_task(_keep_asking(check)) for check in wanted
        }
        for task in before.values():
            task.cancel()
        for endpoint in {check.endpoint for check in before} - {check.endpoint for check in wanted}:
            endpoint.healthy = True  # nobody asks any more: what requests show is all there is

    def stop(self) -> None:
        self.replace(())


async def _keep_asking(check: Check) -> None:
    failed_in_a_row = 0
    while True:
        failed_in_a_row = 0 if await _answers(check) else failed_in_a_row + 1
        check.endpoint.healthy = next_health(check.endpoint.healthy, failed_in_a_row, check)
        await asyncio.sleep(check.interval_s)


async def _answers(check: Check) -> bool:
    """Whether the path answers 2xx in time, on a connection of its own: a kept one would not see a dead listener."""
    endpoint = check.endpoint
    origin = endpoint.address.origin
    try:
        async with asyncio.timeout(check.timeout_s):
            reader, writer = await asyncio.open_connection(origin.host, origin.port, ssl=endpoint.pool.tls)
            try:
                writer.write(
                    b"GET %b HTTP/1.1\r\nHost: %b\r\nConnection: close\r\nUser-Agent: shipway\r\n\r\n"
                    % (check.path, endpoint.authority)
                )
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError) as error:
        endpoint.pool.connection_failed(error)
        return False
    parts = status.split(b" ", 2)
    with suppress(ValueError, IndexError):
        return parts[0].startswith(b"HTTP/1.") and 200 <= int(parts[1]) < 300
    return False
