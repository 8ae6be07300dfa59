"""What every store of deployment state keeps to: inherit, give a `store`, and pytest collects the rest."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shipway.deploy.state import Store
from shipway.errors import ConflictError

KEYS = st.sampled_from(["a/b", "a/bc", "a/b/c", "d"])


class StoreContract:
    """Tests of one kind of store; the fixture `store` gives an empty one."""

    def test_what_was_put_is_there(self, store: Store) -> None:
        version = store.put("a/b", b"one", None)
        entry = store.get("a/b")
        assert entry is not None
        assert (entry.value, entry.version) == (b"one", version)
        assert store.get("a/c") is None

    def test_any_bytes_are_a_value(self, store: Store) -> None:
        for number, value in enumerate((b"", b"\n", bytes(range(256)), b"x" * 1_000_000)):
            store.put(f"a/{number}", value, None)
            entry = store.get(f"a/{number}")
            assert entry is not None
            assert entry.value == value

    def test_a_change_names_the_version_that_it_replaces(self, store: Store) -> None:
        first = store.put("a/b", b"one", None)
        second = store.put("a/b", b"two", first)
        with pytest.raises(ConflictError):
            store.put("a/b", b"three", first)
        with pytest.raises(ConflictError):
            store.put("a/b", b"three", None)
        entry = store.get("a/b")
        assert entry is not None
        assert (entry.value, entry.version) == (b"two", second)

    def test_a_version_does_not_come_back_with_its_value(self, store: Store) -> None:
        first = store.put("a/b", b"one", None)
        second = store.put("a/b", b"two", first)
        third = store.put("a/b", b"one", second)
        store.delete("a/b", third)
        fourth = store.put("a/b", b"one", None)
        assert len({first, second, third, fourth}) == 4

    def test_what_is_not_there_cannot_be_replaced(self, store: Store) -> None:
        version = store.put("a/b", b"one", None)
        store.delete("a/b", version)
        for change in (lambda: store.put("a/b", b"two", version), lambda: store.delete("a/b", version)):
            with pytest.raises(ConflictError):
                change()
        assert store.get("a/b") is None

    def test_keys_are_listed_below_their_folder(self, store: Store) -> None:
        for key in ("a/bc", "a/b/d", "a/b/c", "x"):
            store.put(key, b"", None)
        assert store.keys("a/b") == ["a/b/c", "a/b/d"]
        assert store.keys("a") == ["a/b/c", "a/b/d", "a/bc"]
        assert store.keys("nothing") == []

    @settings(max_examples=30, suppress_health_check=[*HealthCheck])
    @given(
        st.lists(st.tuples(KEYS.filter(lambda key: key != "a/b"), st.binary(max_size=8), st.booleans()), max_size=12)
    )
    def test_it_is_a_dictionary_with_versions(self, store: Store, changes: list[tuple[str, bytes, bool]]) -> None:
        for key in store.keys("a"):
            store.delete(key, _version(store, key))
        if (entry := store.get("d")) is not None:
            store.delete("d", entry.version)
        model: dict[str, bytes] = {}
        for key, value, is_removal in changes:
            if is_removal and key in model:
                store.delete(key, _version(store, key))
                del model[key]
            else:
                store.put(key, value, _version(store, key) if key in model else None)
                model[key] = value
        assert store.keys("a") == sorted(key for key in model if key.startswith("a/"))
        assert {key: _value(store, key) for key in model} == model


def _version(store: Store, key: str) -> str:
    entry = store.get(key)
    assert entry is not None
    return entry.version


def _value(store: Store, key: str) -> bytes:
    entry = store.get(key)
    assert entry is not None
    return entry.value
