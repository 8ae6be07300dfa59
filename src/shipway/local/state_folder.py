"""`.shipway/` beside the app file: what a run on this machine keeps. Git ignores it, and only its owner can read it.

It may have come with a clone of somebody else's repository, so links in it are not followed: one in place of the key
or the lock would have us change, or show, a file that is none of our business.
"""

import errno
import os
import secrets
import stat
import tempfile
from pathlib import Path

from shipway.errors import ShipwayError
from shipway.secret import Secret

KEY_PREFIX = "sk-shipway-dev-"
_KEY_BYTES = 16
_MIN_KEY_CHARS = 16
_MAX_KEY_FILE_BYTES = 1024


class StateFolder:
    """The folder and the files in it."""

    def __init__(self, root: Path) -> None:
        """*root* is the app file's folder. Nothing is touched until `create()`."""
        self.path = root / ".shipway"
        self.key_file = self.path / "dev-key"
        self.lock_file = self.path / "lock"
        self.endpoints_file = self.path / "run" / "endpoints.json"

    def create(self) -> None:
        """Make the folder and its `.gitignore`, unless they exist.

        Raises:
            ShipwayError: That is not possible here.
        """
        try:
            _make_folder(self.path)
            ignore = self.path / ".gitignore"
            if not ignore.exists():
                write_atomically(ignore, "*\n")
        except OSError as error:
            raise ShipwayError(f"cannot write to {self.path}: {error.strerror}") from error

    def development_key(self) -> Secret:
        """The API key of this checkout, made on first use; the file is closed to others if it was open.

        Two processes that make it at the same time get the same key: the file appears complete or not at all, and
        only once.
        """
        try:
            if not os.path.lexists(self.key_file):
                _create_once(self.key_file, f"{KEY_PREFIX}{secrets.token_hex(_KEY_BYTES)}\n")
            content = _read_private(self.key_file)
        except OSError as error:
            raise ShipwayError(f"cannot use the development key {self.key_file}: {error.strerror}") from error
        key = content.decode("ascii", "replace").strip()
        if len(content) > _MAX_KEY_FILE_BYTES or not key.isascii() or not _is_usable(key):
            raise ShipwayError(
                f"{self.key_file} holds no usable key",
                f"remove it, and `shipway up` makes a new one: rm {self.key_file}",
            )
        return Secret(key)

    def write_endpoints(self, content: str) -> None:
        """Store what the gateway is to read, for our eyes only.

        Raises:
            ShipwayError: That is not possible: the disk is full, the folder is not ours.
        """
        try:
            _make_folder(self.endpoints_file.parent)
            write_atomically(self.endpoints_file, content)
        except OSError as error:
            raise ShipwayError(f"cannot write {self.endpoints_file}: {error.strerror}") from error


def open_own_file(path: Path, flags: int) -> int:
    """Open *path*, without following a link or waiting for a pipe's other end. A file that is made gets mode 0600.

    Raises:
        OSError: It cannot be opened, or is not a plain file.
    """
    number = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise OSError(errno.EINVAL, "it is not a plain file", str(path))
    return number


def write_atomically(path: Path, content: str) -> None:
    """Write a file of mode 0600 that is there complete or not at all."""
    temporary = _temporary_beside(path, content)
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def _create_once(path: Path, content: str) -> None:
    """As `write_atomically`, but a file that somebody else made meanwhile stays."""
    temporary = _temporary_beside(path, content)
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        os.unlink(temporary)


def _temporary_beside(path: Path, content: str) -> str:
    # mkstemp makes it with mode 0600 from the first moment.
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write(content)
    except OSError:  # a full disk
        os.unlink(temporary)
        raise
    return temporary


def _make_folder(path: Path) -> None:
    path.mkdir(mode=0o700, exist_ok=True)
    if path.is_symlink():
        raise OSError(errno.ELOOP, "it is a link to another folder", str(path))


def _read_private(path: Path) -> bytes:
    """The start of a file, which from now on is closed to others."""
    with open(open_own_file(path, os.O_RDONLY), "rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o177:
            os.fchmod(file.fileno(), 0o600)
        return file.read(_MAX_KEY_FILE_BYTES + 1)


def _is_usable(key: str) -> bool:
    return key.isprintable() and "," not in key and len(key) >= _MIN_KEY_CHARS
