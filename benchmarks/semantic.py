"""How often a semantic cache gives the answer to another question, and its CPU. Options: --base-url, --model, --quick."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # The checkout's root, so that the package beside this file has its full name: benchmarks.semantic.
    sys.path[0] = str(Path(__file__).parent.parent)
    runpy.run_module("benchmarks.semantic", run_name="__main__")
