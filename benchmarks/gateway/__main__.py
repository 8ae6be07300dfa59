"""Runs the comparison, prints its tables and keeps its results. Exit status 1 when a target that was measured is missed."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.gateway.chart import draw
from benchmarks.gateway.features import features_table, measure_features
from benchmarks.gateway.peers import ALWAYS, ON_REQUEST, RELAY, ROOT, UNCOMPILED, Peer
from benchmarks.gateway.processes import raise_priority
from benchmarks.gateway.report import US, as_document, noise, peers_table, targets, targets_table
from benchmarks.gateway.rounds import DIRECT, FULL, QUICK, Cores, Effort, Measured, measure, split_cores

RESULTS = Path(__file__).parents[1] / "results"


def main() -> int:
    arguments = _arguments()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that what was started is stopped
    effort = QUICK if arguments.quick else FULL
    if subprocess.run([sys.executable, ROOT / "hatch_build.py"], check=False).returncode:
        print("error: the gateway cannot be compiled here\nhint: apt-get install gcc python3-dev", file=sys.stderr)
        return 2
    if arguments.nice:
        raise_priority(arguments.nice)
    cores = split_cores()
    say = (lambda text: None) if arguments.quiet else (lambda text: print("  " + text, flush=True))
    if arguments.features:
        return _features(effort, cores, arguments.output)
    wanted = [*ALWAYS, *(ON_REQUEST[name] for name in dict.fromkeys(arguments.with_))]
    present = [peer for peer in wanted if peer.find() is not None]
    missing = {peer.name: peer.how_to_install() for peer in wanted if peer.find() is None}
    missing |= {peer.name: f"scripts/bench gateway --with {peer.name}" for peer in _not_asked_for(wanted)}
    results = measure(present, effort, cores, say)
    found = targets(results)
    disturbed = noise(results)
    from_source = targets(results, UNCOMPILED.name)
    print("\n" + peers_table(results, missing))
    print(
        "\n" + targets_table(found, "compiled") + "\n\n" + targets_table(from_source, "from its source, for comparison")
    )
    print(
        f"\nnoise: the gateways waited {disturbed['waited_median']:.1%} of their runnable time for the core (most"
        f" {disturbed['waited_most']:.1%}); CPU per request differs between rounds by up to"
        f" {disturbed['cpu_spread_most']:.0%}"
    )
    if arguments.output is not None:
        document = as_document(
            results,
            found,
            from_source,
            missing,
            date=datetime.now(UTC).date().isoformat(),
            machine=_machine(cores),
            revision=_revision(),
            settings={"quick": arguments.quick, "nice": arguments.nice, **vars(effort)},
        )
        _write(arguments.output, document, results)
    return 1 if any(target.verdict == "MISSED" for target in found) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench gateway", description="Compare the gateway with others.")
    parser.add_argument("--quick", action="store_true", help="a minute instead of several, and less certain")
    parser.add_argument(
        "--with", dest="with_", action="append", default=[], choices=sorted(ON_REQUEST), help="measure this peer too"
    )
    parser.add_argument("--features", action="store_true", help="instead: what each part of a request's way costs")
    parser.add_argument(
        "--nice", type=int, default=0, help="priority of everything measured; negative (as root) on a machine in use"
    )
    parser.add_argument("--quiet", action="store_true", help="print the tables only")
    parser.add_argument(
        "--output", type=Path, default=RESULTS / "gateway.json", help="result file; its chart is written beside it"
    )
    parser.add_argument("--no-output", dest="output", action="store_const", const=None, help="write no files")
    return parser.parse_args()


def _not_asked_for(wanted: list[Peer]) -> list[Peer]:
    return [peer for peer in ON_REQUEST.values() if peer not in wanted]


def _machine(cores: Cores) -> dict[str, object]:
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "gateway_core": cores.gateway,
        "load_cores": cores.load,
    }


def _revision() -> str:
    """What was measured: the commit, and whether files differ from it."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def _write(output: Path, document: dict[str, object], results: dict[str, Measured]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    bars: dict[str, tuple[float, str]] = {}
    for name, one in results.items():
        if name not in {DIRECT, RELAY.name} and one.loads:
            speed = statistics.median(load.requests_per_s for load in one.loads)
            cpu_us = statistics.median(load.cpu_us for load in one.loads)
            bars[name] = (speed, f"{speed:,.0f} /s, {cpu_us:,.0f} µs each")
    ordered = dict(sorted(bars.items(), key=lambda item: -item[1][0]))
    chart = draw(ordered, title="Chat completions per second on one core, 64 connections", ours=US)
    output.with_suffix(".svg").write_text(chart, encoding="utf-8")


def _features(effort: Effort, cores: Cores, output: Path | None) -> int:
    found = measure_features(effort, cores, lambda text: print("  " + text, flush=True))
    print("\n" + features_table(found))
    if output is not None:
        path = output.with_name(output.stem + "-features.json")
        path.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
