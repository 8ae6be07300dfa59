"""Rounds of measurements, interleaved: whatever else the machine does meets all alike."""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.gateway.clients import Asker
from benchmarks.gateway.measures import (
    Load,
    Memory,
    Streams,
    calmest,
    measure_load,
    measure_memory,
    measure_streams,
    percentile,
)
from benchmarks.gateway.peers import Peer, start_backends
from benchmarks.gateway.processes import Running
from benchmarks.gateway.traffic import CHUNKS, STREAM_BODY

DIRECT = "direct"
SLOW_ROUNDS = 3
Say = Callable[[str], None]


@dataclass(frozen=True)
class Effort:
    """How long everything takes."""

    rounds: int
    load_s: float
    latency_block_s: float
    stream_rounds: int
    stream_cycles: int


FULL = Effort(rounds=7, load_s=4, latency_block_s=0.6, stream_rounds=7, stream_cycles=3)
QUICK = Effort(rounds=3, load_s=2, latency_block_s=0.3, stream_rounds=2, stream_cycles=3)


@dataclass
class Measured:
    """All of one peer."""

    version: str
    loads: list[Load] = field(default_factory=list)
    blocks_ns: list[list[int]] = field(default_factory=list)
    """Times of single requests at one connection, by block; blocks of one number were taken next to each other."""
    streams: list[Streams] = field(default_factory=list)
    memory: Memory | None = None
    mib_after_load: float | None = None
    problem: str | None = None

    def block_percentiles_us(self, share: float) -> list[float]:
        """One percentile of each block, in microseconds."""
        return [percentile([time_ns / 1000 for time_ns in block], share) for block in self.blocks_ns]

    def summary(self) -> dict[str, object]:
        """Medians over rounds, and the range of what the ratios are made of."""
        result: dict[str, object] = {"version": self.version}
        if self.problem:
            result["problem"] = self.problem
        if self.loads:
            result["load"] = _median_of([asdict(load) for load in self.loads])
            result["cpu_us_range"] = [min(one.cpu_us for one in self.loads), max(one.cpu_us for one in self.loads)]
        if self.blocks_ns:
            result["one_connection"] = {
                "p50_us": statistics.median(self.block_percentiles_us(0.5)),
                "p99_us": statistics.median(self.block_percentiles_us(0.99)),
                "requests": sum(map(len, self.blocks_ns)),
            }
        if self.streams:
            result["streams"] = _median_of([asdict(one) for one in self.streams])
        if self.memory is not None:
            result["memory"] = asdict(self.memory)
        if self.mib_after_load is not None:
            result["mib_after_load"] = self.mib_after_load
        return result


@dataclass(frozen=True)
class Cores:
    """Where what runs: the gateway has one core, load and backends have the others."""

    gateway: str
    load: str


def split_cores() -> Cores:
    """Raises: RuntimeError on a machine with one core, where no comparison would mean anything."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise RuntimeError("two cores are needed: one for the gateway, one for load and backend")
    return Cores(gateway=str(cores[-1]), load=",".join(map(str, cores[:-1])))


def measure(peers: list[Peer], effort: Effort, cores: Cores, say: Say) -> dict[str, Measured]:
    """Everything of every peer; one that does not start or breaks keeps its reason in `problem`."""
    results = {DIRECT: Measured("")} | {peer.name: Measured(peer.read_version()) for peer in peers}
    os.sched_setaffinity(0, {int(core) for core in cores.load.split(",")})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shipway-bench-")))
        folder.chmod(0o755)  # nginx's worker is another user
        backends, whole, streaming = start_backends(folder / "backends", cores.load)
        for backend in backends:
            stack.callback(backend.stop)
        with _started(peers, folder / "whole", whole, cores, results) as running:
            _memory(running, results, say)
            _loads(running, whole, peers, effort, results, say)
            _latencies(running, whole, peers, effort, results, say)
            for name, (process, _) in running.items():
                results[name].mib_after_load = process.resident_mib()
        with _started(peers, folder / "streaming", streaming, cores, results, body=STREAM_BODY) as running:
            _streams(running, streaming, effort, results, say)
    return results


@contextmanager
def _started(
    peers: list[Peer], folder: Path, backend: int, cores: Cores, results: dict[str, Measured], body: str | None = None
) -> Iterator[dict[str, tuple[Running, int]]]:
    """All peers that start, each off its core until its turn."""
    running: dict[str, tuple[Running, int]] = {}
    try:
        for peer in peers:
            place = folder / peer.name
            try:
                more = {} if body is None else {"body": body}
                running[peer.name] = peer.start(place, backend=backend, cores=cores.gateway, **more)
            except RuntimeError as error:
                log = (place / "output.log").read_text(errors="replace")[-400:]
                results[peer.name].problem = f"did not start: {error}; {log}"
            else:
                running[peer.name][0].pause()
        yield running
    finally:
        for process, _ in running.values():
            process.stop()


@contextmanager
def turn_of(process: Running) -> Iterator[None]:
    """The process runs inside, and is kept off its core before and after."""
    process.resume()
    try:
        yield
    finally:
        process.pause()


def _memory(running: dict[str, tuple[Running, int]], results: dict[str, Measured], say: Say) -> None:
    for name, (process, port) in running.items():
        with turn_of(process):
            memory = results[name].memory = measure_memory(process, port)
        say(f"memory     {name:8} {memory.idle_mib:6.1f} MiB with {memory.open_connections} idle connections")


def _loads(
    running: dict[str, tuple[Running, int]],
    backend: int,
    peers: list[Peer],
    effort: Effort,
    results: dict[str, Measured],
    say: Say,
) -> None:
    slow = {peer.name for peer in peers if peer.slow}
    for number in range(effort.rounds):
        results[DIRECT].loads.append(measure_load(None, backend, effort.load_s))
        for name in _rotated(list(running), number):
            process, port = running[name]
            if name in slow and number >= SLOW_ROUNDS:
                continue
            with turn_of(process):
                load = _load_turn(process, port, effort, slow=name in slow)
            results[name].loads.append(load)
            say(
                f"load {number + 1}/{effort.rounds}   {name:8} {load.requests_per_s:8.0f} /s {load.cpu_us:8.1f} µs"
                f"   busy {load.busy:4.0%}   waited {load.waited:4.1%}"
            )


def _latencies(
    running: dict[str, tuple[Running, int]],
    backend: int,
    peers: list[Peer],
    effort: Effort,
    results: dict[str, Measured],
    say: Say,
) -> None:
    slow = {peer.name for peer in peers if peer.slow}
    blocks = effort.rounds * 2
    for number in range(blocks):
        _block(results[DIRECT], backend, effort, warm=20)
        for name in _rotated(list(running), number):
            process, port = running[name]
            with turn_of(process):
                _block(results[name], port, effort, warm=2 if name in slow else 20)
    say(f"latency    {blocks} blocks each, one connection")


def _block(measured: Measured, port: int, effort: Effort, *, warm: int) -> None:
    asker = Asker(port)
    asker.ask_for(1.0, at_most=warm)
    measured.blocks_ns.append(asker.ask_for(effort.latency_block_s, at_most=2000))
    asker.close()


def _streams(
    running: dict[str, tuple[Running, int]], backend: int, effort: Effort, results: dict[str, Measured], say: Say
) -> None:
    for number in range(effort.stream_rounds):
        results[DIRECT].streams.append(_stream_turn(None, backend, effort))
        for name in _rotated(list(running), number):
            process, port = running[name]
            with turn_of(process):
                streams = calmest(partial(_stream_turn, process, port, effort), hopeless=_cannot_keep_up)
            results[name].streams.append(streams)
            say(
                f"streams {number + 1}/{effort.stream_rounds} {name:8} {streams.cpu_us_per_chunk:7.2f} µs a chunk, first"
                f" byte {streams.first_byte_p50_ms:.2f} ms, {streams.whole} of {streams.expected} whole"
            )


def _load_turn(process: Running, port: int, effort: Effort, *, slow: bool) -> Load:
    if slow:  # its many threads wait for each other, which is no noise
        return measure_load(process, port, effort.load_s, slow=True)
    return calmest(partial(measure_load, process, port, effort.load_s))


def _stream_turn(process: Running | None, port: int, effort: Effort) -> Streams:
    return measure_streams(process, port, cycles=effort.stream_cycles, chunk_writes=CHUNKS, timeout_s=60)


def _cannot_keep_up(streams: Streams) -> bool:
    """A second late at the end: taking such a turn again takes long and tells nothing new."""
    return streams.late_p99_ms > 1000


def _rotated(names: list[str], by: int) -> list[str]:
    """Another one first in each round."""
    at = by % len(names) if names else 0
    return names[at:] + names[:at]


def _median_of(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
