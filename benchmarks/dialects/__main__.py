"""Measures both in turn, round by round, prints a table and keeps the result."""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.dialects import exchange
from benchmarks.dialects.ours import measure

HERE = Path(__file__).parent
RESULT = HERE.parent / "results" / "dialects.json"
MAX_WHOLE_US = 150.0
MAX_EVENT_US = 15.0
MIN_RATIO = 20.0


def peer(python: str, provider: str, seconds: float) -> dict[str, float | str]:
    command = [python, str(HERE / "litellm_peer.py"), provider, str(seconds)]
    output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    told: dict[str, float | str] = json.loads(output.splitlines()[-1])
    return told


def medians(rounds: list[dict[str, float | str]]) -> dict[str, float]:
    names = [name for name, value in rounds[0].items() if isinstance(value, float)]
    return {name: round(statistics.median(float(one[name]) for one in rounds), 2) for name in names}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with", dest="python", help="a Python that has litellm; without it only Shipway is measured")
    parser.add_argument("--quick", action="store_true", help="one short round; does not keep the result")
    options = parser.parse_args()
    rounds, seconds = (1, 0.3) if options.quick else (5, 1.0)
    result: dict[str, object] = {}
    reached = True
    for provider in exchange.ANSWERS:
        ours: list[dict[str, float | str]] = []
        theirs: list[dict[str, float | str]] = []
        for _ in range(rounds):
            ours.append(dict(measure(provider, seconds)))
            if options.python:
                theirs.append(peer(options.python, provider, seconds))
        row: dict[str, object] = {"shipway": medians(ours)}
        own = medians(ours)
        reached = reached and own["whole_us"] <= MAX_WHOLE_US and own["event_us"] <= MAX_EVENT_US
        line = f"{provider:10} exchange {own['whole_us']:6.1f} us, event {own['event_us']:5.2f} us"
        if theirs:
            other = medians(theirs)
            ratios = {name: round(other[name] / own[name], 1) for name in own}
            row |= {"litellm": other, "litellm_version": theirs[0]["version"], "times_faster": ratios}
            reached = reached and min(ratios.values()) >= MIN_RATIO
            line += f" | LiteLLM {other['whole_us']:7.1f} us, {other['event_us']:6.1f} us"
            line += f" | {ratios['whole_us']:.0f} and {ratios['event_us']:.0f} times"
        print(line, flush=True)
        result[provider] = row
    if not options.quick:
        targets = {"max_whole_us": MAX_WHOLE_US, "max_event_us": MAX_EVENT_US, "min_times_faster": MIN_RATIO}
        about = {"request_bytes": len(exchange.REQUEST), "rounds": rounds, "python": platform.python_version()}
        RESULT.write_text(json.dumps({**about, **targets, "providers": result}, indent=2) + "\n", encoding="utf-8")
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
