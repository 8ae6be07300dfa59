"""The gateway beside nginx, Envoy and others that do the same, one core each. Options: --quick, --with PEER, --features."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    # The checkout's root, so that the package beside this file has its full name: benchmarks.gateway.
    sys.path[0] = str(Path(__file__).parent.parent)
    runpy.run_module("benchmarks.gateway", run_name="__main__")
