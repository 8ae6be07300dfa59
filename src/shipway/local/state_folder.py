"""`.shipway/` beside the app file: what a run on this machine keeps. Git ignores it, and only its owner can read it."""

import os
import secrets
import tempfile
from pathlib import Path

from shipway.errors import ShipwayError
from shipway.secret import Secret

KEY_PREFIX = "sk-shipway-dev-"
_KEY_BYTES = 16


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
            self.path.mkdir(mode=0o700, exist_ok=True)
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
            if not self.key_file.exists():
                _create_once(self.key_file, f"{KEY_PREFIX}{secrets.token_hex(_KEY_BYTES)}\n")
            if self.key_file.stat().st_mode & 0o177:
                self.key_file.chmod(0o600)
            key = self.key_file.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ShipwayError(f"cannot use the development key {self.key_file}: {error}") from error
        if not key.isprintable() or "," in key or len(key) < 16:
            raise ShipwayError(
                f"{self.key_file} holds no usable key",
                f"remove it, and `shipway up` makes a new one: rm {self.key_file}",
            )
        return Secret(key)

    def write_endpoints(self, content: str) -> None:
        """Store what the gateway is to read, for our eyes only."""
        self.endpoints_file.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomically(self.endpoints_file, content)


def write_atomically(path: Path, content: str) -> None:
    """Write a file of mode 0600 that is there complete or not at all."""
    temporary = _temporary_beside(path, content)
    os.replace(temporary, path)


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
    with open(number, "w", encoding="utf-8") as file:
        file.write(content)
    return temporary
