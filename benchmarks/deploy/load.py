"""An open-loop client: requests and streams start on an absolute random schedule, whatever became of those before.

    python -m benchmarks.deploy.load PORT --rate 100 --streams 5 --seconds 60

Prints a line of JSON at the end, or when it gets SIGTERM. Nothing is ever sent twice: what fails is counted as failed.
"""

import argparse
import asyncio
import json
import random
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

STREAM_EVENTS = 20
_TIMEOUT_S = 30.0


@dataclass
class Tally:
    """What became of all requests so far."""

    answered: Counter[str] = field(default_factory=Counter)
    """Whole answers with status 200, by release."""
    streams: Counter[str] = field(default_factory=Counter)
    """Streams that arrived to their last event, by release."""
    failed: Counter[str] = field(default_factory=Counter)
    cut: Counter[str] = field(default_factory=Counter)
    first_failures: list[str] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    seen: dict[str, list[float]] = field(default_factory=dict)
    """By release, when its first and its last answer came, as Unix time."""

    def note(self, counter: Counter[str], what: str) -> None:
        counter[what] += 1
        if counter is self.failed or counter is self.cut:
            self.first_failures = [*self.first_failures, f"{time.time():.3f} {what}"][:20]
        else:
            now = time.time()
            self.seen.setdefault(what, [now, now])[1] = now

    def summary(self) -> dict[str, Any]:
        ordered = sorted(self.latencies_ms)
        return {
            "requests": sum(self.answered.values()),
            "by_release": dict(self.answered),
            "failed": dict(self.failed),
            "streams": sum(self.streams.values()),
            "streams_cut": dict(self.cut),
            "first_failures": self.first_failures,
            "latency_ms": {name: round(ordered[int(len(ordered) * q)], 2) for name, q in _QUANTILES} if ordered else {},
            "seen": self.seen,
        }


_QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))


class Pool:
    """Kept connections, used again like a client library does: until the server says that it will close."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def take(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection(self._host, self._port)

    def give_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._idle.append((reader, writer))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def release(self) -> str:
        return self.headers.get("x-shipway-release", "none")


async def ask(pool: Pool, path: str, *, fresh: bool) -> Answer:
    """One GET. Raises OSError, EOFError, ValueError for anything but a whole answer."""
    reader, writer = await (Pool(pool._host, pool._port) if fresh else pool).take()
    keep = False
    try:
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: bench\r\nX-Session-Id: {random.getrandbits(48):x}\r\n"
            f"Connection: {'close' if fresh else 'keep-alive'}\r\n\r\n".encode()
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        body = await _body(reader, headers)
        keep = not fresh and headers.get("connection", "").lower() != "close"
        return Answer(int(head[0].split(" ")[1]), headers, body)
    finally:
        if keep:
            pool.give_back(reader, writer)
        else:
            writer.close()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "content-length" in headers:
        return await reader.readexactly(int(headers["content-length"]))
    if headers.get("transfer-encoding") != "chunked":
        raise ValueError("an answer of unknown length")
    parts = []
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)


class Load:
    def __init__(self, port: int, rate: float, streams: float) -> None:
        self.tally = Tally()
        self._pool = Pool("127.0.0.1", port)
        self._rate = rate
        self._streams = streams
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, seconds: float, stopping: asyncio.Event) -> None:
        end_s = time.monotonic() + seconds
        schedules = [self._schedule(self._rate, self._request, end_s, stopping)]
        if self._streams:
            schedules.append(self._schedule(self._streams, self._stream, end_s, stopping))
        await asyncio.gather(*schedules)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_TIMEOUT_S)

    async def _schedule(self, rate: float, send: Any, end_s: float, stopping: asyncio.Event) -> None:
        due_s = time.monotonic()
        while due_s < end_s and not stopping.is_set():
            due_s += random.expovariate(rate)
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            task = asyncio.ensure_future(send(due_s))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _request(self, due_s: float) -> None:
        fresh = random.random() < 0.5  # noqa: S311 - it decides nothing that matters
        kind = "new connection" if fresh else "kept connection"
        try:
            answer = await asyncio.wait_for(ask(self._pool, "/work", fresh=fresh), _TIMEOUT_S)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.tally.note(self.tally.failed, f"{kind}: {type(error).__name__}")
            return
        if answer.status == 200 and answer.body.startswith(b"ok"):
            self.tally.note(self.tally.answered, answer.release)
            self.tally.latencies_ms.append((time.monotonic() - due_s) * 1000)
        else:
            self.tally.note(self.tally.failed, f"{answer.status} from {answer.release}")

    async def _stream(self, _: float) -> None:
        try:
            answer = await asyncio.wait_for(ask(self._pool, "/stream", fresh=True), _TIMEOUT_S)
        except (OSError, EOFError, ValueError, TimeoutError) as error:
            self.tally.note(self.tally.cut, type(error).__name__)
            return
        whole = answer.status == 200 and answer.body.count(b"data:") == STREAM_EVENTS + 1
        if whole and answer.body.endswith(b"data: [DONE]\n\n"):
            self.tally.note(self.tally.streams, answer.release)
        else:
            self.tally.note(self.tally.cut, f"{answer.status} from {answer.release}, {len(answer.body)} bytes")


async def _main(arguments: argparse.Namespace) -> None:
    load = Load(arguments.port, arguments.rate, arguments.streams)
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    await load.run(arguments.seconds, stopping)
    print(json.dumps(load.tally.summary()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--streams", type=float, default=5.0, help="streams that start in a second")
    parser.add_argument("--seconds", type=float, default=60.0)
    sys.exit(asyncio.run(_main(parser.parse_args())))
