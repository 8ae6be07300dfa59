"""Runs the soak, prints what it saw and keeps its result. Exit status 1 when something grew or went wrong."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import signal
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from benchmarks.gateway.rounds import split_cores
from benchmarks.soak.run import FULL, QUICK, Effort, Outcome, soak
from benchmarks.soak.verdict import findings, judged, trend

RESULT = Path(__file__).parents[1] / "results" / "soak.json"


def main() -> int:
    arguments = _arguments()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))  # so that what was started is stopped
    effort = QUICK if arguments.quick else FULL
    say = (lambda text: None) if arguments.quiet else (lambda text: print("  " + text, flush=True))
    outcome = uvloop.run(soak(effort, split_cores().gateway, say))
    found = [*(f"{what} ({count} times)" for what, count in outcome.wrong.items())]
    found += findings(outcome.samples, effort.bounds)
    document = as_document(outcome, effort, found)
    if arguments.output is not None:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(_summary(outcome, effort))
    for line in found:
        print(f"error: {line}")
    print("nothing grew" if not found else "failed")
    return 1 if found else 0


def as_document(outcome: Outcome, effort: Effort, found: list[str]) -> dict[str, object]:
    late = judged(outcome.samples)
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"system": platform.platform(), "python": platform.python_version(), "processors": os.cpu_count()},
        "effort": asdict(effort),
        "findings": found,
        "memory": asdict(trend(late)),
        "reloads": outcome.reloads,
        "visits": {kind: dict(counts.most_common()) for kind, counts in outcome.visits.items()},
        "samples": [asdict(sample) for sample in outcome.samples],
    }


def _summary(outcome: Outcome, effort: Effort) -> str:
    late = judged(outcome.samples)
    memory = trend(late)
    visits = sum(sum(counts.values()) for counts in outcome.visits.values())
    return (
        f"{visits} visits and {outcome.reloads} reloads in {outcome.samples[-1].at_s:.0f} s\n"
        f"memory behind the warm-up: {late[0].resident_kib / 1024:.1f} to {late[-1].resident_kib / 1024:.1f} MiB,"
        f" slope {memory.slope_kib_per_min:.0f} KiB a minute (at most {effort.bounds.slope_kib:.0f};"
        f" p = {memory.chance:.3f}), growth {memory.growth_kib:.0f} KiB (at most {effort.bounds.total_kib:.0f})\n"
        f"files {min(one.files for one in late)} to {max(one.files for one in late)}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench soak", description="See whether the gateway grows.")
    parser.add_argument("--quick", action="store_true", help="40 seconds instead of four minutes, and less certain")
    parser.add_argument("--quiet", action="store_true", help="print the result only")
    parser.add_argument("--output", type=Path, default=RESULT, help="result file")
    parser.add_argument("--no-output", dest="output", action="store_const", const=None, help="write no file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
