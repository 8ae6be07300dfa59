"""The state of deployments: a small key-value store whose every change is compare-and-swap, here in a directory.

Releases, journal, lease and audit live in it. Whoever wants it elsewhere (a bucket, a Kubernetes namespace) writes these
four methods and passes `tests/deploy/store_contract.py`.
"""

import errno
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shipway.durable_file import TEMPORARY, replace_durably, sync_folder
from shipway.errors import ConflictError, NewerStateError, StateError

FORMAT = 1
_MAGIC = b"shipway-state"
_KEY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,200}(?:/[A-Za-z0-9_-][A-Za-z0-9._-]{0,200}){0,15}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and its version, which no other value that this key ever had has."""

    value: bytes
    version: str


class Store(Protocol):
    """Values by key (`a/b/c`: letters, digits and . _ -, no part starting with a dot). All methods raise StateError."""

    def get(self, key: str) -> Entry | None:
        """The present value; None where there is none."""

    def put(self, key: str, value: bytes, version: str | None) -> str:
        """Replace the value that has *version*, or make the first one (None), durably. Returns the new version.

        Raises:
            ConflictError: The key has another version. Nothing has changed, as with every error.
        """

    def keys(self, prefix: str) -> list[str]:
        """The keys below *prefix* (`a/b` has `a/b/c`, not `a/bc`), sorted."""

    def delete(self, key: str, version: str) -> None:
        """Remove the value that has *version*. Raises: ConflictError."""


class DirectoryStore:
    """A file for each key. Several processes may use one directory, also over a file system that has flock.

    A file is there complete or not at all, whatever crashes; its first line has a checksum, so that what a disk or a
    person did to it is noticed.
    """

    def __init__(self, root: Path) -> None:
        """*root* is made, for its owner alone, when the first value is put."""
        self._root = root

    def get(self, key: str) -> Entry | None:
        path = self._path(key)
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StateError(f"cannot read {path}: {error.strerror}") from error
        return _decoded(path, data)

    def put(self, key: str, value: bytes, version: str | None) -> str:
        path = self._path(key)
        new = secrets.token_hex(8)
        with self._changing(path):
            self._compare(key, version)
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in path.parent.glob(f"{TEMPORARY}*"):
                left.unlink()  # by a write that was killed: nobody else is writing now
            replace_durably(path, _encoded(value, new))
        return new

    def keys(self, prefix: str) -> list[str]:
        top = self._path(prefix)
        try:
            return sorted(str(path.relative_to(self._root)) for path in _files(top))
        except OSError as error:
            raise StateError(f"cannot read {top}: {error.strerror}") from error

    def delete(self, key: str, version: str) -> None:
        path = self._path(key)
        with self._changing(path):
            self._compare(key, version)
            path.unlink()
            sync_folder(path.parent)

    def _path(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a key: {key!r}")
        return self._root / key

    def _compare(self, key: str, version: str | None) -> None:
        present = self.get(key)
        if (present.version if present else None) != version:
            raise ConflictError(f"{key} was changed by somebody else meanwhile", "run the command again")

    @contextmanager
    def _changing(self, path: Path) -> Iterator[None]:
        """Alone among all processes. The lock belongs to the open file, so it ends with the process."""
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                _ignore_in_git(self._root)
                yield
            finally:
                os.close(lock)
        except OSError as error:
            raise _unwritable(path, error) from error


def _encoded(value: bytes, version: str) -> bytes:
    head = b"%b %d %b %b\n" % (_MAGIC, FORMAT, version.encode(), _checksum(version, value).encode())
    return head + value


def _decoded(path: Path, data: bytes) -> Entry:
    head, _, value = data.partition(b"\n")
    words = head.split(b" ")
    if len(words) >= 2 and words[0] == _MAGIC and words[1].isdigit() and int(words[1]) > FORMAT:
        raise NewerStateError(
            f"{path} was written by a later Shipway: it has format {int(words[1])}, known is {FORMAT}",
            "pip install --upgrade shipway",
        )
    version = words[2].decode("ascii", "replace") if len(words) == 4 else ""
    if len(words) != 4 or words[0] != _MAGIC or words[3].decode("ascii", "replace") != _checksum(version, value):
        raise StateError(
            f"{path} is damaged: its checksum does not match what is in it",
            f"bring it back from a backup, or move it away: mv {path} {path}.damaged",
        )
    return Entry(value, version)


def _checksum(version: str, value: bytes) -> str:
    return hashlib.sha256(version.encode() + b"\n" + value).hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    """All files below, but for what an interrupted write left and what is not ours."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path


def _ignore_in_git(root: Path) -> None:
    ignore = root / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="ascii")


def _unwritable(path: Path, error: OSError) -> StateError:
    hint = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else None
    return StateError(f"cannot write {path}: {error.strerror}; the state is as it was before", hint)
