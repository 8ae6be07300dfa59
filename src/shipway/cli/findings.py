"""What can be wrong with an app beyond its file: modules and models that are not there, secrets that are not set.

Looked up on this machine, without importing the app or revealing a secret.
"""

import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path

from shipway.cost.known import KnownPrices
from shipway.errors import ModelFileError, Problem, SecretError
from shipway.local.models import PACKAGED, local_targets, model_file, upstream_path
from shipway.secret import SecretReference
from shipway.spec.app import App


def missing_modules(app: App) -> Iterator[Problem]:
    """The services whose `app`, and the guards whose `call`, name a module that cannot be found and is not installed.

    That of a service is looked for below its `cwd`, that of a guard in the app file's folder.
    """
    for name, service in app.services.items():
        if service.app is None:
            continue
        module = service.app.partition(":")[0]
        folder = app.root / service.cwd
        if _is_below(folder, module) or _is_installed(folder, module):
            continue
        yield Problem(
            f"services.{name}.app",
            f'no module "{module}" in {folder}, and none is installed',
            "shipway init --force finds the app, or set cwd to the folder that holds the module",
        )
    for name, guard in app.guards.items():
        module = (guard.call or "").partition(":")[0]
        if module and not (_is_below(app.root, module) or _is_installed(app.root, module)):
            yield Problem(
                f"guards.{name}.call",
                f'no module "{module}" in {app.root}, and none is installed',
                "a guard's module is looked for in the folder of the app file",
            )


def unknown_models(app: App) -> Iterator[Problem]:
    """The local models whose name means no file on any machine."""
    return (problem for model, problem in _model_problems(app) if not _may_be_elsewhere(model))


def unusable_models(app: App) -> Iterator[Problem]:
    """The local models whose file is missing or damaged here; where the app will run it may well be whole."""
    return (problem for model, problem in _model_problems(app) if _may_be_elsewhere(model))


def unresolved_secrets(app: App, environ: Mapping[str, str]) -> Iterator[Problem]:
    """The references to secrets that lead nowhere from here; of providers and guards, only of those that a model uses."""
    used = {upstream.provider for model in app.models.values() for upstream in model.upstreams_by_place.values()}
    places: dict[str, object] = {}
    for name, service in app.services.items():
        places |= {f"services.{name}.env.{key}": value for key, value in service.env.items()}
    for name, provider in app.providers.items():
        if name in used:
            places[f"providers.{name}.api_key"] = provider.api_key
            places |= {f"providers.{name}.headers.{key}": value for key, value in provider.headers.items()}
    for name, model in app.models.items():
        places |= {f"models.{name}.{key}": value for key, value in model.references.items()}
    guards = {use.name for model in app.models.values() for use in model.guards}
    for name, guard in app.guards.items():
        if name in guards:
            places |= {f"guards.{name}.headers.{key}": value for key, value in guard.headers.items()}
    for place, value in places.items():
        if isinstance(value, SecretReference):
            try:
                value.resolve(app.root, environ)
            except SecretError as error:
                yield Problem(place, error.message, error.hint)


def unknown_prices(app: App) -> Iterator[Problem]:
    """The upstreams of which nobody knows what they cost, where there is an objective of it."""
    known = KnownPrices()
    for name, model in app.models.items() if app.objectives.cost is not None else ():
        for place, upstream in model.upstreams_by_place.items():
            if known.of_upstream(model, upstream, app.providers[upstream.provider]) is None:
                at = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
                yield Problem(
                    f"models.{name}{at}",
                    f'what "{upstream.target}" costs is unknown, so the objective "cost" says nothing of it',
                    f'state it: models.{name}.price = {{ input = "… USD/Mtok", output = "… USD/Mtok" }}',
                )


def _model_problems(app: App) -> Iterator[tuple[str, Problem]]:
    for target, _, model in local_targets(app):
        try:
            model_file(model, app.root)
        except ModelFileError as error:
            yield model, Problem(upstream_path(app, target), error.message, error.hint)


def _may_be_elsewhere(model: str) -> bool:
    return model in PACKAGED or model.lower().endswith(".gguf")


def _is_below(folder: Path, module: str) -> bool:
    """Whether *module* is a file, a package or a namespace package with files below *folder*."""
    path = folder.joinpath(*module.split("."))
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def _is_installed(folder: Path, module: str) -> bool:
    """Whether *module*'s outermost package is installed; deeper ones cannot be found without importing their parents."""
    top = module.partition(".")[0]
    if (folder / top).is_dir() or (folder / f"{top}.py").is_file():
        return False  # the folder's own package hides an installed one
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False
