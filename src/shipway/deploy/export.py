"""An environment as plain files that work with the engine and Compose alone. Pure but for reading the project.

Everything is in one folder: a context for each image, `docker-compose.yml`, the gateway's configuration. Secrets are not in it:
`.env.example` says which variables are needed.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from shipway.deploy.build import PORT, USER
from shipway.deploy.build_context import Entry
from shipway.deploy.build_images import gateway_context, service_context
from shipway.deploy.capabilities import refuse_what_stays_here
from shipway.deploy.front import as_toml
from shipway.errors import UnsupportedError
from shipway.secret import SCHEMES, SecretReference
from shipway.spec.app import App
from shipway.spec.services import Service

GATEWAY = "gateway"
APP_KEY = "SHIPWAY_APP_KEY"
_SECRETS = "/run/secrets"
_ALL_ADDRESSES = "0.0.0.0"  # noqa: S104 - inside a container; the Compose file says what is published

Table = dict[str, Any]


def exported_files(app: App, resolved: Mapping[str, Any]) -> dict[str, Entry]:
    """All files by path.

    Args:
        resolved: The app file as the environment sees it, without the environments.

    Raises:
        BuildError: The project has files that cannot go into an image.
        UnsupportedError: A service has a name that the gateway needs, or something is only on this machine.
    """
    if GATEWAY in app.services:
        raise UnsupportedError(f'a service is called "{GATEWAY}", as the gateway itself is', "rename it")
    refuse_what_stays_here(app)
    if app.build.pip_config is not None:
        raise UnsupportedError(
            "build.pip_config: exported files install packages without its passwords",
            "pip download --dest wheels -r requirements.txt, and set build.wheels in its place",
        )
    files: dict[str, Entry] = {}
    for name, service in app.services.items():
        if service.app is not None or service.command is not None:
            files |= {f"{name}/{path}": entry for path, entry in service_context(app, name).entries.items()}
    files |= {f"{GATEWAY}/{path}": entry for path, entry in gateway_context(app).entries.items()}
    texts = {
        "docker-compose.yml": _compose(app),
        "shipway.toml": gateway_configuration(app, resolved),
        ".env.example": _variables(app),
        ".dockerignore": "# Each image is made from its own folder.\n*\n",
        "README.md": _readme(app),
    }
    return files | {path: Entry(text.encode()) for path, text in texts.items()}


def gateway_configuration(app: App, resolved: Mapping[str, Any]) -> str:
    """The gateway's app file, with the addresses that services have in a Compose network."""
    kept = ("name", "models", "guards", "limits", "providers", "gateway")
    table = {key: value for key, value in resolved.items() if key in kept}
    table["gateway"] = {**table.get("gateway", {}), "host": _ALL_ADDRESSES, "admin_host": _ALL_ADDRESSES}
    services: Table = {}
    for name, service in resolved.get("services", {}).items():
        if app.services[name].runs_elsewhere:
            services[name] = service
            continue
        own = {key: service[key] for key in ("routes", "public") if key in service}
        path = app.services[name].health.path
        services[name] = {**own, "url": f"http://{name}:{PORT}", **({"health": {"path": path}} if path else {})}
    table["services"] = services
    table["providers"] = _with_mounted_files(table.get("providers", {}))
    head = f"# {app.name} in {app.environment}, for the gateway alone. Made by shipway export.\n"
    return head + as_toml({key: value for key, value in table.items() if value})


def _compose(app: App) -> str:
    services: Table = {GATEWAY: _gateway(app)}
    for name, service in app.services.items():
        if not service.runs_elsewhere:
            services[name] = _service(app, name, service)
    document: Table = {"services": services, "volumes": {"gateway-state": {}}}
    secrets = {
        _file_name(one): {"file": f"./{one.name.lstrip('/')}"} for one in _references(app) if one.scheme == "file"
    }
    if secrets:
        document["secrets"] = secrets
    head = (
        f"# {app.name} in {app.environment}. Made by shipway export; works with `docker compose up -d --build` alone.\n"
        "# Variables come from .env (see .env.example).\n"
    )
    return head + "".join(_yaml(document))


def _gateway(app: App) -> Table:
    settings = app.gateway
    providers = list(_provider_references(app))
    volumes = ["./shipway.toml:/etc/shipway/shipway.toml:ro", "gateway-state:/var/lib/shipway"]
    if settings.tls is not None:
        volumes += [f"./{path}:/etc/shipway/{path}:ro" for path in (settings.tls.cert, settings.tls.key)]
    keys = f"${{SHIPWAY_API_KEYS:?set it in .env}},${{{APP_KEY}:?set it in .env}}"
    body: Table = {
        "build": _build(app, GATEWAY),
        "image": f"{app.name}-gateway",
        "environment": {
            "SHIPWAY_API_KEYS": keys,
            "SHIPWAY_ADMIN_TOKEN": "${SHIPWAY_ADMIN_TOKEN:-}",
            "SHIPWAY_ADMIN_PORT": str(settings.admin_port),
            **_wanted_variables(providers),
        },
        # The admin API is published to this machine alone, wherever the gateway listens.
        "ports": [f"{settings.port}:{settings.port}", f"127.0.0.1:{settings.admin_port}:{settings.admin_port}"],
        "volumes": volumes,
        **_hardened(settings.grace + settings.drain + 5),
    }
    return {**body, **_mounted(providers)}


def _service(app: App, name: str, service: Service) -> Table:
    references = [one for one in service.env.values() if isinstance(one, SecretReference)]
    plain = {key: value.replace("$", "$$") for key, value in service.env.items() if isinstance(value, str)}
    by_variable = {
        key: f"${{{one.name}:?set it in .env}}"
        for key, one in service.env.items()
        if isinstance(one, SecretReference) and one.scheme == "env"
    }
    others = {
        f"SHIPWAY_URL_{other.upper().replace('-', '_')}": f"http://{other}:{PORT}"
        for other, one in app.services.items()
        if other != name and not one.runs_elsewhere
    }
    scheme = "https" if app.gateway.tls else "http"
    models = {"OPENAI_BASE_URL": f"{scheme}://{GATEWAY}:{app.gateway.port}/v1", "OPENAI_API_KEY": f"${{{APP_KEY}}}"}
    environment = {
        **(models if app.models else {}),
        **plain,
        **by_variable,
        **others,
        "PORT": str(PORT),
        "SHIPWAY_SERVICE": name,
        "SHIPWAY_ENVIRONMENT": app.environment,
        "SHIPWAY_RELEASE": "${SHIPWAY_RELEASE:-export}",
    }
    files = {key: one for key, one in service.env.items() if isinstance(one, SecretReference) and one.scheme == "file"}
    mounts = [{"source": _file_name(one), "target": key} for key, one in files.items()]
    if service.image is not None and references and mounts:
        raise UnsupportedError(
            f"services.{name} is an image of yours and needs a secret from a file, which Compose only mounts",
            'use "env:NAME" for it',
        )
    made: Table = (
        {"image": service.image}
        if service.image
        else {
            "build": _build(app, name),
            "image": f"{app.name}-{name}",
        }
    )
    resources = service.resources
    gpus = {"capabilities": ["gpu"], "count": resources.gpu}
    told: Table = {"command": list(service.command)} if service.dockerfile and service.command else {}
    return {
        **made,
        **told,
        "environment": environment,
        **({"secrets": mounts} if mounts else {}),
        **({"scale": service.replicas} if service.replicas > 1 else {}),
        **({"cpus": resources.cpu} if resources.cpu is not None else {}),
        **({"mem_limit": resources.memory} if resources.memory is not None else {}),
        **({"deploy": {"resources": {"reservations": {"devices": [gpus]}}}} if resources.gpu else {}),
        **_hardened(service.drain + 5, drops=service.image is None and service.dockerfile is None),
    }


def _build(app: App, folder: str) -> Table:
    network = app.build.network
    return {"context": f"./{folder}", **({} if network == "default" else {"network": network})}


def _hardened(patience_s: float, *, drops: bool = True) -> Table:
    hardened: Table = {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]} if drops else {}
    log = {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
    return {"restart": "unless-stopped", "stop_grace_period": f"{round(patience_s)}s", "logging": log, **hardened}


def _references(app: App) -> Iterator[SecretReference]:
    for service in app.services.values():
        if not service.runs_elsewhere:
            yield from (one for one in service.env.values() if isinstance(one, SecretReference))
    yield from _provider_references(app)


def _provider_references(app: App) -> Iterator[SecretReference]:
    used = {one.provider for model in app.models.values() for one in model.upstreams_by_place.values()}
    for name, provider in app.providers.items():
        if name in used:
            values = (provider.api_key, *provider.headers.values())
            yield from (one for one in values if isinstance(one, SecretReference))
    for model in app.models.values():
        yield from model.references.values()


def _wanted_variables(references: list[SecretReference]) -> dict[str, str]:
    return {one.name: f"${{{one.name}:?set it in .env}}" for one in references if one.scheme == "env"}


def _mounted(references: list[SecretReference]) -> Table:
    files = [_file_name(one) for one in references if one.scheme == "file"]
    return {"secrets": files} if files else {}


def _file_name(reference: SecretReference) -> str:
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in reference.name).strip("-")


def _with_mounted_files(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_mounted_files(item) for key, item in value.items()}
    if isinstance(value, str) and value.startswith(SCHEMES[1] + ":"):
        return f"file:{_SECRETS}/{_file_name(SecretReference.parse(value))}"
    return value


def _variables(app: App) -> str:
    names = {one.name: "" for one in _references(app) if one.scheme == "env"}
    lines = [
        "# Copy to .env, fill in, chmod 600.",
        "# Keys of callers, separated by commas:",
        "SHIPWAY_API_KEYS=",
        "# The key with which the app's own services ask for models:",
        f"{APP_KEY}=",
        "# Opens the admin API on this machine; closed when empty:",
        "SHIPWAY_ADMIN_TOKEN=",
        *(f"{name}=" for name in sorted(names)),
    ]
    return "\n".join(lines) + "\n"


def _readme(app: App) -> str:
    files = sorted({one.name for one in _references(app) if one.scheme == "file"})
    secrets = f"Put these files here too, readable for user {USER}: {', '.join(files)}.\n" if files else ""
    return (
        f"# {app.name} in {app.environment}\n\n"
        "Plain files, made by `shipway export`. They need a Docker engine with Compose, and not Shipway.\n\n"
        f"```sh\ncp .env.example .env\ndocker compose up -d --build\n```\n\n{secrets}"
        "Compose replaces containers one by one, so an update loses the requests of that moment.\n"
    )


def _yaml(value: Mapping[str, Any] | list[Any], indent: str = "") -> Iterator[str]:
    """*value* as YAML in block style, with scalars as JSON, which YAML includes."""
    items = value.items() if isinstance(value, Mapping) else ((None, one) for one in value)
    for key, item in items:
        start = f"{indent}- " if key is None else f"{indent}{key}:"
        if isinstance(item, Mapping | list) and item:
            if key is None:
                body = list(_yaml(item, indent + "  "))
                yield start + body[0][len(indent) + 2 :]
                yield from body[1:]
            else:
                yield start + "\n"
                yield from _yaml(item, indent + "  ")
        else:
            text = json.dumps(item, ensure_ascii=False)
            yield start + (text if key is None else f" {text}") + "\n"
