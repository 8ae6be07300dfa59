"""`.shipway/`."""

import multiprocessing
import os
import re
from pathlib import Path

import pytest

from shipway.errors import ShipwayError
from shipway.local.state_folder import StateFolder


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    state = StateFolder(tmp_path)
    state.create()
    return state


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_the_folder_is_ours_alone_and_ignored_by_git(folder: StateFolder) -> None:
    assert _mode(folder.path) == 0o700
    assert (folder.path / ".gitignore").read_text() == "*\n"


def test_an_existing_gitignore_stays(folder: StateFolder) -> None:
    (folder.path / ".gitignore").write_text("mine\n")

    folder.create()

    assert (folder.path / ".gitignore").read_text() == "mine\n"


def test_the_key_is_made_once_and_kept_for_its_owner_alone(folder: StateFolder) -> None:
    key = folder.development_key().reveal()

    assert re.fullmatch("sk-shipway-dev-[0-9a-f]{32}", key)
    assert _mode(folder.key_file) == 0o600
    assert folder.development_key().reveal() == key
    assert sorted(os.listdir(folder.path)) == [".gitignore", "dev-key"]


def test_a_key_file_that_others_could_read_is_closed(folder: StateFolder) -> None:
    key = folder.development_key().reveal()
    folder.key_file.chmod(0o644)

    assert folder.development_key().reveal() == key
    assert _mode(folder.key_file) == 0o600


@pytest.mark.parametrize("content", ["", "short\n", "a,b-is-long-enough-for-a-key\n", "\xff"])
def test_a_spoilt_key_file_is_an_error_that_says_how_to_go_on(folder: StateFolder, content: str) -> None:
    folder.key_file.write_text(content, encoding="latin-1")

    with pytest.raises(ShipwayError, match="key"):
        folder.development_key()


def test_endpoints_are_for_their_owner_alone(folder: StateFolder) -> None:
    folder.write_endpoints("{}")
    folder.write_endpoints('{"services": {}}')

    assert folder.endpoints_file.read_text() == '{"services": {}}'
    assert _mode(folder.endpoints_file) == 0o600
    assert os.listdir(folder.endpoints_file.parent) == ["endpoints.json"]


def test_a_folder_that_cannot_be_written_is_said_so(tmp_path: Path) -> None:
    (tmp_path / ".shipway").write_text("a file is in the way")

    with pytest.raises(ShipwayError, match="cannot write to"):
        StateFolder(tmp_path).create()


def _make_key(root: str, start: "multiprocessing.synchronize.Barrier", keys: "multiprocessing.Queue[str]") -> None:
    start.wait()
    folder = StateFolder(Path(root))
    folder.create()
    keys.put(folder.development_key().reveal())


def test_processes_that_make_the_key_at_the_same_time_get_the_same(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    start, keys = context.Barrier(4), context.Queue()
    makers = [context.Process(target=_make_key, args=(str(tmp_path), start, keys)) for _ in range(4)]
    for maker in makers:
        maker.start()
    found = {keys.get(timeout=20) for _ in makers}
    for maker in makers:
        maker.join()

    assert found == {StateFolder(tmp_path).development_key().reveal()}
