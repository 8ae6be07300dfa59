"""`.shipway/`."""

import errno
import multiprocessing
import os
import re
from pathlib import Path
from typing import NoReturn

import pytest

from shipway.errors import ShipwayError
from shipway.local.run_lock import RunLock
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


@pytest.mark.parametrize("name", ["dev-key", "lock", "run"])
def test_links_that_came_with_a_clone_are_not_followed(folder: StateFolder, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "token"
    if name == "run":
        victim.mkdir()
    else:
        victim.write_text("a-token-of-another-program\n")
    victim.chmod(0o755)
    (folder.path / name).symlink_to(victim)

    with pytest.raises(ShipwayError):
        _use(folder, name)

    assert _mode(victim) == 0o755
    assert victim.is_dir() or victim.read_text() == "a-token-of-another-program\n"


def test_the_folder_itself_must_not_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / ".shipway").symlink_to("elsewhere")

    with pytest.raises(ShipwayError, match="it is a link to another folder"):
        StateFolder(tmp_path).create()

    assert os.listdir(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("name", ["dev-key", "lock"])
def test_a_pipe_in_place_of_a_file_is_an_error_and_not_waited_for(folder: StateFolder, name: str) -> None:
    os.mkfifo(folder.path / name)

    with pytest.raises(ShipwayError, match="it is not a plain file"):
        _use(folder, name)


def test_a_huge_key_file_is_no_key(folder: StateFolder) -> None:
    folder.key_file.write_text("a" * 1_000_000)

    with pytest.raises(ShipwayError, match="holds no usable key"):
        folder.development_key()


def test_what_is_in_the_way_of_the_endpoints_is_said_and_no_draft_stays(folder: StateFolder) -> None:
    folder.endpoints_file.mkdir(parents=True)

    with pytest.raises(ShipwayError, match=r"cannot write .*endpoints\.json: Is a directory"):
        folder.write_endpoints("{}")

    assert os.listdir(folder.endpoints_file.parent) == ["endpoints.json"]


def test_a_full_disk_is_said_and_no_draft_of_the_key_stays(
    folder: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(*_: object, **__: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shipway.local.state_folder.open", no_space, raising=False)

    with pytest.raises(ShipwayError, match="No space left on device"):
        folder.development_key()

    assert os.listdir(folder.path) == [".gitignore"]


def _use(folder: StateFolder, name: str) -> None:
    if name == "dev-key":
        folder.development_key()
    elif name == "lock":
        with RunLock(folder.lock_file):
            pass
    else:
        folder.write_endpoints("{}")
