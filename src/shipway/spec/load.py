"""From a path to an `App`: finds and reads the file, merges an environment in, gathers all that is wrong at once."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from shipway.errors import AppFileError, Problem
from shipway.spec import problems
from shipway.spec.app import App, AppFile, Sections
from shipway.spec.checks import Finding, check
from shipway.spec.environments import DEFAULT, OVERRIDABLE, Environment, merged, with_built_in
from shipway.spec.positions import Positions, positions
from shipway.spec.section import FROM_FILE
from shipway.spec.wording import Location, did_you_mean, found, listed, path_text

FILE_NAME = "shipway.toml"
PYPROJECT = "pyproject.toml"
MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = 32

_TOML_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")


@dataclass(frozen=True)
class _Document:
    """A parsed file. *above* is where the app's table is in it: nothing, or tool.shipway."""

    source: Path
    text: str
    table: Mapping[str, Any]
    above: Location


def find_app_file(path: Path) -> Path:
    """The app file at *path*: the file itself; in a folder, `shipway.toml` or a `pyproject.toml` with `[tool.shipway]`.

    Raises:
        AppFileError: There is none, or there are both, of which one would have no effect.
    """
    try:
        if path.is_file():
            return path
        if not path.is_dir():
            raise _failure(
                path, "there is no such file or folder" if not path.exists() else "this is not a regular file"
            )
        has_file, has_pyproject = (path / FILE_NAME).exists(), (path / PYPROJECT).is_file()
    except (OSError, ValueError) as error:
        raise _failure(path, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error
    has_table = has_pyproject and _has_table(path / PYPROJECT, needed=not has_file)
    if has_file and has_table:
        raise _failure(
            path,
            f"both {FILE_NAME} and [tool.shipway] in {PYPROJECT} describe the app",
            "remove one of them, or name the file to use",
        )
    if not has_file and not has_table:
        raise _failure(path, f"there is no {FILE_NAME} here", "shipway init")
    return path / (FILE_NAME if has_file else PYPROJECT)


def _has_table(pyproject: Path, *, needed: bool) -> bool:
    """Whether *pyproject* has `[tool.shipway]`. One that cannot be read matters only when it is *needed*."""
    try:
        return "shipway" in _tool(_parsed(pyproject, _text(pyproject)))
    except AppFileError:
        if needed:
            raise
        return False


def load_app(path: Path, environment: str = DEFAULT) -> App:
    """The app of the file at *path* (see `find_app_file`), as *environment* sees it.

    Raises:
        AppFileError: With all problems of the file, those of other environments too.
    """
    return _app(_document(find_app_file(path)), environment)


def app_of(table: Mapping[str, Any], environment: str, root: Path) -> App:
    """The app of a whole app file that was read before, as *environment* sees it. Raises: AppFileError."""
    return _app(_Document(root / FILE_NAME, "", table, ()), environment)


def tables(path: Path, environment: str = DEFAULT) -> tuple[dict[str, Any], dict[str, Any]]:
    """The file at *path* as it is, and as *environment* sees it: its overrides merged in, environments left out.

    Call `load_app` first: what is wrong with the file is not said here.
    """
    source = dict(_document(find_app_file(path)).table)
    return source, resolved(source, environment)


def resolved(source: Mapping[str, Any], environment: str) -> dict[str, Any]:
    """The whole app file *source* as *environment* sees it; a valid app file without environments."""
    table = merged(source, _overrides(source).get(environment, {}))
    return {key: value for key, value in table.items() if key != "environments"}


def _app(document: _Document, environment: str) -> App:
    app_file, findings = _structure(document.table)
    overrides = _overrides(document.table)
    values: dict[str, Sections | None] = {}
    base_findings = validated(document.table)[1]
    for name, override in overrides.items():
        values[name], here = validated(merged(document.table, override))
        findings += [f if f in base_findings else _within(f, name, override, document.table) for f in here]
    if environment not in overrides:
        more = f'one more is [environments.{environment}] with a target, such as "docker"'
        hint = f"known: {listed(overrides, 'and')}; {more}"
        message = f"unknown environment {found(environment)}{did_you_mean(environment, overrides)}"
        findings.append(Finding((("environments",),), message, hint))
    if findings:
        raise AppFileError(str(document.source), _problems(document, findings))
    sections = values[environment]
    if sections is None or app_file is None:
        raise AssertionError("an invalid file gave no findings")
    declared = app_file.environments.get(environment)
    return App(
        **{name: getattr(sections, name) for name in Sections.model_fields},
        environment=environment,
        environments=tuple(overrides),
        settings=declared or Environment(),
        root=document.source.absolute().parent,
        source=document.source.absolute(),
    )


def _document(source: Path) -> _Document:
    text = _text(source)
    table = _parsed(source, text)
    if source.name != PYPROJECT:
        return _Document(source, text, table, ())
    section = _tool(table).get("shipway")
    if not isinstance(section, dict):
        raise _failure(source, "there is no table [tool.shipway] in it", "shipway init")
    return _Document(source, text, section, ("tool", "shipway"))


def _tool(table: Mapping[str, Any]) -> Mapping[str, Any]:
    tool = table.get("tool")
    return tool if isinstance(tool, dict) else {}


def _text(source: Path) -> str:
    try:
        with source.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise _failure(source, f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise _failure(source, "the file is larger than 1 MiB, which no app file needs")
    try:
        # "-sig" drops the byte order mark that some editors write.
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        problem = Problem("", "the file is not UTF-8 text", "save it as UTF-8", line, column)
        raise AppFileError(str(source), [problem]) from error


def _parsed(source: Path, text: str) -> dict[str, Any]:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_PLACE.search(str(error))
        said = _TOML_PLACE.sub("", str(error))
        line, column = (int(place[1]), int(place[2])) if place and place[1] else _end(text)
        problem = Problem("", f"not valid TOML: {said[:1].lower()}{said[1:]}", None, line, column)
        raise AppFileError(str(source), [problem]) from error
    except (RecursionError, ValueError) as error:
        # Brackets nested hundreds deep, or a number of thousands of digits.
        raise _failure(source, "not usable TOML: nested too deeply, or a number that is too long") from error
    if (deep := _too_deep(table)) is not None:
        raise _failure(source, f"{path_text(deep[:4])}… is nested more than {MAX_DEPTH} levels deep")
    return table


def _end(text: str) -> tuple[int, int]:
    return text.count("\n") + 1, len(text) - text.rfind("\n")


def _too_deep(table: Mapping[str, Any]) -> Location | None:
    """A location below MAX_DEPTH, if there is one; without recursion, which is what it protects from."""
    level: list[tuple[Location, Any]] = [((), table)]
    for _ in range(MAX_DEPTH):
        level = [((*at, key), value) for at, item in level for key, value in _children(item)]
    return level[0][0] if level else None


def _children(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, list) else ()


def _structure(table: Mapping[str, Any]) -> tuple[AppFile | None, list[Finding]]:
    """The environments' own keys; the sections, which environments change, are looked at for each environment."""
    bare = {"name": "app", "environments": table.get("environments", {})}
    try:
        return AppFile.model_validate(bare, context=FROM_FILE), []
    except ValidationError as error:
        return None, problems.findings(error, AppFile, bare)


def _overrides(table: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What each environment changes, "dev" first; wrong shapes are left out, `_structure` reports them."""
    declared = table.get("environments")
    tables = {DEFAULT: {}, **declared} if isinstance(declared, dict) else {DEFAULT: {}}
    return {name: _sections(value) for name, value in tables.items()}


def _sections(environment: object) -> Mapping[str, Any]:
    if not isinstance(environment, dict):
        return {}
    return {key: environment[key] for key in OVERRIDABLE if isinstance(environment.get(key), dict)}


def validated(table: Mapping[str, Any]) -> tuple[Sections | None, list[Finding]]:
    """The sections of *table*, None when they are invalid, and all that is wrong with them; environments are left out."""
    raw = with_built_in({key: value for key, value in table.items() if key != "environments"})
    try:
        return Sections.model_validate(raw, context=FROM_FILE), check(raw)
    except ValidationError as error:
        return None, problems.findings(error, Sections, raw) + check(raw)


def _within(finding: Finding, name: str, override: Mapping[str, Any], base: Mapping[str, Any]) -> Finding:
    """*finding*, which the override of environment *name* brought about, at its place in that override."""
    location = max((problems.existing(override, place) for place in finding.locations), key=len)
    message = finding.message
    if len(location) == 2 and finding.locations[0] == location and problems.value_at(base, location) is None:
        # Wrong as a new service or model: perhaps it was to change one that exists.
        message += did_you_mean(str(location[1]), base.get(str(location[0])) or ())
    return Finding((("environments", name, *location),), message, finding.hint)


def _problems(document: _Document, findings: Iterable[Finding]) -> list[Problem]:
    """In the order of the file, each once."""
    places = positions(document.text)
    result = dict.fromkeys(_located(document, places, finding) for finding in findings)
    return sorted(result, key=lambda problem: (problem.line or 0, problem.column or 0))


def _located(document: _Document, places: Positions, finding: Finding) -> Problem:
    location = problems.existing(document.table, finding.locations[0])
    lookup: Location = (*document.above, *location)
    while lookup and lookup not in places:
        lookup = lookup[:-1]
    line, column = places.get(lookup, (None, None))
    return Problem(path_text(location), finding.message, finding.hint, line, column)


def _failure(source: Path, message: str, hint: str | None = None) -> AppFileError:
    return AppFileError(str(source), [Problem("", message, hint)])
