"""CPU of one look-up among so many questions, and of what is done before it."""

from __future__ import annotations

import json
import statistics
from array import array
from collections.abc import Callable
from operator import mul
from random import Random
from time import perf_counter, process_time

from shipway.gateway.cache.vectors import Vectors
from shipway.gateway.cache.wording import exact_part, in_other_words

SIZES = ((100, 384), (1000, 384), (1000, 1536), (10_000, 1536))
TEXTS = ("I forgot the password of my account, what can I do to get a new one?", "How do I reset my password?")


def costs(rounds: int) -> dict[str, dict[str, float]]:
    """Microseconds, by what is done."""
    result: dict[str, dict[str, float]] = {}
    for rows, dimensions in SIZES:
        result[f"{rows} x {dimensions}"] = _scans(rows, dimensions, rounds)
    result["words of two questions"] = {"python": _us(lambda: (exact_part(TEXTS[0]), in_other_words(*TEXTS)), rounds)}
    return result


def _scans(rows: int, dimensions: int, rounds: int) -> dict[str, float]:
    random = Random(1)  # noqa: S311 - numbers to count with
    vectors = Vectors()
    table = vectors.table(dimensions, rows)
    plain: list[array[float]] = []
    body = b""
    for at in range(rows):
        numbers = [random.gauss(0, 1) for _ in range(dimensions)]
        body = json.dumps({"data": [{"index": 0, "embedding": numbers}]}).encode()
        (vector,) = vectors.read(body, 1)
        table.put(b"%d" % at, vector, may_hold_bytes=1 << 40)
        if rows <= 1000:
            plain.append(array("f", vector.tolist()))
    wanted = array("f", vector.tolist())
    told = {
        "read the vector": _us(lambda: vectors.read(body, 1), rounds),
        "numpy": _us(lambda: table.nearest(vector, 8), rounds),
    }
    if plain:
        told["python"] = _us(lambda: max(sum(map(mul, one, wanted)) for one in plain), max(3, rounds // 20))
    return told


def _us(work: Callable[[], object], rounds: int) -> float:
    """The median CPU of this process, several at a time where the clock is too coarse for one."""
    began_s = perf_counter()
    work()
    batch = max(1, round(0.002 / max(1e-7, perf_counter() - began_s)))
    times = []
    for _ in range(rounds):
        began = process_time()
        for _ in range(batch):
            work()
        times.append((process_time() - began) / batch)
    return round(statistics.median(times) * 1e6, 1)
