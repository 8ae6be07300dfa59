"""Which kept answers are to questions of nearly the same meaning: the vectors of one model's questions, by partition.

It holds no answers, only the keys under which a store has them, so an answer that the store has lost is lost here too. The
first question of a partition is not turned into a vector before there is a second to compare it with: a conversation, whose
every turn is a partition of its own, costs nothing.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from shipway.gateway.breaker import Breaker
from shipway.gateway.cache.store import FAULTS, POLICY
from shipway.gateway.cache.vectors import ROUNDING, Table, Vectors
from shipway.gateway.cache.wording import in_other_words

if TYPE_CHECKING:
    from shipway.gateway.cache.vectors import Vector

MAX_UNDER_WAY = 64
"""Calls of the model of embeddings under way at once; what is asked beyond them is not compared."""
MAX_WAITING = 8
"""Questions of a partition that may wait to become vectors. More than one waits only where that has failed."""
CANDIDATES = 8
"""How many of the nearest are looked at: the nearest may have been lost, or be refused for its words."""
PARTITION_BYTES = 1024
ROW_BYTES = 256
"""What a partition takes besides its vectors, and a question besides its text and vector. Measured 900 and 230."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and where questions are that may be compared with it.

    Attributes:
        partition: 32 bytes for all that must be the same: the tenant, and whatever of the request is not *text*.
    """

    partition: bytes
    text: str


class Embedded(NamedTuple):
    """What a model of embeddings answered, and the upstream that did: each has a space of vectors of its own."""

    body: bytes
    upstream: str


Embed = Callable[[list[str], float], Awaitable[Embedded | None]]
"""Asks for the vectors of texts, for so many seconds at most; None where there are none. Raises nothing of its own."""


@dataclass(frozen=True, slots=True)
class Semantic:
    """What `[models.NAME.cache.semantic]` says.

    Attributes:
        embeddings: The model that makes vectors.
        generations: By release of the model that answers, what keeps its questions apart from all others.
    """

    index: SemanticIndex
    embeddings: str
    threshold: float
    timeout_s: float
    max_text_bytes: int
    generations: Mapping[str, bytes] = field(repr=False)


class Near(NamedTuple):
    """A question that was asked before.

    Attributes:
        key: Of its answer.
    """

    key: bytes
    similarity: float


@dataclass(slots=True)
class Placed:
    """A question with what was found out about it.

    Attributes:
        vector: None where none was asked for, or none came.
        nearest: The largest similarity to any other in its partition, near enough or not; None where there was no other.
    """

    question: Question
    vector: Vector | None = None
    upstream: str = ""
    nearest: float | None = None


class _Partition:
    __slots__ = ("held_bytes", "tables", "texts", "waiting")

    def __init__(self) -> None:
        self.held_bytes = PARTITION_BYTES
        self.texts: dict[bytes, str] = {}
        """Of all questions here, by key."""
        self.waiting: dict[bytes, None] = {}
        """Those that have no vector, oldest first."""
        self.tables: dict[tuple[str, int], Table] = {}
        """By upstream and dimensions."""


class SemanticIndex:
    """The questions of one model; at most *max_rows* in a table and *size_bytes* in all, for which partitions that were not used
    for longest make room.

    Attributes:
        held_bytes: What all take, about.
        faults: How often vectors did not come, by `metrics.STORE_FAULT`.
    """

    def __init__(self, max_rows: int, size_bytes: int, vectors: Vectors) -> None:
        self.held_bytes = 0
        self.faults = dict.fromkeys(FAULTS, 0)
        self._max_rows = max_rows
        self._size_bytes = size_bytes
        self._vectors = vectors
        self._partitions: OrderedDict[bytes, _Partition] = OrderedDict()
        self._breaker = Breaker(POLICY)
        self._under_way = 0

    def __len__(self) -> int:
        return sum(len(one.texts) for one in self._partitions.values())

    async def nearest(self, placed: Placed, embed: Embed, *, threshold: float, within_s: float) -> list[Near]:
        """The questions that *placed*'s is nearly the same as, most similar first; tells *placed* what it finds out."""
        partition = self._partitions.get(placed.question.partition)
        if partition is None or not partition.texts:
            return []
        self._partitions.move_to_end(placed.question.partition)
        waiting = list(partition.waiting)
        vectors = await self._embedded(
            placed, [placed.question.text, *(partition.texts[key] for key in waiting)], embed, within_s
        )
        if not vectors:
            return []
        placed.vector = vectors[0]
        if self._partitions.get(placed.question.partition) is not partition:  # it made room meanwhile
            return []
        for key, vector in zip(waiting, vectors[1:], strict=True):
            if key in partition.waiting:  # and was not lost, or given one, meanwhile
                self._give_vector(partition, key, placed.upstream, vector)
        self._make_room()
        table = partition.tables.get((placed.upstream, len(placed.vector)))
        found = table.nearest(placed.vector, CANDIDATES) if table is not None else []
        placed.nearest = found[0][1] if found else None
        return [
            Near(key, similarity)
            for key, similarity in found
            if similarity >= threshold - ROUNDING and in_other_words(placed.question.text, partition.texts[key])
        ]

    def add(self, placed: Placed, key: bytes) -> None:
        """The answer to *placed* is kept under *key*."""
        partition = self._partitions.get(placed.question.partition)
        if partition is None:
            partition = self._partitions[placed.question.partition] = _Partition()
            self.held_bytes += PARTITION_BYTES
        self._partitions.move_to_end(placed.question.partition)
        if key not in partition.texts:
            partition.texts[key] = placed.question.text
            self._takes(partition, _row_bytes(placed.question.text))
        if placed.vector is not None:
            self._give_vector(partition, key, placed.upstream, placed.vector)
        elif not any(key in table for table in partition.tables.values()):
            partition.waiting[key] = None
            if len(partition.waiting) > MAX_WAITING:
                self._lose(partition, next(iter(partition.waiting)))
        self._make_room()

    def forget(self, placed: Placed, key: bytes) -> None:
        """The answer under *key* is no more."""
        partition = self._partitions.get(placed.question.partition)
        if partition is not None:
            self._lose(partition, key)

    def close(self) -> None:
        self._partitions.clear()
        self.held_bytes = 0

    async def _embedded(self, placed: Placed, texts: list[str], embed: Embed, within_s: float) -> list[Vector]:
        """Their vectors, or none at all."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        if self._under_way >= MAX_UNDER_WAY or not self._breaker.allows(began_s):
            self.faults["skipped"] += 1
            return []
        self._under_way += 1
        try:
            answer = await embed(texts, within_s)
        except BaseException:  # the client left
            self._breaker.probe_abandoned(began_s)
            raise
        finally:
            self._under_way -= 1
        now_s = loop.time()
        try:
            if answer is None:
                raise ValueError("no answer")
            vectors = self._vectors.read(answer.body, len(texts))
        except ValueError:
            self.faults["timeout" if now_s - began_s >= within_s else "error"] += 1
            self._breaker.failed(now_s, began_s)
            return []
        self._breaker.succeeded(now_s, began_s)
        placed.upstream = answer.upstream
        return vectors

    def _give_vector(self, partition: _Partition, key: bytes, upstream: str, vector: Vector) -> None:
        partition.waiting.pop(key, None)
        name = (upstream, len(vector))
        table = partition.tables.get(name)
        if table is None:
            table = partition.tables[name] = self._vectors.table(len(vector), self._max_rows)
            self._takes(partition, table.held_bytes)
        before_bytes = table.held_bytes
        others_bytes = partition.held_bytes - before_bytes
        evicted = table.put(key, vector, may_hold_bytes=self._size_bytes - others_bytes)
        self._takes(partition, table.held_bytes - before_bytes)
        if evicted is not None:
            self._lose(partition, evicted)

    def _lose(self, partition: _Partition, key: bytes) -> None:
        text = partition.texts.pop(key, None)
        partition.waiting.pop(key, None)
        for table in partition.tables.values():
            table.remove(key)
        if text is not None:
            self._takes(partition, -_row_bytes(text))

    def _takes(self, partition: _Partition, count: int) -> None:
        """*partition*, which is one of those here, takes so many bytes more."""
        partition.held_bytes += count
        self.held_bytes += count

    def _make_room(self) -> None:
        while self.held_bytes > self._size_bytes and self._partitions:
            _, oldest = self._partitions.popitem(last=False)
            self.held_bytes -= oldest.held_bytes


def _row_bytes(text: str) -> int:
    return ROW_BYTES + 2 * len(text)
