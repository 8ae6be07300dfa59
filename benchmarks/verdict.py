"""How often verdicts on canaries are wrong and how soon they are right, simulated, beside threshold rules. Options: --quick."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # The checkout's root, so that the package beside this file has its full name: benchmarks.verdict.
    sys.path[0] = str(Path(__file__).parent.parent)
    runpy.run_module("benchmarks.verdict", run_name="__main__")
