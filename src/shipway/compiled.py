"""Takes the compiled build of the data path in place of its source, where there is one that was made from this very source.

What compiles it is `hatch_build.py` at the root of the repository; decision 0014 says why. Its product lies in `_compiled/`
beside this file with the digest of each source, so that an edited source runs at once and never behind its older build. It
is all or nothing: compiled modules know each other's layout.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

FOLDER = "_compiled"
MANIFEST = "manifest.json"
LIBRARY = "shipway__mypyc"
"""What all compiled modules lie in; each has a small extension of its own that finds itself there."""
PURE_PYTHON = "SHIPWAY_PURE_PYTHON"
"""The environment variable that keeps the source in use, if it is not empty and not 0."""


class _Finder:
    """Finds the compiled modules. Which are fresh is found out when the first of them is asked for: most commands need none."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, Path] | None = None

    @property
    def files(self) -> dict[str, Path]:
        if self._files is None:
            self._files = fresh_files(self._folder)
            if self._files:
                try:
                    import_module(LIBRARY)
                except ImportError:  # made for a system with other libraries
                    self._files = {}
        return self._files

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith("shipway"):
            return None
        file = self.files.get(fullname)
        return None if file is None else spec_from_file_location(fullname, file)


def install() -> None:
    """Have the compiled modules imported from now on, if they are there and fresh."""
    folder = Path(__file__).parent / FOLDER
    if os.environ.get(PURE_PYTHON, "0") in {"", "0"} and folder.is_dir():
        sys.meta_path.insert(0, _Finder(folder))


def build() -> str:
    """What this process runs: `compiled` or `source`."""
    return "compiled" if any(finder.files for finder in sys.meta_path if isinstance(finder, _Finder)) else "source"


def digest_of(source: Path) -> str:
    return hashlib.sha256(source.read_bytes()).hexdigest()


def fresh_files(folder: Path) -> dict[str, Path]:
    """The extension of each compiled module; none if this interpreter cannot load them or a source is another one."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        if manifest["suffix"] not in EXTENSION_SUFFIXES:
            return {}
        for source, digest in manifest["sources"].items():
            if digest_of(folder.parent / source) != digest:
                return {}
        return {name: folder / file for name, file in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # not whole, or of another version
        return {}
