"""Vectors of questions: what is nearest, what makes room for what, and how much memory it is counted to take."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.cache.semantic import (
    MAX_WAITING,
    PARTITION_BYTES,
    Embedded,
    Near,
    Placed,
    Question,
    SemanticIndex,
)
from shipway.gateway.cache.vectors import Vectors

MANY = 1 << 40


def body(*vectors: Sequence[float]) -> bytes:
    return json.dumps({"data": [{"index": at, "embedding": one} for at, one in enumerate(vectors)]}).encode()


numbers = st.floats(-(2.0**100), 2.0**100, width=32)


@given(st.lists(numbers, min_size=1, max_size=8).filter(any))
def test_vector_is_made_as_long_as_one(vector: list[float]) -> None:
    (unit,) = Vectors().read(body(vector), 1)
    assert math.isclose(math.fsum(float(one) ** 2 for one in unit), 1.0, abs_tol=1e-5)


small = st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any)
steps = st.lists(st.tuples(st.sampled_from("pppr"), st.integers(0, 9), small), max_size=40)


@given(steps, small, st.integers(1, 6))
def test_table_finds_what_looking_at_each_would_find(
    done: list[tuple[str, int, list[int]]], wanted: list[int], max_rows: int
) -> None:
    vectors = Vectors()
    table = vectors.table(3, max_rows)
    kept: dict[bytes, list[int]] = {}
    for what, number, vector in done:
        key = b"%d" % number
        if what == "r":
            table.remove(key)
            kept.pop(key, None)
            continue
        evicted = table.put(key, vectors.read(body(vector), 1)[0], may_hold_bytes=MANY)
        if evicted is not None:
            assert kept.pop(evicted)
        kept[key] = vector
    assert len(table) == len(kept) <= max_rows
    assert all(key in table for key in kept)
    cosines = {key: _cosine(vector, wanted) for key, vector in kept.items()}
    found = table.nearest(vectors.read(body(wanted), 1)[0], 3)
    assert [one for _, one in found] == pytest.approx(sorted(cosines.values(), reverse=True)[:3], abs=1e-6)
    assert all(one == pytest.approx(cosines[key], abs=1e-6) for key, one in found)


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(map(float.__mul__, map(float, one), map(float, other))) / math.hypot(*one) / math.hypot(*other)


def placed(text: str, partition: str = "p") -> Placed:
    return Placed(Question(partition.encode(), text))


class Model:
    """A model of embeddings for which all texts mean the same."""

    def __init__(self, dimensions: int = 4) -> None:
        self.asked: list[list[str]] = []
        self.dimensions = dimensions

    async def embed(self, texts: list[str], within_s: float) -> Embedded | None:
        self.asked.append(texts)
        return Embedded(body(*[[1.0] * self.dimensions for _ in texts]), "u/m")


async def nearest(index: SemanticIndex, one: Placed, model: Model) -> list[Near]:
    return await index.nearest(one, model.embed, threshold=0.9, within_s=1.0)


async def test_questions_of_another_partition_are_not_compared() -> None:
    index, model = SemanticIndex(10, MANY, Vectors()), Model()
    index.add(placed("how is it done"), b"k")
    assert await nearest(index, placed("in what way can I do that", "q"), model) == []
    assert await nearest(index, placed("in what way can I do that"), model) == [Near(b"k", 1.0)]
    assert model.asked == [["in what way can I do that", "how is it done"]]


async def test_question_is_compared_with_so_many_and_the_newest_of_them() -> None:
    index, model = SemanticIndex(3, MANY, Vectors()), Model()
    for number in range(6):
        one = placed(f"{'very ' * 3 * number} well")
        await nearest(index, one, model)
        index.add(one, b"%d" % number)
    near = await nearest(index, placed("quite other words these are"), model)
    assert sorted(one.key for one in near) == [b"3", b"4", b"5"]
    assert len(index) == 3


async def test_waiting_texts_are_bounded() -> None:
    index, model = SemanticIndex(100, MANY, Vectors()), Model()
    for number in range(50):
        index.add(placed(f"text {number}"), b"%d" % number)
    assert len(index) == MAX_WAITING
    await nearest(index, placed("quite other words these are"), model)
    assert len(model.asked[0]) == 1 + MAX_WAITING


async def test_partitions_that_are_not_used_make_room() -> None:
    index = SemanticIndex(100, 20 * PARTITION_BYTES, Vectors())
    for number in range(100):
        index.add(placed("text", f"p{number}"), b"%d" % number)
        assert index.held_bytes <= 20 * PARTITION_BYTES
    assert len(index) == 15
    model = Model()
    assert await nearest(index, placed("quite other words these are", "p0"), model) == []
    assert await nearest(index, placed("quite other words these are", "p99"), model) == [Near(b"99", 1.0)]


async def test_one_partition_stays_within_the_size_too() -> None:
    index, model = SemanticIndex(10_000, 64 * 1024, Vectors()), Model(dimensions=256)
    for number in range(200):
        one = placed(f"{number} and so on")
        await nearest(index, one, model)
        index.add(one, b"%d" % number)
        assert index.held_bytes <= 64 * 1024
    assert len(index) > 20


async def test_what_is_forgotten_is_not_counted() -> None:
    index, model = SemanticIndex(100, MANY, Vectors()), Model()
    keys = [b"%d" % number for number in range(5)]
    for key in keys:
        index.add(placed("text"), key)
    await nearest(index, placed("quite other words these are"), model)
    for key in keys:
        index.forget(placed("x"), key)
        index.forget(placed("x", "unknown"), key)
    assert len(index) == 0
    assert await nearest(index, placed("quite other words these are"), model) == []


async def test_partition_that_made_room_while_its_vectors_were_made_is_not_counted_again() -> None:
    index = SemanticIndex(100, 3 * PARTITION_BYTES, Vectors())
    index.add(placed("text"), b"k")

    class Slow(Model):
        async def embed(self, texts: list[str], within_s: float) -> Embedded | None:
            for number in range(5):
                index.add(placed("text", f"q{number}"), b"%d" % number)
            return await super().embed(texts, within_s)

    assert await nearest(index, placed("quite other words these are"), Slow()) == []
    assert 0 < index.held_bytes <= 3 * PARTITION_BYTES
    index.close()
    assert index.held_bytes == 0
