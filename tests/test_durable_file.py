"""Files that are replaced as a whole."""

import errno
import os
import stat
from pathlib import Path

import pytest

from shipway.durable_file import replace_durably


def test_a_file_is_replaced_and_read_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_durably(path, b"one")
    replace_durably(path, b"two")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"two", 0o600)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("function", ["open", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    path = tmp_path / "file"
    replace_durably(path, b"one")

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, function, full)
        with pytest.raises(OSError, match="No space left on device"):
            replace_durably(path, b"two")
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]
