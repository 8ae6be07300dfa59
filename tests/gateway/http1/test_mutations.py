"""Mutated requests: whatever comes in, the gateway answers or closes, and the service reads what the gateway meant."""

from __future__ import annotations

import asyncio
import itertools
import re

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import RunningGateway, StartGateway
from tests.gateway.http1.conftest import public_app
from tests.gateway.http1.recorder import recorder

SEEDS = (
    b"GET /a?b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: 1\r\n\r\n",
    b"GET http://b:80/ HTTP/1.1\r\nHost: b\r\nConnection: close, X\r\nX: 1\r\n\r\n",
    b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 4\r\n\r\nGET ",
)
TOKENS = (
    *(b"\r", b"\n", b"\r\n", b" ", b"\t", b"\0", b"\x0b", b":", b";", b",", b"0", b"5", b"_", b"\xff", b"\r\n\r\n"),
    *(
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Host: b\r\n",
        b"0\r\n\r\n",
        b"HTTP/1.1",
        b"chunked",
    ),
    *(b"GET /m HTTP/1.1\r\nHost: m\r\n\r\n", b"Connection: Upgrade\r\n", b"Upgrade: websocket\r\n", b"\r\n "),
)
Mutation = tuple[str, int, bytes]
mutations = st.lists(
    st.tuples(st.sampled_from(("insert", "replace", "delete", "double")), st.integers(0, 200), st.sampled_from(TOKENS)),
    max_size=4,
)
END = b"GET /end HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


def mutated(seed: bytes, changes: list[Mutation]) -> bytes:
    for kind, where, token in changes:
        at = where % (len(seed) + 1)
        if kind == "insert":
            seed = seed[:at] + token + seed[at:]
        elif kind == "replace":
            seed = seed[:at] + token + seed[at + len(token) :]
        elif kind == "delete":
            seed = seed[:at] + seed[at + 1 :]
        else:
            seed = seed[:at] + seed[at : at + 8] * 2 + seed[at + 8 :]
    return seed


async def answers(gateway: RunningGateway, data: bytes, cut: int) -> bytes:
    """All that comes back until the gateway closes, which it must."""
    async with gateway.raw() as client:
        try:
            await client.send(data[:cut])
            if cut < len(data):
                await asyncio.sleep(0.002)
                await client.send(data[cut:])
            return await asyncio.wait_for(client.reader.read(-1), 5)
        except ConnectionError:
            return b""


async def test_mutated_request_is_answered_or_refused_and_means_the_same_to_the_service(
    start_gateway: StartGateway,
) -> None:
    async with recorder() as service:
        gateway = await start_gateway(
            public_app(service, timeouts='header = "50ms"\nbody = "50ms"\nfirst_byte = "300ms"\n')
        )
        loop = asyncio.get_running_loop()
        marks = itertools.count()

        async def check(requests: list[tuple[bytes, list[Mutation]]], cut: int) -> None:
            data = b"".join(mutated(seed, changes) for seed, changes in requests) + END
            service.requests.clear()
            service.faults.clear()
            got = await answers(gateway, data, min(cut, len(data)))
            assert service.faults == [], (data, service.faults)
            final = [status for status in STATUS.findall(got) if status != b"100"]
            assert len(service.requests) <= len(final) + 1, (data, got)
            mark = b"/alive-%d" % next(marks)
            alive = await answers(gateway, END.replace(b"/end", mark), 999)
            assert STATUS.findall(alive) == [b"200"], (data, alive)
            assert service.requests[-1].target == mark

        def run_one(requests: list[tuple[bytes, list[Mutation]]], cut: int) -> None:
            asyncio.run_coroutine_threadsafe(check(requests, cut), loop).result(20)

        fuzz = settings(max_examples=150, suppress_health_check=list(HealthCheck), derandomize=True, database=None)(
            given(st.lists(st.tuples(st.sampled_from(SEEDS), mutations), min_size=1, max_size=3), st.integers(1, 200))(
                run_one
            )
        )
        await asyncio.to_thread(fuzz)
