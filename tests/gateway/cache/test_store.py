"""What the memory keeps and for how long, what makes two requests the same, and what a shared store's bytes may be."""

from __future__ import annotations

import json
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shipway.gateway.admission import Principal
from shipway.gateway.cache.entry import Entry, packed, unpacked
from shipway.gateway.cache.request import key_of, wishes
from shipway.gateway.cache.store import OVERHEAD_BYTES, MemoryStore
from shipway.gateway.call import Call
from shipway.gateway.dialects.model_request import ModelRequest
from shipway.gateway.model_api import PATHS

ANSWER = Entry(False, b"x" * 1000, b"", 5.0, 3, None)
TAKEN = 1000 + OVERHEAD_BYTES
KEPT = Entry(False, b'{"a":1}', b"x-shipway-dropped: seed\r\n", 5.0, 3, None)
KEPT_STREAM = Entry(True, b"data: [DONE]\n\n", b"", 5.0)


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


@pytest.mark.parametrize("entry", [KEPT, KEPT_STREAM])
def test_shared_store_gives_back_what_was_put(entry: Entry) -> None:
    assert unpacked(b"key", packed(b"key", entry)) == entry


def test_cost_that_a_shared_store_has_no_place_for_is_unknown_there() -> None:
    assert unpacked(b"key", packed(b"key", replace(KEPT, cost_pico_usd=10**20))) == KEPT


@pytest.mark.parametrize(
    "changed",
    [
        {"stored_s": float("-inf")},
        {"stored_s": float("nan")},
        {"stored_s": 1e300},
        {"stored_s": -1.0},
        {"input_tokens": -1},
        {"output_tokens": 2**63},
        {"cost_pico_usd": -1},
        {"dropped": b"x-injected: 1\r\n"},
        {"dropped": b"x-shipway-dropped: a\r\n\r\nbody"},
        {"dropped": b"x-shipway-dropped: a"},
        {"body": b""},
        {"body": b"<html>"},
        {"stream": True},
        {"stream": True, "body": b'data: {"cut'},
    ],
)
def test_entry_that_was_changed_in_a_shared_store_is_none(changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="entry"):
        unpacked(b"key", packed(b"key", replace(KEPT, **changed)))


@pytest.mark.parametrize("data", [b"", b"x", packed(b"another", KEPT), packed(b"key", KEPT)[:-1]])
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


TENANT = Principal("key-1a2b3c4d", b"digest-1")
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(st.text(), JSON, max_size=5).map(lambda body: {**body, "model": "chat", "stream": False})


def key(
    body: bytes, tenant: Principal | None = TENANT, generation: bytes = b"v1", path: bytes = b"/v1/completions"
) -> bytes | None:
    head = SimpleNamespace(passed_on=[])
    call = cast(Call, SimpleNamespace(caller=tenant, exchange=SimpleNamespace(head=head)))
    return key_of(call, PATHS[path], ModelRequest(body), generation)


def shuffled(value: Any, chance: random.Random) -> Any:
    if isinstance(value, list):
        return [shuffled(one, chance) for one in value]
    if not isinstance(value, dict):
        return value
    names = list(value)
    chance.shuffle(names)
    return {name: shuffled(value[name], chance) for name in names}


@given(BODIES, st.randoms(use_true_random=False))
def test_how_a_body_is_written_makes_no_other_key(body: dict[str, Any], chance: random.Random) -> None:
    written = json.dumps(shuffled(body, chance), indent=chance.choice((None, 2)), ensure_ascii=chance.random() < 0.5)
    found = key(written.encode("utf-8", "surrogatepass")) if _is_text(written) else None
    if found is not None:
        assert found == key(json.dumps(body).encode())


@given(BODIES, BODIES)
def test_bodies_that_say_other_things_have_other_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    keys = [key(json.dumps(body).encode()) for body in (one, other)]
    if json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True) and None not in keys:
        assert keys[0] != keys[1]


def test_tenant_release_and_path_are_each_a_part_of_the_key() -> None:
    body = b'{"model":"chat"}'
    keys = [
        key(body),
        key(body, Principal("key-1a2b3c4d", b"digest-2")),  # which logs call by the same name
        key(body, Principal("someone")),
        key(body, generation=b"v2"),
        key(body, path=b"/v1/embeddings"),
        key(b'{"model":"chat","stream":true}'),
    ]
    assert len(set(keys)) == len(keys)
    assert None not in keys
    assert key(body, None) is None


def test_numbers_that_a_double_would_round_stay_different() -> None:
    numbers = ["0.1", "0.1000000000000000055", "1e400", "1e401", "1e-400", "0.0", "-0.0", str(2**70), str(2**70 + 1)]
    keys = [key(b'{"model":"chat","n":%b}' % number.encode()) for number in numbers]
    assert len(set(keys)) == len(numbers)
    assert key(b'{"model":"chat","n":0.50}') == key(b'{"model":"chat","n":0.5}')


def _is_text(written: str) -> bool:
    return written.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in written)
