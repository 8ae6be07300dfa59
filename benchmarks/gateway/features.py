"""What each part of a request's way through the gateway costs: the same load, with one thing more each time.

A step is an environment of the app file in `configs/shipway.toml` and a path. The first two are a service's, the others a
model's, where each does what the ones before it do, and its own.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks.gateway.measures import calmest, measure_load
from benchmarks.gateway.peers import SHIPWAY, start_backends
from benchmarks.gateway.processes import Running
from benchmarks.gateway.rounds import Cores, Effort, Say, turn_of
from benchmarks.gateway.traffic import PATH


class Step(NamedTuple):
    """What is done, in which environment of the app file, asked for by which path."""

    name: str
    environment: str
    path: str
    traced: bool = False


STEPS = (
    Step("relay to an open service, metrics, log line", "dev", "/open"),
    Step("the same with a key check", "dev", "/closed"),
    Step("a model call: key, body read, model, usage", "dev", PATH),
    Step("with a limit on requests per key", "limited", PATH),
    Step("with weighted upstreams", "full", PATH),
    Step("with a trace id of its own in each request", "full", PATH, traced=True),
    Step("with a guard before and after, async", "guarded", PATH, traced=True),
    Step("the guard in a thread instead", "threaded", PATH, traced=True),
)


def measure_features(effort: Effort, cores: Cores, say: Say) -> list[dict[str, object]]:
    """CPU microseconds per request of each step, median over interleaved rounds."""
    os.sched_setaffinity(0, {int(core) for core in cores.load.split(",")})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="shipway-bench-")))
        folder.chmod(0o755)
        backends, whole, _ = start_backends(folder / "backends", cores.load)
        for backend in backends:
            stack.callback(backend.stop)
        running: dict[str, tuple[Running, int]] = {}
        for name in dict.fromkeys(step.environment for step in STEPS):
            arguments = ("-m", "shipway.gateway", "@FOLDER@", "--environment", name)
            gateway = replace(SHIPWAY, arguments=arguments)
            running[name] = gateway.start(folder / name, backend=whole, cores=cores.gateway)
            stack.callback(running[name][0].stop)
            running[name][0].pause()
        costs: dict[str, list[float]] = {step.name: [] for step in STEPS}
        for number in range(effort.rounds):
            for step in STEPS:
                process, port = running[step.environment]
                drive = partial(measure_load, process, port, effort.load_s, path=step.path, traced=step.traced)
                with turn_of(process):
                    load = calmest(drive)
                costs[step.name].append(load.cpu_us)
                say(f"features {number + 1}/{effort.rounds} {load.cpu_us:7.1f} µs  {step.name}")
    return [{"step": name, "cpu_us": round(statistics.median(values), 1)} for name, values in costs.items()]


def features_table(found: list[dict[str, object]]) -> str:
    lines = [f"{'':52}{'CPU µs':>8} {'more':>8}"]
    before: float | None = None
    for one in found:
        cost = float(str(one["cpu_us"]))
        more = "" if before is None else f"{cost - before:+.1f}"
        lines.append(f"{one['step']:52}{cost:8.1f} {more:>8}")
        before = cost
    return "\n".join(lines)
