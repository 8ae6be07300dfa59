"""From an app to what goes into its images."""

import importlib.metadata
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import shipway
from shipway.deploy.build import IGNORE_FILE, Recipe, fetches, gateway_files, service_files
from shipway.deploy.build_context import Entries, Entry, content_key, folder_entries, texts
from shipway.deploy.build_ignore import Ignored, patterns_of
from shipway.deploy.build_requirements import KNOWN_FILES, Requirements, included_files, normal, requirements_of
from shipway.errors import BuildError, MissingExtraError
from shipway.secret import SecretReference
from shipway.spec.app import App
from shipway.spec.services import Service

_FROM = re.compile(r"^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*([^\s$]+)", re.MULTILINE | re.IGNORECASE)
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)""")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHIPWAY_FILES = Ignored(("**/__pycache__", "**/*.pyc"))


@dataclass(frozen=True)
class Context:
    """All that an image is made from.

    Attributes:
        base: The image that it starts from; empty where a Dockerfile of the user's says so.
        fetches: What `pip download` is to be given before the build, for the wheels that are missing in *entries*.
    """

    name: str
    entries: Entries
    base: str
    fetches: tuple[tuple[str, ...], ...] = ()

    def tag(self, base_id: str) -> str:
        """What changes when anything that goes in does."""
        return content_key(self.entries, self.base, base_id)

    @property
    def bases(self) -> tuple[str, ...]:
        """The images that it starts from, as far as they can be told from the Dockerfile."""
        text = self.entries["Dockerfile"].content.decode(errors="replace")
        return (self.base,) if self.base else tuple(_FROM.findall(text))


def service_context(app: App, name: str) -> Context:
    """What the image of the service *name*, given by `app` or `command`, is made from.

    Raises:
        BuildError: A file is missing, damaged or too much.
    """
    service = app.services[name]
    project = _project(app)
    if service.dockerfile is not None:
        text = _read(app.root / service.dockerfile, f"services.{name}.dockerfile")
        return Context(f"{app.name}/{name}", {**project, "Dockerfile": Entry(text.encode())}, "")
    requirements = project_requirements(app)
    recipe = Recipe(
        title=f"{app.name} {name}",
        base=app.build.base_image,
        requirements=requirements,
        server=_server(service, requirements),
        has_wheels=_from_wheels(app),
        has_src=any(path.startswith("src/") for path in project),
    )
    below = {f"app/{path}": entry for path, entry in project.items()}
    entries = {**texts(service_files(recipe, service)), **_included(app, requirements), **below, **_wheels(app)}
    return Context(f"{app.name}/{name}", entries, app.build.base_image, _fetches(app, recipe))


def gateway_context(app: App) -> Context:
    """What the gateway's image is made from: this very Shipway, with the versions of its dependencies that run here.

    Raises:
        MissingExtraError: The app needs an extra that is not installed here, so nothing says which version.
    """
    package = folder_entries(Path(shipway.__file__).parent, "shipway", _SHIPWAY_FILES)
    extras = frozenset(_extra_of(what) for what in gateway_parts(app))
    recipe = Recipe("shipway gateway", app.build.base_image, _own_requirements(extras), has_wheels=_from_wheels(app))
    entries = {**texts(gateway_files(recipe, shipway.__version__)), **package, **_wheels(app)}
    return Context("gateway", entries, app.build.base_image, _fetches(app, recipe))


def gateway_parts(app: App) -> Iterator[str]:
    """What of the app the gateway has an optional part for, of `EXTRAS`."""
    if any(model.cache is not None and model.cache.store is not None for model in app.models.values()):
        yield "a cache in Redis"
    if any(model.cache is not None and model.cache.semantic is not None for model in app.models.values()):
        yield "a semantic cache"
    used = {upstream.provider for model in app.models.values() for upstream in model.upstreams_by_place.values()}
    if any(app.providers[name].kind == "bedrock" and app.providers[name].api_key is None for name in used):
        yield "the AWS credential chain"


EXTRAS = {
    "a cache in Redis": ("redis", "redis"),
    "a semantic cache": ("semantic", "numpy"),
    "the AWS credential chain": ("aws", "botocore"),
}
"""For each optional part of the gateway its extra and the package that this brings."""


def _extra_of(part: str) -> str:
    extra, package = EXTRAS[part]
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtraError(part, extra) from None
    return extra


def project_requirements(app: App) -> Requirements | None:
    """What the project's lock or requirements ask for; None when it has neither.

    Raises:
        BuildError: The file that the app file names is missing, or one is damaged.
    """
    named = app.build.requirements
    names = [str(named)] if named is not None else KNOWN_FILES
    name = next((one for one in names if (app.root / one).is_file()), None)
    if name is None:
        if named is not None:
            raise BuildError(f"build.requirements: there is no file {named}", "write it, or leave the setting out")
        return None
    pyproject = app.root / "pyproject.toml"
    beside = _read(pyproject, "pyproject.toml") if pyproject.is_file() else None
    if name == "pyproject.toml" and "[project]" not in (beside or ""):
        return None  # it configures tools, or only holds the app file
    return requirements_of(name, _read(app.root / name, name), beside)


def _project(app: App) -> dict[str, Entry]:
    ignore_file = app.root / IGNORE_FILE
    own = _read(ignore_file, IGNORE_FILE) if ignore_file.is_file() else None
    wheels = [str(app.build.wheels)] if app.build.wheels is not None else []
    patterns = patterns_of(own, [*app.build.exclude, *wheels], secret_files(app))
    return folder_entries(app.root, "", Ignored(patterns))


def secret_files(app: App) -> Iterator[str]:
    """Files of the project that the app file refers to as secrets, by relative path."""
    for service in app.services.values():
        yield from (
            one.name for one in service.env.values() if isinstance(one, SecretReference) and one.scheme == "file"
        )
    for provider in app.providers.values():
        references = [provider.api_key, *provider.headers.values()]
        yield from (one.name for one in references if isinstance(one, SecretReference) and one.scheme == "file")
        yield from (str(path) for path in (provider.tls.cert, provider.tls.key) if path is not None)
    for model in app.models.values():
        yield from (one.name for one in model.references.values() if one.scheme == "file")
    if app.gateway.tls is not None:
        yield str(app.gateway.tls.key)
    if app.build.pip_config is not None and app.build.pip_config.scheme == "file":
        yield app.build.pip_config.name


def _included(app: App, requirements: Requirements | None) -> dict[str, Entry]:
    """Files that a requirements file includes, where pip looks for them: beside it."""
    if requirements is None or requirements.source.endswith((".toml", ".lock")):
        return {}
    folder = (app.root / requirements.source).parent
    found: dict[str, Entry] = {}
    open_ = included_files(requirements.text)
    while open_:
        name = open_.pop()
        if name in found or "://" in name:
            continue
        if name.startswith("/") or ".." in name.split("/"):
            raise BuildError(
                f"{requirements.source} includes {name}, which is not below its folder", "include files beside it"
            )
        text = _read(folder / name, requirements.source)
        found[name] = Entry(text.encode())
        open_ += included_files(text)
    return {f"requirements/{name}": entry for name, entry in found.items()}


def _from_wheels(app: App) -> bool:
    return app.build.wheels is not None or app.build.pip_config is not None


def _fetches(app: App, recipe: Recipe) -> tuple[tuple[str, ...], ...]:
    return fetches(recipe) if app.build.pip_config is not None else ()


def _wheels(app: App) -> dict[str, Entry]:
    if app.build.wheels is None:
        return {}
    folder = app.root / app.build.wheels
    if not any(folder.glob("*.whl")):
        raise BuildError(
            f"build.wheels: there are no wheels in {folder}", f"pip download --dest {folder} -r requirements.txt"
        )
    return {path: one for path, one in folder_entries(folder, "wheels", Ignored(())).items() if path.endswith(".whl")}


def _server(service: Service, requirements: Requirements | None) -> tuple[str, ...]:
    """The server for `app`, when the project does not ask for one itself."""
    if service.app is None or (requirements is not None and "uvicorn" in requirements.names):
        return ()
    return (f"uvicorn=={importlib.metadata.version('uvicorn')}",)


def _own_requirements(extras: frozenset[str]) -> Requirements:
    found: dict[str, str] = {}
    open_ = [*_needs("shipway", extras)]
    while open_:
        name = open_.pop()
        if normal(name) in found:
            continue
        try:
            found[normal(name)] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
        open_ += _needs(name)
    lines = [f"{name}=={version}\n" for name, version in sorted(found.items())]
    return Requirements("".join(lines), "this installation", is_complete=False)


def _needs(name: str, extras: frozenset[str] = frozenset()) -> Iterable[str]:
    for line in importlib.metadata.requires(name) or ():
        match, extra = _NAME.match(line), _EXTRA.search(line)
        if match is not None and (extra is None or extra[1] in extras):
            yield match[0]


def _read(file: Path, what: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BuildError(f"{what}: there is no file {file}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{what}: {file} cannot be read: {error}") from error
