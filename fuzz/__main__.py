"""Runs one target under atheris: python -m fuzz requests|responses|events SECONDS. Needs atheris; see scripts/fuzz."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["shipway.gateway"]):
    from fuzz import events, requests, responses

from fuzz.seeds import SEEDS, TOKENS

MAX_BYTES = 2048
_CUTS = 4
_HEADER = 2 * _CUTS + 1


def _target(name: str) -> Callable[[bytes], None]:
    """From an input (places to cut, a byte for variants, the message) to the check of *name*."""
    loop = asyncio.new_event_loop()

    def run(data: bytes) -> None:
        places = [int.from_bytes(data[at : at + 2], "big") for at in range(0, 2 * _CUTS, 2)]
        variant = data[2 * _CUTS] if len(data) > 2 * _CUTS else 0
        message = data[_HEADER:]
        if name == "requests":
            loop.run_until_complete(requests.check(message, places))
        elif name == "responses":
            method = b"HEAD" if variant % 4 == 0 else b"GET"
            loop.run_until_complete(responses.check(method, message, places))
        else:
            events.check(message, places)

    return run


def main() -> None:
    name, seconds = sys.argv[1], int(sys.argv[2])
    with tempfile.TemporaryDirectory(prefix="shipway-fuzz-") as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for at, seed in enumerate(SEEDS[name]):
            (corpus / str(at)).write_bytes(bytes(range(1, _HEADER + 1)) + seed)
        words = Path(folder, "words")
        words.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in token) + '"\n' for token in TOKENS[name]))
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={MAX_BYTES}",
            f"-dict={words}",
            "-timeout=10",
            "-rss_limit_mb=2048",
        ]
        keep = Path("fuzz", "found")
        keep.mkdir(exist_ok=True)
        atheris.Setup(
            [sys.argv[0], str(corpus), *options, f"-artifact_prefix={keep}/{name}-", "-print_final_stats=1"],
            _target(name),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
