"""The files that an image is made from: Dockerfile, `.dockerignore`, entry point. Pure; `image_builder` runs them.

A context has the generated files at its top and the project below `app/`, so neither can hide the other. Everything works
with plain `docker build`, the classic builder included.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from shipway.deploy.build_requirements import Requirements
from shipway.errors import BuildError
from shipway.spec.health import Health
from shipway.spec.services import Service

PORT = 8000
"""Where a service listens inside its container."""

USER = 10001
"""User and group that images run as: no name is needed, and it is nobody on the host."""

SECRETS_FOLDER = "/run/secrets"
"""The entry point exports each file here as an environment variable of its name; Compose mounts secrets here too."""

IGNORE_FILE = ".dockerignore"
_PACKAGES = "/opt/shipway"
_COPIES = (
    "COPY entrypoint.sh /usr/local/bin/entrypoint.sh",
    "COPY --from=dependencies /opt/venv /opt/venv",
)
REQUIREMENTS_FILE = "requirements/requirements.txt"
"""Files that it includes lie beside it."""

ENTRY_POINT = f"""#!/bin/sh
# Exports the files of {SECRETS_FOLDER} as environment variables and becomes the program, which so gets signals itself.
set -eu
for file in {SECRETS_FOLDER}/*; do
    name=$(basename "$file")
    case $name in
        *[!A-Za-z0-9_]* | [0-9]*) continue ;;
    esac
    if [ -r "$file" ] && [ -f "$file" ]; then
        value=$(cat "$file")
        export "$name=$value"
    fi
done
export PORT="${{PORT:-{PORT}}}"
export UVICORN_PORT="$PORT"
exec "$@"
"""


@dataclass(frozen=True)
class Recipe:
    """How the image of a service given by `app` or `command` is made.

    Attributes:
        base: Name of the image to start from.
        requirements: What to install; None for nothing.
        server: What to install besides, such as `uvicorn==0.40.0`; empty for nothing.
        has_wheels: Whether the context has a folder `wheels` to install from, without an index.
        has_src: Whether the project keeps its packages in `src`.
    """

    title: str
    base: str
    requirements: Requirements | None
    server: tuple[str, ...] = ()
    has_wheels: bool = False
    has_src: bool = False


def fetches(recipe: Recipe) -> tuple[tuple[str, ...], ...]:
    """What `pip download` is given, run by run, for all that is installed into an image; see `_dependency_stage`."""
    runs = []
    if recipe.requirements is not None and recipe.requirements.names:
        runs.append((*_exactness(recipe.requirements), "-r", REQUIREMENTS_FILE))
    if recipe.server:
        runs.append(recipe.server)
    return tuple(runs)


def service_files(recipe: Recipe, service: Service) -> dict[str, str]:
    """The generated files of a service's context, by path."""
    files = {
        "Dockerfile": _dockerfile(recipe, service),
        IGNORE_FILE: "# Everything in this folder is meant for the image.\n**/__pycache__\n**/*.pyc\n",
        "entrypoint.sh": ENTRY_POINT,
    }
    if recipe.requirements is not None:
        files[REQUIREMENTS_FILE] = recipe.requirements.text
    return files


def gateway_files(recipe: Recipe, version: str) -> dict[str, str]:
    """The generated files of the gateway's context. The package itself lies in `shipway/` beside them."""
    health = Health(path="/readyz", interval=10.0, timeout=3.0, start=30.0)
    lines = [
        *_dependency_stage(recipe),
        f"COPY shipway/ {_PACKAGES}/shipway/",
        f"RUN /opt/venv/bin/python -m compileall -q {_PACKAGES}",
        "",
        *_runtime_stage(recipe.base, {"title": recipe.title, "version": version}),
        f"ENV PYTHONPATH={_PACKAGES}",
        "WORKDIR /etc/shipway",
        f"USER {USER}:{USER}",
        *_health_check(health, "SHIPWAY_ADMIN_PORT"),
        'CMD ["python", "-m", "shipway", "gateway", "/etc/shipway", "--state", "/var/lib/shipway"]',
        "# A volume that is mounted here starts as this folder is, so it belongs to the user above.",
        f"COPY --chown={USER}:{USER} state/ /var/lib/shipway/",
        *_COPIES,
        f"COPY --from=dependencies {_PACKAGES} {_PACKAGES}",
    ]
    files = {
        "Dockerfile": _text(lines),
        IGNORE_FILE: "**/__pycache__\n**/*.pyc\n",
        "entrypoint.sh": ENTRY_POINT,
        "state/.keep": "",
    }
    return {**files, REQUIREMENTS_FILE: recipe.requirements.text} if recipe.requirements else files


def command_of(service: Service) -> tuple[str, ...]:
    """What runs in the container of a service given by `app` or `command`."""
    if service.command is not None:
        return service.command
    if service.app is None:
        raise BuildError(f"a service given by {service.source} has no program to put into an image")
    drain_s = max(1, int(service.drain) - 1)  # it should end by itself before it is killed
    return (
        *("uvicorn", service.app, *(["--factory"] if service.factory else [])),
        *("--host", "0.0.0.0", "--no-access-log", "--log-level", "warning"),  # noqa: S104 - inside a container
        # Longer than the gateway keeps idle connections: who closes first must be the one who sends the requests.
        *("--timeout-keep-alive", "300", "--timeout-graceful-shutdown", str(drain_s)),
    )


def folder_of(service: Service) -> str:
    """Where the service runs inside the container. Raises: BuildError, when that is outside of the project."""
    folder = PurePosixPath("/app")
    for part in PurePosixPath(service.cwd).parts:
        if part == "..":
            folder = folder.parent
        else:
            folder /= part
    if folder.parts[:2] != ("/", "app"):
        raise BuildError(
            f"cwd {service.cwd!r} is outside of the project's folder, so it is not in the image", "move it below"
        )
    return str(folder)


def _dockerfile(recipe: Recipe, service: Service) -> str:
    """What changes with the code comes last, so that new code costs one layer."""
    health = service.health
    lines = [
        *_dependency_stage(recipe),
        "",
        *_runtime_stage(recipe.base, {"title": recipe.title}),
        f"ENV PORT={PORT} HOME=/tmp" + (" PYTHONPATH=/app/src" if recipe.has_src else ""),
        f"WORKDIR {folder_of(service)}",
        f"USER {USER}:{USER}",
        f"EXPOSE {PORT}",
        *_health_check(health.model_copy(update={"interval": max(health.interval, 10.0)}), "PORT"),
        f"CMD [{', '.join(_json(word) for word in command_of(service))}]",
        *_COPIES,
        "COPY app/ /app/",
    ]
    return _text(lines)


def _dependency_stage(recipe: Recipe) -> list[str]:
    """Installs into a virtual environment. Code comes later, so that this layer stays as long as the requirements do."""
    source = f" from {recipe.requirements.source}" if recipe.requirements else ""
    lines = [
        f"FROM {recipe.base} AS dependencies",
        "ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_PROGRESS_BAR=off PIP_ROOT_USER_ACTION=ignore",
        "RUN python3 -m venv /opt/venv",
    ]
    options = ["--only-binary=:all:"] if recipe.has_wheels else []
    if recipe.has_wheels and fetches(recipe):
        lines.append("COPY wheels/ /wheels/")
        options += ["--no-index", "--find-links=/wheels"]
    if recipe.requirements is not None and recipe.requirements.names:
        exact = _exactness(recipe.requirements)
        lines += [
            f"# Made{source}.",
            "COPY requirements/ /requirements/",
            f"RUN {' '.join(['/opt/venv/bin/pip install', *exact, *options, f'-r /{REQUIREMENTS_FILE}'])}",
        ]
    if recipe.server:
        lines.append(f"RUN {' '.join(['/opt/venv/bin/pip install', *options, *recipe.server])}")
    return lines


def _exactness(requirements: Requirements) -> list[str]:
    exact = ["--no-deps"] if requirements.is_complete else []
    return [*exact, "--require-hashes"] if requirements.has_hashes else exact


def _runtime_stage(base: str, labels: Mapping[str, str]) -> list[str]:
    named = {**labels, "base.name": base}
    pairs = " \\\n      ".join(f"org.opencontainers.image.{key}={_json(value)}" for key, value in named.items())
    return [
        f"FROM {base}",
        f"LABEL {pairs}",
        "ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1",
        "STOPSIGNAL SIGTERM",
        'ENTRYPOINT ["/bin/sh", "/usr/local/bin/entrypoint.sh"]',
    ]


def _health_check(health: Health, port_variable: str) -> list[str]:
    return [
        f"HEALTHCHECK --interval={_seconds(health.interval)} --timeout={_seconds(health.timeout)} "
        f"--start-period={_seconds(health.start)} --retries={health.failures} \\",
        f'    CMD ["python", "-c", {_json(_probe_code(health, port_variable))}]',
    ]


def _probe_code(health: Health, port_variable: str) -> str:
    port = f"os.environ.get('{port_variable}', {PORT if port_variable == 'PORT' else 8081})"
    if health.path is None:
        return f"import os, socket; socket.create_connection(('127.0.0.1', int({port})), {health.timeout:g})"
    path = health.path.replace("\\", "\\\\").replace("'", "\\'")
    return (
        f"import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int({port}), timeout={health.timeout:g}); "
        f"c.request('GET', '{path}'); raise SystemExit(not 200 <= c.getresponse().status < 300)"
    )


def _seconds(value: float) -> str:
    return f"{value:g}s" if value >= 1 else f"{round(value * 1000)}ms"


def _json(text: str) -> str:
    """A word of an exec form or the value of a label; `$` would be expanded in labels."""
    return json.dumps(text, ensure_ascii=False)


def _text(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"
