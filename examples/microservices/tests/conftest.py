"""Makes the services importable as `shipway up` does, wherever this folder lies."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
