"""What is certain to fail is found before anything starts, all of it at once."""

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from shipway.errors import CannotStartError, MissingExtraError, ModelFileError, Problem, ShipwayError
from shipway.local.addresses import Address, check_free
from shipway.local.environment import base_environment
from shipway.local.models import local_targets, model_file, upstream_path
from shipway.secret import SecretReference
from shipway.spec.app import App
from shipway.spec.services import Service


@dataclass
class Findings:
    """What the checks found: values that the start needs, and what is wrong.

    Attributes:
        model_files: Weights of each local target ("provider/model").
        service_env: `env` of each service that starts here, references resolved.
        errors: Path in the app file (empty: none in particular) and error.
    """

    model_files: dict[str, Path] = field(default_factory=dict)
    service_env: dict[str, dict[str, str]] = field(default_factory=dict)
    errors: list[tuple[str, ShipwayError]] = field(default_factory=list)


def preflight(app: App, environ: Mapping[str, str], *, reload: bool) -> Findings:
    """Check that *app* can start here.

    Raises:
        ShipwayError: Something is missing: its own class when it is one thing, CannotStartError when it is more.
    """
    found = Findings()
    _check_extras(app, found, reload=reload)
    _check_models(app, found)
    _check_secrets(app, environ, found)
    for name, service in app.services.items():
        _check_service(app, name, service, environ, found)
    _check_ports(app, found)
    _raise(app, found.errors)
    return found


def _raise(app: App, errors: list[tuple[str, ShipwayError]]) -> None:
    if not errors:
        return
    if len(errors) == 1:
        raise errors[0][1]
    problems = [Problem(path, error.message, error.hint) for path, error in errors]
    raise CannotStartError(app.source.name, problems)


def _check_extras(app: App, found: Findings, *, reload: bool) -> None:
    if reload and find_spec("watchfiles") is None:
        found.errors.append(("", MissingExtraError("--reload", "local")))
    if any(local_targets(app)) and find_spec("xllamacpp") is None:
        found.errors.append(("", MissingExtraError("a local model", "local")))
    caches = [model.cache for model in app.models.values() if model.cache is not None]
    if any(cache.store is not None for cache in caches) and find_spec("redis") is None:
        found.errors.append(("", MissingExtraError("a cache in Redis", "redis")))
    if any(cache.semantic is not None for cache in caches) and find_spec("numpy") is None:
        found.errors.append(("", MissingExtraError("a semantic cache", "semantic")))


def _check_models(app: App, found: Findings) -> None:
    # Two upstreams may name one file; what is wrong with it is said once.
    said: set[str] = set()
    for target, _, model in local_targets(app):
        try:
            found.model_files[target] = model_file(model, app.root)
        except ModelFileError as error:
            if error.message not in said:
                said.add(error.message)
                found.errors.append((upstream_path(app, target), error))


def _check_secrets(app: App, environ: Mapping[str, str], found: Findings) -> None:
    used = {upstream.provider for model in app.models.values() for upstream in model.upstreams_by_place.values()}
    for name in sorted(used):
        provider = app.providers[name]
        references = {f"providers.{name}.api_key": provider.api_key} | {
            f"providers.{name}.headers.{header}": value for header, value in provider.headers.items()
        }
        for path, reference in references.items():
            if isinstance(reference, SecretReference):
                _resolve(path, reference, app, environ, found)
    for name, model in app.models.items():
        for key, reference in model.references.items():
            _resolve(f"models.{name}.{key}", reference, app, environ, found)


def _resolve(
    path: str, reference: SecretReference, app: App, environ: Mapping[str, str], found: Findings
) -> str | None:
    try:
        return reference.resolve(app.root, environ).reveal()
    except ShipwayError as error:
        found.errors.append((path, error))
        return None


def _check_service(app: App, name: str, service: Service, environ: Mapping[str, str], found: Findings) -> None:
    path = f"services.{name}"
    if service.runs_elsewhere:
        return
    if service.image is not None:
        hint = f"give app or command for this machine in [environments.{app.environment}.services.{name}]"
        found.errors.append((f"{path}.image", ShipwayError("an image does not run locally", hint)))
        return
    env = found.service_env[name] = {}
    for variable, value in service.env.items():
        if isinstance(value, SecretReference):
            value = _resolve(f"{path}.env.{variable}", value, app, environ, found) or ""
        env[variable] = value
    cwd = app.root / service.cwd
    if not cwd.is_dir():
        found.errors.append((f"{path}.cwd", ShipwayError(f"there is no folder {cwd}")))
    elif service.command is not None:
        found.errors += _missing_program(f"{path}.command", service.command[0], cwd, base_environment(environ) | env)


def _missing_program(path: str, program: str, cwd: Path, env: Mapping[str, str]) -> Iterator[tuple[str, ShipwayError]]:
    if "/" in program:
        file = cwd / program
        if not file.is_file():
            yield path, ShipwayError(f"there is no program {file}")
        elif not os.access(file, os.X_OK):
            yield path, ShipwayError(f"{file} is not executable", f"chmod +x {file}")
    elif shutil.which(program, path=env.get("PATH")) is None:
        yield path, ShipwayError(f"there is no program {program!r} on PATH")


def _check_ports(app: App, found: Findings) -> None:
    gateway = app.gateway
    for path, option, address in (
        ("gateway.port", "--port", Address(gateway.host, gateway.port)),
        ("gateway.admin_port", "--admin-port", Address(gateway.admin_host, gateway.admin_port)),
    ):
        try:
            check_free(address, option)
        except ShipwayError as error:
            found.errors.append((path, error))
