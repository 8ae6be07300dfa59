"""Finds the ASGI apps of a folder by reading its files, and puts the likeliest first."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from shipway.cli.asgi_module import APP_NAMES, PLAIN, Found, Module, read_module
from shipway.cli.source_files import python_files

FILE_NAMES = ("main", "app", "asgi", "server", "api", "application", "__init__")
"""Where people put the app that a server runs, likeliest first."""

SIDE_FOLDERS = frozenset({"benchmarks", "demo", "demos", "docs", "examples", "samples", "scripts", "tools"})
"""Apps below these are listed but not preferred."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An app that a server could run.

    Attributes:
        target: The import string, `package.module:name`.
        cwd: The folder, relative to the one searched, from which that import works.
        file: Where it is written, relative to the folder searched.
    """

    target: str
    framework: str
    is_factory: bool
    cwd: str
    file: PurePath
    line: int


@dataclass(frozen=True, slots=True)
class Discovery:
    """What a folder holds, likeliest app first; `remarks` are sentences for the person who asked."""

    candidates: tuple[Candidate, ...]
    remarks: tuple[str, ...]
    model_names: tuple[str, ...] = ()
    """Models that the code asks the official client for, where all of them could be read from it."""


@dataclass(slots=True)
class _Project:
    root: Path
    modules: dict[PurePath, Module] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def find_apps(root: Path) -> Discovery:
    """Search *root* (an existing folder). Nothing is imported; files that cannot be read become remarks."""
    project = _Project(root)
    for file in python_files(root):
        _read(project, file)
    found = [
        (file, app)
        for file, module in project.modules.items()
        for app in _apps_of(project, file, module)
        if _is_importable(project, file)
    ]
    ranked = sorted(found, key=lambda each: _rank(project, *each))
    if not found:
        project.remarks += _wsgi_remarks(project)
    models, remark = _models(project.modules)
    return Discovery(
        tuple(_candidate(project, file, app) for file, app in ranked),
        (*project.remarks, *([remark] if remark else [])),
        models,
    )


def _read(project: _Project, file: PurePath) -> None:
    try:
        project.modules[file] = read_module((project.root / file).read_bytes(), _package_of(project.root, file))
    except OSError as error:
        project.remarks.append(f"{file} was left out: {error.strerror}")
    except SyntaxError as error:
        place = f"line {error.lineno}" if error.lineno is not None else "it"
        project.remarks.append(f"{file} was left out: {place} is not valid Python")
    except (ValueError, RecursionError, MemoryError):
        project.remarks.append(f"{file} was left out: it could not be parsed")


def _import_root(root: Path, file: PurePath) -> PurePath:
    """The folder above the outermost package that *file* is in."""
    folder = file.parent
    while folder != PurePath(".") and (root / folder / "__init__.py").exists():
        folder = folder.parent
    return folder


def _dotted(parts: tuple[str, ...]) -> str:
    return ".".join(parts)


def _module_name(base: PurePath, file: PurePath) -> str:
    parts = file.relative_to(base).with_suffix("").parts
    return _dotted(parts[:-1] if parts[-1] == "__init__" else parts)


def _is_importable(project: _Project, file: PurePath) -> bool:
    """Whether an import statement can name *file*; else a remark says what to do."""
    if all(part.isidentifier() for part in _module_name(_import_root(project.root, file), file).split(".")):
        return True
    remark = f"{file} has an app, and its name is none of a module: rename it"
    if remark not in project.remarks:
        project.remarks.append(remark)
    return False


def _package_of(root: Path, file: PurePath) -> str:
    return _dotted(file.parent.relative_to(_import_root(root, file)).parts)


def _apps_of(project: _Project, file: PurePath, module: Module) -> list[Found]:
    """The apps of a file, with those made by calling something that another file of the project defines."""
    made_here = [
        Found(name, framework, line)
        for name, called, line in module.pending
        if (framework := _made_by(project, file, called)) is not None
    ]
    return [*module.apps, *made_here]


def _made_by(project: _Project, importer: PurePath, called: str) -> str | None:
    owner, _, name = called.rpartition(".")
    parts = owner.split(".")
    for base in (_import_root(project.root, importer), PurePath("."), PurePath("src")):
        for path in (base.joinpath(*parts).with_suffix(".py"), base.joinpath(*parts, "__init__.py")):
            module = project.modules.get(path)
            if module is not None and name in module.makers:
                return module.makers[name]
    return None


def _rank(project: _Project, file: PurePath, app: Found) -> tuple[object, ...]:
    """Sorts first what a person would name: main's or app's `app`, near the top, no part of another app."""
    full_name = f"{_module_name(_import_root(project.root, file), file)}.{app.name}"
    return (
        app.name in project.modules[file].mounted
        or any(full_name in each.mounted for each in project.modules.values()),
        bool(SIDE_FOLDERS.intersection(file.parts[:-1])),
        app.framework == PLAIN and app.name not in APP_NAMES,
        APP_NAMES.index(app.name) if app.name in APP_NAMES else len(APP_NAMES) + app.is_factory,
        len(file.parts),
        FILE_NAMES.index(file.stem) if file.stem in FILE_NAMES else len(FILE_NAMES),
        file.as_posix(),
        app.line,
    )


def _candidate(project: _Project, file: PurePath, app: Found) -> Candidate:
    base = _import_root(project.root, file)
    if _works_from_root(project, base, file):
        base = PurePath(".")
    target = f"{_module_name(base, file)}:{app.name}"
    return Candidate(target, app.framework, app.is_factory, base.as_posix(), file, app.line)


def _works_from_root(project: _Project, base: PurePath, file: PurePath) -> bool:
    """Whether *file* can be imported by its path from the top, though *base* on the way has no `__init__.py`.

    It can (a namespace package), unless the folder is a source root or the file imports its neighbours by their bare names.
    """
    if base == PurePath("."):
        return True
    if base.parts[-1] == "src" or not all(part.isidentifier() for part in base.parts):
        return False
    names = {name.partition(".")[0] for name in project.modules[file].imports if name}
    if base.parts[0] in names:
        return True
    own = _module_name(base, file).partition(".")[0]
    folder = project.root / base
    neighbours = {
        name for name in names if (folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists()
    }
    return not neighbours and own not in names


def _wsgi_remarks(project: _Project) -> list[str]:
    return [
        f"{file}:{app.line} has a {app.framework} app, which speaks WSGI: wrap it with asgiref's WsgiToAsgi, or give a command"
        for file, module in project.modules.items()
        for app in module.wsgi
    ]


def _models(modules: Mapping[PurePath, Module]) -> tuple[tuple[str, ...], str | None]:
    """The models that the code asks for when that is certain, else a remark when there is a sign of any."""
    users = [module for module in modules.values() if module.openai]
    if not users:
        return (), None
    # A call in any file may be to the client that another file makes.
    names = {name for module in modules.values() for name in module.model_names}
    certain = sorted(name for name in names if name is not None)
    if certain and len(certain) == len(names) and not any(module.openai_elsewhere for module in users):
        return tuple(certain), None
    return (), (
        "the code imports openai: declare the models it asks for, as in [models.chat] with"
        ' upstreams = ["openai/gpt-5-mini"], and its calls go through the gateway'
    )
