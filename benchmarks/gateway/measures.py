"""The four measurements, each of one gateway at one moment. Rounds, medians and ratios are made of these in `rounds`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import uvloop

from benchmarks.gateway.clients import StreamTally, idle_connections, run_streams, still_open
from benchmarks.gateway.processes import Cpu, Running
from benchmarks.gateway.traffic import BODY, KEY, PATH

CONNECTIONS = 64
STREAMS = 200
IDLE_CONNECTIONS = 1000
SLOW_LOAD_S = 10.0
SETTLE_S = 3.0
CALM = 0.1
"""A turn that was disturbed by more than this share is taken again."""
TRIES = 3
LUA = Path(__file__).parent / "configs" / "post.lua"


@dataclass(frozen=True)
class Load:
    """One turn under full load.

    Attributes:
        busy: Share of its core that the gateway used; well below 1, the load was the limit and not the gateway.
        waited: Share of its runnable time that something else had the core.
    """

    requests_per_s: float
    cpu_us: float
    busy: float
    waited: float
    failed: int

    @property
    def disturbed(self) -> float:
        """The share of its core that the gateway did not get, or that starved load and backends left unused."""
        return 1 - self.busy


@dataclass(frozen=True)
class Streams:
    """One turn with many streams at once; times in milliseconds."""

    first_byte_p50_ms: float
    first_byte_p99_ms: float
    late_p99_ms: float
    cpu_us_per_chunk: float
    chunks: int
    whole: int
    expected: int
    waited: float

    @property
    def disturbed(self) -> float:
        """These streams leave the core idle at times, so only waiting tells."""
        return self.waited


@dataclass(frozen=True)
class Memory:
    started_mib: float
    idle_mib: float
    open_connections: int


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def measure_load(
    process: Running | None, port: int, seconds: float, *, path: str = PATH, slow: bool = False, traced: bool = False
) -> Load:
    """Drive *port* with wrk; without a process (the backend alone) only requests per second mean something.

    A slow gateway is given time: requests that wrk gives up at the end of a run would otherwise be worked on in the
    next.

    Args:
        traced: Each request carries a trace id of its own.
    """
    if slow:
        seconds = max(seconds, SLOW_LOAD_S)
    _wrk(port, 1, path, 1 if slow else CONNECTIONS, traced=traced)  # warms connections and caches
    before, started_s = _cpu(process), time.monotonic()
    result = _wrk(port, seconds, path, CONNECTIONS, traced=traced)
    used, took_s = _cpu(process) - before, time.monotonic() - started_s
    if slow:
        time.sleep(SETTLE_S)
    requests = max(1, int(result["requests"]))
    return Load(
        requests_per_s=requests / (result["duration_us"] / 1e6),
        cpu_us=used.run_ns / 1e3 / requests,
        busy=used.run_ns / 1e9 / took_s,
        waited=_waited(used),
        failed=int(result["failed"]),
    )


def measure_streams(process: Running | None, port: int, *, cycles: int, chunk_writes: int, timeout_s: float) -> Streams:
    before = _cpu(process)
    tally: StreamTally = uvloop.run(run_streams(port, streams=STREAMS, cycles=cycles, timeout_s=timeout_s))
    used = _cpu(process) - before
    return Streams(
        first_byte_p50_ms=percentile(tally.first_byte_s, 0.5) * 1000,
        first_byte_p99_ms=percentile(tally.first_byte_s, 0.99) * 1000,
        late_p99_ms=percentile(tally.late_s, 0.99) * 1000,
        cpu_us_per_chunk=used.run_ns / 1e3 / max(1, chunk_writes * STREAMS * cycles),
        chunks=tally.events,
        whole=tally.whole,
        expected=STREAMS * cycles,
        waited=_waited(used),
    )


TurnT = TypeVar("TurnT", Load, Streams)


def calmest(take: Callable[[], TurnT], hopeless: Callable[[TurnT], bool] = lambda turn: False) -> TurnT:
    """The first turn that was calm, or the calmest of a few. It is chosen by what others did, never by its outcome."""
    turns: list[TurnT] = []
    while len(turns) < TRIES and not (turns and (turns[-1].disturbed <= CALM or hopeless(turns[-1]))):
        turns.append(take())
    return min(turns, key=lambda turn: turn.disturbed)


def measure_memory(process: Running, port: int) -> Memory:
    started_mib = process.resident_mib()
    connections = idle_connections(port, IDLE_CONNECTIONS)
    time.sleep(1.0)
    memory = Memory(started_mib, process.resident_mib(), still_open(connections))
    for connection in connections:
        connection.close()
    return memory


def _cpu(process: Running | None) -> Cpu:
    return process.cpu() if process is not None else Cpu(0, 0)


def _waited(used: Cpu) -> float:
    return used.waited_ns / max(1, used.run_ns + used.waited_ns)


def _wrk(port: int, seconds: float, path: str, connections: int, *, traced: bool) -> dict[str, float]:
    whole_s = max(1, round(seconds))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{whole_s}s", "--timeout", "30s", "-s", str(LUA)]
    environ = {**os.environ, "BENCH_KEY": KEY, "BENCH_PATH": path, "BENCH_BODY": BODY}
    if traced:
        environ["BENCH_TRACED"] = "1"
    told = subprocess.run(
        [*command, f"http://127.0.0.1:{port}"], env=environ, capture_output=True, text=True, check=True
    )
    found = re.search(r"^RESULT (.*)$", told.stdout, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"wrk said nothing of use: {told.stdout[-300:]}{told.stderr[-300:]}")
    result: dict[str, float] = json.loads(found[1])
    return result
