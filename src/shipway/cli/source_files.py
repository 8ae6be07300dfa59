"""Finds the Python files of a project: its own code, without environments, tests, caches and links."""

import os
from collections.abc import Iterator
from pathlib import Path

SKIPPED_FOLDERS = frozenset(
    {"__pycache__", "build", "dist", "migrations", "node_modules", "site-packages", "test", "tests", "venv"}
)
MAX_FILES = 2000
MAX_FILE_BYTES = 1_000_000


def python_files(root: Path) -> Iterator[Path]:
    """The files below *root*, relative to it, those near the top first, never more than `MAX_FILES`.

    Links to folders are not followed, so a loop of links ends. Folders that cannot be read are left out.
    """
    count = 0
    level = [root]
    while level:
        below: list[Path] = []
        for folder in level:
            for entry in _entries(folder):
                if entry.is_dir(follow_symlinks=False):
                    if not _is_skipped(Path(entry.path)):
                        below.append(Path(entry.path))
                elif _is_source(entry):
                    yield Path(entry.path).relative_to(root)
                    count += 1
                    if count == MAX_FILES:
                        return
        level = below


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []


def _is_skipped(folder: Path) -> bool:
    # pyvenv.cfg marks a virtual environment, whatever its folder is called.
    name = folder.name
    return (
        name.startswith(".")
        or name in SKIPPED_FOLDERS
        or name.endswith(".egg-info")
        or os.path.exists(folder / "pyvenv.cfg")
    )


def _is_source(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    if not name.endswith(".py") or name.startswith("test_") or name.endswith("_test.py"):
        return False
    if name in ("conftest.py", "setup.py", "noxfile.py"):
        return False
    try:
        return entry.is_file() and entry.stat().st_size <= MAX_FILE_BYTES  # a pipe named x.py would block the reader
    except OSError:
        return False
