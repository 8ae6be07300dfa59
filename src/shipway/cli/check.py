"""`shipway check`: says everything that is wrong with an app file, or what is in it."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shipway.cli.output import make_console, print_json, print_warning, problem_fields
from shipway.errors import AppFileError

if TYPE_CHECKING:
    from shipway.errors import Problem
    from shipway.spec.app import App
    from shipway.spec.models import Model
    from shipway.spec.services import Service


def check(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="The app file, or its folder.", exists=True, show_default=False)
    ] = Path("."),
    environment: Annotated[
        str, typer.Option("--environment", "-e", metavar="NAME", help="Show the app as it is there.")
    ] = "dev",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Check the app file and what it refers to.

    All problems of all environments come at once. Secrets and model files that are not here are warnings, and prices that an
    objective needs.

    Example: `shipway check`
    """
    from shipway.cli.findings import (
        missing_modules,
        unknown_models,
        unknown_prices,
        unresolved_secrets,
        unusable_models,
    )
    from shipway.spec.load import find_app_file, load_app

    app = load_app(path, environment)
    missing = (*missing_modules(app), *unknown_models(app))
    if missing:
        raise AppFileError(str(find_app_file(path)), missing)  # the file as the user called it
    warnings = [*unusable_models(app), *unresolved_secrets(app, os.environ), *unknown_prices(app)]
    if as_json:
        print_json({**_summary(app), "warnings": [problem_fields(warning) for warning in warnings]})
    else:
        _print_summary(app, warnings)
    return 0


def _summary(app: "App") -> dict[str, Any]:
    return {
        "name": app.name,
        "source": str(app.source),
        "environment": app.environment,
        "environments": list(app.environments),
        "services": {name: _service_fields(service) for name, service in app.services.items()},
        "models": {name: _model_fields(model) for name, model in app.models.items()},
    }


def _service_fields(service: "Service") -> dict[str, Any]:
    routes = [route.path for route in service.routes]
    fields = {"source": service.source, "routes": routes, "replicas": service.replicas}
    releases = {
        name: {"url": ", ".join(release.urls), "weight": release.weight} for name, release in service.releases.items()
    }
    return fields | {"releases": releases} if releases else fields


def _model_fields(model: "Model") -> dict[str, Any]:
    if not model.releases:
        return {"upstreams": [upstream.target for upstream in model.upstreams]}
    return {
        "releases": {
            name: {"upstreams": [upstream.target for upstream in release.upstreams], "weight": release.weight}
            for name, release in model.releases.items()
        }
    }


def _print_summary(app: "App", warnings: list["Problem"]) -> None:
    console = make_console()
    summary = _summary(app)
    console.print(f"{app.name} in {app.environment}: ok", style="bold")
    for name, service in summary["services"].items():
        replicas = f", {service['replicas']} replicas" if service["replicas"] > 1 else ""
        console.print(f"  service {name}: {' '.join(service['routes'])} ({service['source']}{replicas})")
        for line in _release_lines(service, "url"):
            console.print(line)
    for name, model in summary["models"].items():
        console.print(f"  model {name}: {', '.join(model.get('upstreams', ['releases']))}")
        for line in _release_lines(model, "upstreams"):
            console.print(line)
    console.print(f"  environments: {', '.join(summary['environments'])}")
    for warning in warnings:
        print_warning(make_console(sys.stderr), str(warning), warning.hint)


def _release_lines(summary: dict[str, Any], key: str) -> Iterator[str]:
    for name, release in summary.get("releases", {}).items():
        what = release[key] if isinstance(release[key], str) else ", ".join(release[key])
        yield f"    release {name}: {what} (weight {release['weight']:g})"
