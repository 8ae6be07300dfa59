"""Files that are replaced as a whole: whoever reads one, after a crash too, sees the old or the new one."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

TEMPORARY = ".new-"
"""How the names of files begin that are being written; one that is left is of a write that was killed."""


def replace_durably(path: Path, data: bytes) -> None:
    """Replace the file at *path*, or make it, readable by its owner alone.

    Raises:
        OSError: It cannot be written; the old one is untouched.
    """
    # In the same folder: a rename is atomic only within one file system.
    temporary = path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename or removal durable; where folders cannot be synced the file system does it in its own time."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
