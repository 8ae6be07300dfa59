"""What the memory keeps and for how long, what makes two requests the same, and what a shared store's bytes may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.gateway.cache.entry import Entry, packed, unpacked
from shipway.gateway.cache.request import wishes
from shipway.gateway.cache.store import OVERHEAD_BYTES, MemoryStore

ANSWER = Entry(False, b"x" * 1000, b"", 5.0, 3, None)
TAKEN = 1000 + OVERHEAD_BYTES


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


async def test_entry_is_gone_when_its_time_is_over() -> None:
    clock = Clock()
    store = MemoryStore(10_000, clock)
    store.put(b"a", ANSWER, 60.0)
    clock.now_s += 59.9
    assert await store.get(b"a") == ANSWER
    clock.now_s += 0.1
    assert await store.get(b"a") is None
    assert (len(store), store.held_bytes, store.evictions) == (0, 0, 0)


async def test_entry_not_used_for_longest_makes_room() -> None:
    store = MemoryStore(3 * TAKEN)
    for key in (b"a", b"b", b"c"):
        store.put(key, ANSWER, 60.0)
    await store.get(b"a")
    store.put(b"d", ANSWER, 60.0)
    assert [await store.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert (store.held_bytes, store.evictions) == (3 * TAKEN, 1)


async def test_entry_larger_than_the_store_is_not_kept_and_empties_nothing() -> None:
    store = MemoryStore(TAKEN)
    store.put(b"a", ANSWER, 60.0)
    store.put(b"b", Entry(False, b"x" * 2000, b"", 5.0), 60.0)
    assert await store.get(b"a") == ANSWER
    assert len(store) == 1


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3000))))
def test_memory_never_holds_more_than_it_may(puts: list[tuple[int, int]]) -> None:
    store = MemoryStore(8000)
    for key, size in puts:
        store.put(b"%d" % key, Entry(True, b"x" * size, b"", 0.0), 60.0)
        assert store.held_bytes <= 8000
    assert (store.held_bytes == 0) == (len(store) == 0)


def test_shared_store_gives_back_what_was_put() -> None:
    assert unpacked(b"key", packed(b"key", ANSWER)) == ANSWER


@pytest.mark.parametrize("data", [b"", b"x", packed(b"another", ANSWER), packed(b"key", ANSWER)[:-1]])
def test_bytes_that_are_not_the_entry_of_this_key_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="entry"):
        unpacked(b"key", data)


def test_age_is_never_negative_whatever_the_clocks_say() -> None:
    assert [ANSWER.age_s(4.0), ANSWER.age_s(7.5)] == [0.0, 2.5]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        (b"", (True, float("inf"))),
        (b"no-store", (False, -1.0)),
        (b"max-age=5, No-Store", (False, -1.0)),
        (b"no-cache", (True, -1.0)),
        (b"max-age=5,max-age=3", (True, 3.0)),
        (b"max-age=-5", (True, float("inf"))),
        (b"private", (True, float("inf"))),
    ],
)
def test_wishes_of_a_client(field: bytes, expected: tuple[bool, float]) -> None:
    assert wishes(field) == expected
