"""The cache of one model as a snapshot has it, and what of it outlives snapshots: stores and flights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from shipway.gateway.cache.flights import Flights
from shipway.gateway.cache.redis_store import RedisStore
from shipway.gateway.cache.semantic import Semantic, SemanticIndex
from shipway.gateway.cache.store import FAULTS, MemoryStore, Store
from shipway.gateway.cache.vectors import Vectors
from shipway.spec.cache import Cache
from shipway.spec.cache import Semantic as SemanticSettings


@dataclass(frozen=True, slots=True)
class ModelCache:
    """What `[models.NAME.cache]` says.

    Attributes:
        generations: By release, what keeps its answers apart from those of any other.
        semantic: None where only the same request gets an answer again.
    """

    store: Store
    flights: Flights
    ttl_s: float
    max_answer_bytes: int
    deterministic: bool
    generations: Mapping[str, bytes] = field(repr=False)
    semantic: Semantic | None = None
    wall_s: Callable[[], float] = time.time


class LiveCaches:
    """The stores of a process, kept across snapshots for as long as a model has one of the same size or address."""

    def __init__(self) -> None:
        self._memories: dict[tuple[str, int], MemoryStore] = {}
        self._shared: dict[str, RedisStore] = {}
        self._flights: dict[str, Flights] = {}
        self._indexes: dict[tuple[str, int, int], SemanticIndex] = {}

    def get(
        self,
        model: str,
        settings: Cache,
        address: str | None,
        generations: Mapping[str, bytes],
        embeddings: bytes = b"",
    ) -> ModelCache:
        """The cache of *model*.

        Args:
            address: Of the shared store, with its password; None for the memory of the process.
            embeddings: What makes vectors, where there is a semantic part: vectors of another are not compared with its.

        Raises:
            MissingExtraError: the shared store needs a package that is not installed.
            UsageError: *address* is none.
        """
        return ModelCache(
            self._memory(model, settings.size) if address is None else self._redis(address),
            self._flights.setdefault(model, Flights()),
            settings.ttl,
            settings.max_answer,
            settings.deterministic,
            generations,
            None if settings.semantic is None else self._semantic(model, settings.semantic, generations, embeddings),
        )

    async def keep_only(self, used: Iterable[ModelCache]) -> None:
        """Forget what other caches keep."""
        caches = tuple(used)
        keep = {id(part) for cache in caches for part in (cache.store, cache.flights)}
        keep |= {id(cache.semantic.index) for cache in caches if cache.semantic is not None}
        stores: list[Store] = [*self._memories.values(), *self._shared.values()]
        self._memories = {key: one for key, one in self._memories.items() if id(one) in keep}
        self._shared = {key: one for key, one in self._shared.items() if id(one) in keep}
        self._flights = {key: one for key, one in self._flights.items() if id(one) in keep}
        self._indexes = {key: one for key, one in self._indexes.items() if id(one) in keep}
        for store in stores:
            if id(store) not in keep:
                await store.close()

    async def close(self) -> None:
        await self.keep_only(())

    def held_bytes(self) -> dict[tuple[str, ...], float]:
        """By model."""
        return {(model,): store.held_bytes for (model, _), store in self._memories.items()}

    def evictions(self) -> dict[tuple[str, ...], float]:
        """By model."""
        return {(model,): store.evictions for (model, _), store in self._memories.items()}

    def store_faults(self) -> dict[tuple[str, ...], float]:
        """Of all shared stores together, by `metrics.STORE_FAULT`."""
        stores = self._shared.values()
        return {(fault,): sum(one.faults[fault] for one in stores) for fault in FAULTS}

    def vector_bytes(self) -> dict[tuple[str, ...], float]:
        """By model."""
        return {(model,): index.held_bytes for (model, _, _), index in self._indexes.items()}

    def embedding_faults(self) -> dict[tuple[str, ...], float]:
        """By model and `metrics.STORE_FAULT`."""
        indexes = self._indexes.items()
        return {(model, fault): index.faults[fault] for (model, _, _), index in indexes for fault in FAULTS}

    def _semantic(
        self, model: str, settings: SemanticSettings, generations: Mapping[str, bytes], embeddings: bytes
    ) -> Semantic:
        key = (model, settings.entries, settings.size)
        index = self._indexes.get(key)
        if index is None:
            index = self._indexes[key] = SemanticIndex(settings.entries, settings.size, Vectors())
        return Semantic(
            index,
            settings.embeddings,
            settings.threshold,
            settings.timeout,
            settings.max_text,
            {release: generation + embeddings for release, generation in generations.items()},
        )

    def _memory(self, model: str, size_bytes: int) -> MemoryStore:
        store = self._memories.get((model, size_bytes))
        if store is None:
            store = self._memories[model, size_bytes] = MemoryStore(size_bytes)
        return store

    def _redis(self, address: str) -> RedisStore:
        store = self._shared.get(address)
        if store is None:
            store = self._shared[address] = RedisStore(address)
        return store
