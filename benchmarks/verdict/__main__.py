"""Runs the simulations, prints their tables and keeps them. Exit status 1 when a stated property does not hold."""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.verdict.characteristics import (
    BAD_RATES,
    LATE,
    SHARES,
    detection,
    false_rollbacks,
    late_failure,
)
from benchmarks.verdict.nulls import NULLS
from benchmarks.verdict.promotions import CANDIDATES, promotion
from benchmarks.verdict.report import Results, as_plain, failures, properties, tables
from benchmarks.verdict.side_by_side import CASES, RULES, decided

RESULT = Path(__file__).parents[1] / "results" / "verdict.json"


@dataclass(frozen=True)
class Effort:
    """Rollouts simulated for each line of a table."""

    nulls: int
    detections: int
    late: int
    promotions: int
    side_by_side: int


FULL = Effort(nulls=600, detections=400, late=200, promotions=200, side_by_side=150)
QUICK = Effort(nulls=100, detections=60, late=20, promotions=60, side_by_side=20)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench verdict", description="Simulate verdicts on canaries.")
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes; less certain, and not kept")
    parser.add_argument("--seed", type=int, default=1, help="another seed simulates other rollouts")
    parser.add_argument("--output", type=Path, default=RESULT, help="result file")
    parser.add_argument("--no-output", dest="output", action="store_const", const=None, help="write no file")
    arguments = parser.parse_args()
    effort, seed, start_s = QUICK if arguments.quick else FULL, 1_000_000 * arguments.seed, time.perf_counter()
    results = Results(
        [false_rollbacks(null, effort.nulls, seed) for null in NULLS],
        [detection(share, rate, effort.detections, seed) for share in SHARES for rate in BAD_RATES],
        {f"share {share:.0%}, then {then:.0%}": late_failure(share, then, effort.late, seed) for share, then in LATE},
        [promotion(one, effort.promotions, seed) for one in CANDIDATES],
        {
            case.name: {name: decided(case, rule, effort.side_by_side, seed) for name, rule in RULES.items()}
            for case in CASES
        },
    )
    found = properties(results)
    print(tables(results) + "\n\n" + failures(found) + f" ({time.perf_counter() - start_s:.0f} s)")
    if arguments.output is not None and not arguments.quick:
        document = {
            "seed": arguments.seed,
            "rollouts": asdict(effort),
            "properties": {one.statement: one.holds for one in found},
            "results": as_plain(results),
        }
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 0 if all(one.holds for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
