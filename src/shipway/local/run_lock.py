"""One `shipway up` a folder: a lock that the kernel releases when its last holder is gone, however that ends."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from shipway.errors import AlreadyRunningError, ShipwayError
from shipway.local.state_folder import open_own_file

_CLEANUP_S = 5.0
_POLL_S = 0.1


class RunLock:
    """Held from entering to leaving, and by the guardian until it is done cleaning up."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1

    @property
    def fd(self) -> int:
        """The open file; a child process that inherits it holds the lock too."""
        return self._fd

    def __enter__(self) -> Self:
        """Take the lock.

        Raises:
            AlreadyRunningError: Somebody has it. When the owner was killed, its guardian gets a moment to clean up.
            ShipwayError: The file cannot be used: no space is left, it is a link.
        """
        try:
            self._fd = open_own_file(self._path, os.O_RDWR | os.O_CREAT)
            try:
                self._take()
            except BaseException:
                os.close(self._fd)
                raise
        except OSError as error:
            raise ShipwayError(f"cannot use the lock {self._path}: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def _take(self) -> None:
        deadline_s = time.monotonic() + _CLEANUP_S
        while not self._try():
            owner = self._owner()
            if owner is None or is_alive(owner) or time.monotonic() > deadline_s:
                who = f"process {owner}" if owner is not None else "another process"
                hint = f"stop it first: kill {owner}" if owner is not None else None
                raise AlreadyRunningError(f"`shipway up` runs here already: {who}", hint)
            time.sleep(_POLL_S)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _owner(self) -> int | None:
        text = os.pread(self._fd, 32, 0).strip()
        return int(text) if text.isdigit() else None


def is_alive(pid: int) -> bool:
    """Whether process *pid* exists; a zombie counts as dead where /proc tells."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state != "Z"
