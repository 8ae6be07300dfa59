"""What to install into an image, from the project's own lock or requirements: one text for pip, whoever wrote the lock. Pure.

Locks carry hashes, so the text does too, and pip refuses anything else. `pip` is the one installer in the build, because
every base image has it; the project's own tool (uv, poetry) is not needed there.
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shipway.errors import BuildError

KNOWN_FILES = ("uv.lock", "poetry.lock", "pylock.toml", "requirements.txt", "pyproject.toml")
"""Where requirements are looked for, the most exact first."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_INCLUDE = re.compile(r"^\s*(?:-r|--requirement|-c|--constraint)[ =]?\s*(\S+)", re.MULTILINE)
_LOCAL = re.compile(r"^\s*(?:(?:-e|--editable)\b.*|\.{1,2}(?:/.*)?|file:.*)$", re.MULTILINE)

Table = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Requirements:
    """What pip installs.

    Attributes:
        text: A requirements file.
        source: The file that it was made from.
        is_complete: Whether all of what is needed is listed, so that pip need not resolve (`--no-deps`).
    """

    text: str
    source: str
    is_complete: bool

    @property
    def names(self) -> frozenset[str]:
        """Normalised names of what is asked for."""
        lines = (line.strip() for line in self.text.splitlines())
        return frozenset(normal(match[0]) for line in lines if line[:1].isalnum() and (match := _NAME.match(line)))

    @property
    def has_hashes(self) -> bool:
        return "--hash=" in self.text


def requirements_of(name: str, text: str, pyproject: str | None) -> Requirements:
    """The requirements in the file *name* with content *text*.

    Args:
        pyproject: The content of `pyproject.toml` beside it, which older poetry locks need.

    Raises:
        BuildError: The file is damaged, or names a package that an image cannot get.
    """
    base = name.rpartition("/")[2]
    if not base.endswith(".lock") and not base.endswith(".toml"):
        local = _LOCAL.search(text)
        if local is not None:
            raise _unreachable(f'"{local[0].strip()}"', name)
        return Requirements(text, name, is_complete=False)
    try:
        table = tomllib.loads(text)
        if base == "uv.lock":
            return Requirements(_lines(_uv(table)), name, is_complete=True)
        if base == "poetry.lock":
            return Requirements(_lines(_poetry(table, tomllib.loads(pyproject or ""))), name, is_complete=True)
        if base.startswith("pylock."):
            return Requirements(_lines(_pylock(table)), name, is_complete=True)
        return Requirements(_lines((one, "", ()) for one in _pyproject(table)), name, is_complete=False)
    except tomllib.TOMLDecodeError as error:
        raise BuildError(f"{name} is not valid TOML: {error}") from error
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise BuildError(f"{name} has a form that is not known here: {error!r}", "set build.requirements") from error


def included_files(text: str) -> list[str]:
    """Paths of the files that a requirements file includes (`-r`, `-c`), as written."""
    return _INCLUDE.findall(text)


def normal(name: str) -> str:
    """A project's name as indexes compare it. Source: PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


_Pin = tuple[str, str, tuple[str, ...]]
"""`name==version`, its marker or nothing, hashes as `sha256:…`."""


def _lines(pins: Iterable[_Pin]) -> str:
    lines = []
    for what, marker, hashes in pins:
        line = f"{what} ; {marker}" if marker else what
        lines.append(" \\\n    ".join([line, *(f"--hash={one}" for one in sorted(set(hashes)))]))
    return "\n".join(lines) + "\n" if lines else ""


def _pyproject(table: Table) -> list[str]:
    project = table.get("project")
    if project is None:
        raise BuildError(
            "pyproject.toml has no [project] with dependencies, and there is no lock",
            "write requirements.txt, or set build.requirements",
        )
    return [str(one) for one in project.get("dependencies", ())]


def _pylock(table: Table) -> Iterator[_Pin]:
    """Source: PEP 751."""
    for package in sorted(table["packages"], key=lambda one: normal(one["name"])):
        if package.get("directory", {}).get("path") == ".":
            continue  # the project itself
        if "directory" in package or "vcs" in package:
            raise _unreachable(package["name"], "pylock.toml")
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
        hashes = tuple(f"{kind}:{value}" for one in files for kind, value in one.get("hashes", {}).items())
        yield f"{package['name']}=={package['version']}", package.get("marker", ""), hashes


def _poetry(table: Table, pyproject: Table) -> Iterator[_Pin]:
    packages = {normal(package["name"]): package for package in table["package"]}
    grouped = all("groups" in package for package in packages.values())
    wanted = None if grouped else _reached(packages, _poetry_direct(pyproject))
    for name, package in sorted(packages.items()):
        needed = "main" in package["groups"] if wanted is None else name in wanted
        if not needed or (package.get("optional") and wanted is None):
            continue
        if package.get("source", {}).get("type") not in (None, "legacy"):
            raise _unreachable(package["name"], "poetry.lock")
        marker = package.get("markers", "")
        if isinstance(marker, Mapping):  # by group
            marker = marker.get("main", "")
        yield f"{package['name']}=={package['version']}", marker, tuple(one["hash"] for one in package["files"])


def _poetry_direct(pyproject: Table) -> list[str]:
    poetry = pyproject.get("tool", {}).get("poetry", {}).get("dependencies", {})
    project = pyproject.get("project", {}).get("dependencies", ())
    listed = [match[0] for one in project if (match := _NAME.match(one))]
    return [normal(name) for name in (*poetry, *listed) if normal(name) != "python"]


def _reached(packages: Mapping[str, Table], start: Iterable[str]) -> set[str]:
    """All that *start* needs, themselves included. Optional dependencies count, as a lock has them only when wanted."""
    found: set[str] = set()
    open_ = list(start)
    while open_:
        name = open_.pop()
        if name in found or name not in packages:
            continue
        found.add(name)
        open_ += [normal(other) for other in packages[name].get("dependencies", {})]
    return found


_Condition = frozenset[str]
"""Markers that must all hold."""


def _uv(table: Table) -> Iterator[_Pin]:
    """The packages that the project needs at run time, its extras and groups left out.

    An edge of the lock may have a marker; a package is needed where one of the ways to it is open.
    """
    packages = table["package"]
    roots = [package for package in packages if {"virtual", "editable", "directory"} & package["source"].keys()]
    root = next((one for one in roots if "." in one["source"].values()), None)
    if root is None:
        raise BuildError("uv.lock does not hold the project itself", "uv lock")
    needed: dict[int, set[_Condition]] = {}
    open_: list[tuple[Table, _Condition, str]] = [(root, frozenset(), "")]
    while open_:
        package, condition, extra = open_.pop()
        dependencies = package.get("dependencies", ()) if not extra else package["optional-dependencies"].get(extra, ())
        for edge in dependencies:
            way = condition | ({edge["marker"]} if "marker" in edge else set())
            for target in _uv_targets(packages, edge):
                ways = needed.setdefault(id(target), set())
                new = not any(known <= way for known in ways)
                if new:
                    needed[id(target)] = {known for known in ways if not way <= known} | {way}
                    open_.append((target, way, ""))
                open_ += [(target, way, one) for one in edge.get("extra", ()) if new]
    for package in sorted(packages, key=lambda one: (one["name"], one.get("version", ""))):
        if id(package) in needed and package is not root:
            if "registry" not in package["source"]:
                raise _unreachable(package["name"], "uv.lock")
            files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else ())]
            yield (
                f"{package['name']}=={package['version']}",
                _any(needed[id(package)]),
                tuple(one["hash"] for one in files),
            )


def _uv_targets(packages: Iterable[Table], edge: Table) -> list[Table]:
    """What an edge points at: by name, and by version where the lock holds several."""
    named = [package for package in packages if package["name"] == edge["name"]]
    return [one for one in named if edge.get("version", one.get("version")) == one.get("version")]


def _any(ways: set[_Condition]) -> str:
    if frozenset() in ways:
        return ""
    alternatives = sorted(" and ".join(f"({marker})" for marker in sorted(way)) for way in ways)
    return alternatives[0] if len(alternatives) == 1 else " or ".join(f"({one})" for one in alternatives)


def _unreachable(name: str, source: str) -> BuildError:
    return BuildError(
        f"{source}: {name} comes from a folder or a repository, which an image cannot get",
        "publish it to an index, or put its wheel into a folder and set build.wheels",
    )
