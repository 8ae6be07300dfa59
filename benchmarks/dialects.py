"""CPU of translating requests, answers and streams between dialects, beside LiteLLM's own. Options: --with PYTHON, --quick."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # The checkout's root, so that the package beside this file has its full name: benchmarks.dialects.
    sys.path[0] = str(Path(__file__).parent.parent)
    runpy.run_module("benchmarks.dialects", run_name="__main__")
