"""Wall time of `shipway --help` against `python -c pass`, as a ratio; at most 8 is asked."""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROUNDS = 25
MAX_RATIO = 8.0
RESULT = Path(__file__).parent / "results" / "help.json"


def wall_ms(command: list[str]) -> float:
    start_s = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - start_s) * 1000


def main() -> int:
    """Measure both in turn, so that whatever else the machine does meets both alike."""
    help_command = [str(Path(sys.executable).parent / "shipway"), "--help"]
    pass_command = [sys.executable, "-c", "pass"]
    for command in (help_command, pass_command):
        wall_ms(command)  # writes bytecode and warms the file cache
    pairs = [(wall_ms(help_command), wall_ms(pass_command)) for _ in range(ROUNDS)]
    help_ms, pass_ms = (statistics.median(column) for column in zip(*pairs, strict=True))
    result = {
        "help_ms": round(help_ms, 1),
        "pass_ms": round(pass_ms, 1),
        "ratio": round(help_ms / pass_ms, 2),
        "max_ratio": MAX_RATIO,
        "rounds": ROUNDS,
        "python": ".".join(str(part) for part in sys.version_info[:3]),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(
        f"shipway --help {help_ms:.1f} ms, python -c pass {pass_ms:.1f} ms: {result['ratio']} times (at most {MAX_RATIO:g})"
    )
    return 0 if help_ms / pass_ms <= MAX_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
