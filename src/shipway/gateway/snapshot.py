"""The snapshot: all that the data plane reads of the app file, compiled once into a value that never changes.

A request takes the current snapshot when it begins and keeps it to its end, so a swap never shows it two versions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from shipway.errors import NoAddressError, SecretError
from shipway.gateway.routing import Route, RouteTable
from shipway.gateway.tls import UpstreamTls
from shipway.gateway.upstreams import Endpoint, Endpoints
from shipway.secret import Secret, SecretReference
from shipway.spec.app import App
from shipway.spec.models import Upstream
from shipway.spec.providers import Provider


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling, as logs and limits name them; never the key itself."""

    id: str


@dataclass(frozen=True, slots=True)
class ServiceTarget:
    name: str
    endpoints: tuple[Endpoint, ...]


@dataclass(frozen=True, slots=True)
class UpstreamTarget:
    """A provider's model: where it is, what it is called there and what each request to it carries."""

    label: str
    model_json: msgspec.Raw
    endpoints: tuple[Endpoint, ...]
    fields: bytes = field(repr=False)
    """Complete header lines, credentials included."""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class ModelTarget:
    name: str
    groups: tuple[tuple[UpstreamTarget, ...], ...]
    """Tried in order; the upstreams of one group share its traffic by weight."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds granted to an upstream."""

    connect_s: float
    first_byte_s: float
    first_token_s: float
    heartbeat_s: float
    idle_s: float
    total_s: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    routes: RouteTable[ServiceTarget]
    models: dict[str, ModelTarget]
    keys: dict[bytes, Principal] = field(repr=False)
    """SHA-256 of each whole key → its principal."""
    deadlines: Deadlines
    max_body_bytes: int


@dataclass(frozen=True)
class AllottedAddresses:
    """Base URLs that whoever runs the gateway gave to services and upstreams, instead of those in the app file."""

    services: dict[str, tuple[str, ...]] = field(default_factory=dict)
    models: dict[str, tuple[str, ...]] = field(default_factory=dict)


def key_digest(key: str) -> bytes:
    """What a key is looked up by: a hash of the whole key, so neither memory nor timing holds the key itself."""
    return hashlib.sha256(key.encode()).digest()


def compile_snapshot(
    app: App,
    keys: Iterable[Secret],
    endpoints: Endpoints,
    environ: Mapping[str, str],
    allotted: AllottedAddresses | None = None,
) -> Snapshot:
    """Compile *app* for serving.

    Raises:
        SecretError: a provider in use names a secret that cannot be resolved.
        NoAddressError: a routed service or a used provider has no address.
    """
    allotted = allotted or AllottedAddresses()
    gateway = app.gateway
    routes: list[Route[ServiceTarget]] = []
    for name, service in app.services.items():
        if not service.routes:
            continue
        urls = allotted.services.get(name) or ((service.url,) if service.url else ())
        if not urls:
            raise NoAddressError(
                f"services.{name}: the gateway has no address for it",
                hint=f'set services.{name}.url, or run it with "shipway up"',
            )
        target = ServiceTarget(name, tuple(endpoints.get(url) for url in urls))
        routes += (Route(route.path.encode(), target, service.is_public(route)) for route in service.routes)
    models = {
        name: ModelTarget(
            name,
            tuple(
                tuple(_upstream_target(app, one, endpoints, environ, allotted) for one in group)
                for group in _groups(model.upstreams)
            ),
        )
        for name, model in app.models.items()
    }
    timeouts = gateway.timeouts
    return Snapshot(
        routes=RouteTable(routes),
        models=models,
        keys={key_digest(key.reveal()): Principal(principal_id(key)) for key in keys},
        deadlines=Deadlines(
            connect_s=timeouts.connect,
            first_byte_s=timeouts.first_byte,
            first_token_s=timeouts.first_token,
            heartbeat_s=timeouts.heartbeat,
            idle_s=timeouts.idle,
            total_s=timeouts.total,
        ),
        max_body_bytes=gateway.max_body,
    )


def principal_id(key: Secret) -> str:
    """A name for a key that appears in logs: its hash's first 32 bits, enough to tell keys of one app apart."""
    return f"key-{key_digest(key.reveal()).hex()[:8]}"


def _upstream_target(
    app: App, upstream: Upstream, endpoints: Endpoints, environ: Mapping[str, str], allotted: AllottedAddresses
) -> UpstreamTarget:
    provider = app.providers[upstream.provider]
    label = f"{upstream.provider}/{upstream.model}"
    urls = allotted.models.get(label) or ((provider.base_url,) if provider.base_url else ())
    if not urls:
        raise NoAddressError(
            f"providers.{upstream.provider}: the gateway has no address for {label}",
            hint='a local model is served by "shipway up"; elsewhere set base_url of the provider',
        )
    return UpstreamTarget(
        label=label,
        model_json=msgspec.Raw(msgspec.json.encode(upstream.model)),
        endpoints=tuple(endpoints.get(url, _tls(app, provider)) for url in urls),
        fields=_provider_fields(app, provider, environ),
        weight=1.0 if upstream.weight is None else upstream.weight,
    )


def _groups(upstreams: Iterable[Upstream]) -> list[list[Upstream]]:
    """Consecutive upstreams with a weight share their traffic; one without is a step of its own."""
    groups: list[list[Upstream]] = []
    for upstream in upstreams:
        if groups and upstream.weight is not None and groups[-1][-1].weight is not None:
            groups[-1].append(upstream)
        else:
            groups.append([upstream])
    return groups


def _tls(app: App, provider: Provider) -> UpstreamTls:
    def path(name: Path | None) -> Path | None:
        return None if name is None else app.root / name

    return UpstreamTls(path(provider.tls.ca), path(provider.tls.cert), path(provider.tls.key))


def _provider_fields(app: App, provider: Provider, environ: Mapping[str, str]) -> bytes:
    def text(value: str | SecretReference) -> str:
        return value if isinstance(value, str) else value.resolve(app.root, environ).reveal()

    fields = [(name, text(value)) for name, value in provider.headers.items()]
    if provider.api_key is not None:
        fields.append(("Authorization", f"Bearer {text(provider.api_key)}"))
    for name, value in fields:
        if not value.isprintable():
            raise SecretError(f"the header {name} of a provider holds a line break or another control character")
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode()
