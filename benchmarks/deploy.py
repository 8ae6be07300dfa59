"""What deploys, a gateway's upgrade and rollbacks on a real Docker engine cost those who call. Options: --help."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # The checkout's root, so that the package beside this file has its full name: benchmarks.deploy.
    sys.path[0] = str(Path(__file__).parent.parent)
    runpy.run_module("benchmarks.deploy", run_name="__main__")
