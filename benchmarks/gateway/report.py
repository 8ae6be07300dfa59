"""From measurements to a verdict: ratios round by round, the targets, a table for people and a result for files."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from benchmarks.gateway.rounds import DIRECT, Measured

US = "shipway"


@dataclass(frozen=True)
class Target:
    """What is to be reached; `value` is None where a peer was not measured."""

    what: str
    unit: str
    to_reach: float
    stretch: float
    at_least: bool
    value: float | None
    low: float | None = None
    """The range over rounds, where there are rounds."""
    high: float | None = None

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self._holds(self.stretch):
            return "stretch"
        return "reached" if self._holds(self.to_reach) else "MISSED"

    def _holds(self, bound: float) -> bool:
        assert self.value is not None
        return self.value >= bound if self.at_least else self.value <= bound


def targets(results: Mapping[str, Measured], ours: str = US) -> list[Target]:
    """The comparisons that count, each as the median of what single rounds say; *ours* is which build of the gateway."""
    nginx, envoy, litellm = results.get("nginx"), results.get("envoy"), results.get("litellm")
    us = results[ours]
    cpu = _ratios([one.cpu_us for one in us.loads], [one.cpu_us for one in nginx.loads] if nginx else [])
    speed = [one.requests_per_s for one in us.loads]
    beside_envoy = _ratios(speed, [one.requests_per_s for one in envoy.loads] if envoy else [])
    beside_litellm = _ratios(speed, [one.requests_per_s for one in litellm.loads] if litellm else [])
    chunk = _ratios(
        [one.cpu_us_per_chunk for one in us.streams],
        [one.cpu_us_per_chunk for one in nginx.streams] if nginx else [],
    )
    added = _differences(us, nginx, 0.5) if nginx else []
    memory = us.memory.idle_mib if us.memory else None
    return [
        _ranged("CPU per request against nginx", "times", 1.9, 1.4, cpu, at_least=False),
        _ranged("requests/s against Envoy", "times", 1.5, 2.0, beside_envoy, at_least=True),
        _ranged("requests/s against LiteLLM, one worker", "times", 200, 300, beside_litellm, at_least=True),
        _ranged("added p50 at one connection against nginx", "µs", 60, 20, added, at_least=False),
        _ranged("CPU per streamed chunk against nginx", "times", 1.4, 1.1, chunk, at_least=False),
        Target("memory at 1,000 idle connections", "MiB", 60, 45, at_least=False, value=memory),
    ]


def peers_table(results: Mapping[str, Measured], missing: Mapping[str, str]) -> str:
    """One line a peer; p50 and p99 are what it adds to the backend's own."""
    lines = [
        f"{'':11}{'req/s':>8} {'CPU µs':>8} {'core':>5} {'+p50 µs':>9} {'+p99 µs':>9}"
        f" {'first byte ms p50/p99':>22} {'CPU µs/chunk':>13} {'MiB idle':>9}  version"
    ]
    direct = results[DIRECT]
    for name, one in results.items():
        if one.problem or not one.loads:
            lines.append(f"{name:11}{one.problem or 'not measured'}")
            continue
        is_direct = name == DIRECT
        load = {key: statistics.median(getattr(each, key) for each in one.loads) for key in asdict(one.loads[0])}
        first = [statistics.median(getattr(s, f"first_byte_{p}_ms") for s in one.streams) for p in ("p50", "p99")]
        chunk = statistics.median(s.cpu_us_per_chunk for s in one.streams)
        p50, p99 = (
            statistics.median(one.block_percentiles_us(share) if is_direct else _differences(one, direct, share))
            for share in (0.5, 0.99)
        )
        sign = "" if is_direct else "+"
        memory = f"{one.memory.idle_mib:9.1f}" if one.memory else f"{'':9}"
        cpu = f"{'':8} {'':5}" if is_direct else f"{load['cpu_us']:8.1f} {load['busy']:5.0%}"
        per_chunk = "" if is_direct else f"{chunk:.2f}"
        lines.append(
            f"{name:11}{load['requests_per_s']:8.0f} {cpu} {p50:{sign}9.1f} {p99:{sign}9.1f}"
            f" {first[0]:14.2f} /{first[1]:6.1f} {per_chunk:>13} {memory}  {one.version}"
        )
    lines += [f"{name:11}missing    hint: {hint}" for name, hint in missing.items()]
    return "\n".join(lines)


def targets_table(found: list[Target], title: str = "") -> str:
    lines = [f"{title:44}{'measured':>12} {'rounds':>15} {'to reach':>10} {'stretch':>9}"]
    for target in found:
        value = "" if target.value is None else f"{target.value:.4g} {target.unit}"
        spread = "" if target.low is None or target.high is None else f"{target.low:.3g} to {target.high:.3g}"
        bound = "≥" if target.at_least else "≤"
        lines.append(
            f"{target.what:44}{value:>12} {spread:>15} {bound + f'{target.to_reach:g}':>10} "
            f"{bound + f'{target.stretch:g}':>9}  {target.verdict}"
        )
    return "\n".join(lines)


def noise(results: Mapping[str, Measured]) -> dict[str, float]:
    """How much the machine disturbed: shares of runnable time lost to others, and how far rounds lie apart."""
    waited = [load.waited for one in results.values() for load in one.loads if load.cpu_us]
    spreads = [
        (max(values) - min(values)) / statistics.median(values)
        for one in results.values()
        if (values := [load.cpu_us for load in one.loads if load.cpu_us])
    ]
    return {
        "waited_median": statistics.median(waited) if waited else 0.0,
        "waited_most": max(waited, default=0.0),
        "cpu_spread_most": max(spreads, default=0.0),
    }


def as_document(
    results: Mapping[str, Measured],
    found: list[Target],
    found_uncompiled: list[Target],
    missing: Mapping[str, str],
    *,
    date: str,
    revision: str,
    machine: Mapping[str, object],
    settings: Mapping[str, object],
) -> dict[str, object]:
    """What is kept in the result file."""
    return {
        "date": date,
        "revision": revision,
        "machine": dict(machine),
        "settings": dict(settings),
        "noise": _rounded(noise(results)),
        "peers": {name: _rounded(one.summary()) for name, one in results.items()},
        "missing": dict(missing),
        "targets": [_rounded(asdict(target) | {"verdict": target.verdict}) for target in found],
        "targets_uncompiled": [_rounded(asdict(target) | {"verdict": target.verdict}) for target in found_uncompiled],
    }


def _ranged(what: str, unit: str, to_reach: float, stretch: float, ratios: list[float], *, at_least: bool) -> Target:
    if not ratios:
        return Target(what, unit, to_reach, stretch, at_least, None)
    return Target(what, unit, to_reach, stretch, at_least, statistics.median(ratios), min(ratios), max(ratios))


def _ratios(ours: list[float], theirs: list[float]) -> list[float]:
    """Round by round: what disturbed a round disturbed both."""
    return [mine / other for mine, other in zip(ours, theirs, strict=False) if other]


def _differences(one: Measured, other: Measured, share: float) -> list[float]:
    """Block by block: how many microseconds more *one*'s percentile is than *other*'s."""
    pairs = zip(one.block_percentiles_us(share), other.block_percentiles_us(share), strict=False)
    return [mine - theirs for mine, theirs in pairs]


def _rounded(value: object) -> object:
    """Four significant digits: more would only show the noise."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value
