"""The stores, by their contract and by what can go wrong with a directory."""

import errno
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from shipway.deploy.state import DirectoryStore, Store
from shipway.errors import ConflictError, NewerStateError, StateError
from shipway.testing.memory_store import MemoryStore
from tests.deploy.store_contract import StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


class TestDirectoryStore(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return DirectoryStore(tmp_path / "state")


def test_nothing_is_made_by_reading(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "state")
    assert (store.get("a/b"), store.keys("a")) == (None, [])
    assert not (tmp_path / "state").exists()


def test_the_files_are_for_their_owner_alone_and_not_for_git(tmp_path: Path) -> None:
    DirectoryStore(tmp_path / "state").put("a/b", b"one", None)
    modes = [(tmp_path / "state" / name).stat().st_mode & 0o777 for name in (".", "a", "a/b")]
    assert modes == [0o700, 0o700, 0o600]
    assert (tmp_path / "state" / ".gitignore").read_text() == "*\n"


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/../b", ".lock", "a/.new-1", "a b", "a\n"])
def test_a_key_cannot_lead_out_of_the_directory(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        DirectoryStore(tmp_path).get(key)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data.replace(b"one", b"two"),
        lambda data: b"",
        lambda data: b"\0" * len(data),
        lambda data: b"shipway-state 1\none",
        lambda data: data.split(b"\n")[0],
    ],
)
def test_a_damaged_file_is_noticed(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    store = DirectoryStore(tmp_path)
    store.put("a/b", b"one", None)
    file = tmp_path / "a" / "b"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(StateError, match="a/b is damaged: its checksum does not match what is in it") as error:
        store.get("a/b")
    assert error.value.hint == f"bring it back from a backup, or move it away: mv {file} {file}.damaged"
    with pytest.raises(StateError, match="damaged"):
        store.put("a/b", b"three", None)


def test_state_of_a_later_shipway_is_not_touched(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_bytes(b"shipway-state 2 xyz something-else-here more\nwhatever")
    for change in (lambda: store.get("a/b"), lambda: store.put("a/b", b"", None), lambda: store.delete("a/b", "x")):
        with pytest.raises(NewerStateError, match="written by a later Shipway: it has format 2, known is 1"):
            change()


@pytest.mark.parametrize("function", ["open", "fsync", "replace"])
def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    store = DirectoryStore(tmp_path)
    version = store.put("a/b", b"one", None)

    def full(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, function, full)
    with pytest.raises(StateError, match=r"a/b: No space left on device; the state is as it was before") as error:
        store.put("a/b", b"two", version)
    assert error.value.hint == "free some space"
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert store.put("a/b", b"two", version)


def test_a_file_in_place_of_the_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="cannot write"):
        DirectoryStore(tmp_path / "state").put("a/b", b"", None)


def test_what_an_interrupted_write_left_is_passed_over(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.put("a/b", b"one", None)
    (tmp_path / "a" / ".new-1234").write_bytes(b"half")
    assert store.keys("a") == ["a/b"]


def _count_up(root: Path, times: int) -> None:
    store = DirectoryStore(root)
    done = 0
    while done < times:
        entry = store.get("count")
        value = int(entry.value) if entry else 0
        try:
            store.put("count", str(value + 1).encode(), entry.version if entry else None)
            done += 1
        except ConflictError:
            continue


def test_processes_that_change_the_same_key_lose_no_change(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_count_up, args=(tmp_path, 25)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    entry = DirectoryStore(tmp_path).get("count")
    assert entry is not None
    assert entry.value == b"100"
