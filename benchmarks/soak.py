"""Whether the gateway grows under minutes of good, bad and hostile traffic: memory, files, connections. Options: --quick."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # The checkout's root, so that the package beside this file has its full name: benchmarks.soak.
    sys.path[0] = str(Path(__file__).parent.parent)
    runpy.run_module("benchmarks.soak", run_name="__main__")
