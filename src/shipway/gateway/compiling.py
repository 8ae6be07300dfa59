"""From the app file to a snapshot: what is declared becomes what the data plane reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from shipway.cost.known import KnownPrices
from shipway.errors import NoAddressError, UsageError
from shipway.gateway.admission import Admission, ApiKeys, Principal, RequestLimit, key_digest
from shipway.gateway.cache.model_cache import LiveCaches
from shipway.gateway.dialects.losses import HINTS
from shipway.gateway.guards.guard import ModelGuards
from shipway.gateway.guards.live import LiveGuards
from shipway.gateway.health_checks import Check
from shipway.gateway.live_providers import LiveProviders
from shipway.gateway.providers.provider import Settings
from shipway.gateway.releases import Split
from shipway.gateway.routing import Route, RouteTable
from shipway.gateway.snapshot import (
    ONLY,
    AllottedAddresses,
    Candidate,
    CountedObjectives,
    Deadlines,
    Group,
    LiveLimits,
    ModelTarget,
    ServiceTarget,
    Snapshot,
    UpstreamTarget,
)
from shipway.gateway.tls import UpstreamTls
from shipway.gateway.upstreams import Endpoint, Endpoints
from shipway.secret import Secret, SecretReference
from shipway.security.rate_limiting.gcra import Quota
from shipway.spec.app import App
from shipway.spec.cache import Semantic
from shipway.spec.health import Health
from shipway.spec.models import Model, Upstream
from shipway.spec.provider_kinds import KINDS
from shipway.spec.providers import Provider as DeclaredProvider
from shipway.spec.services import Service


@dataclass(frozen=True)
class Surroundings:
    """What a snapshot is compiled with, besides the app file. The same for each snapshot of a process."""

    keys: tuple[Secret, ...]
    endpoints: Endpoints
    limits: LiveLimits
    providers: LiveProviders
    caches: LiveCaches
    guards: LiveGuards
    environ: Mapping[str, str] = field(repr=False)
    allotted: AllottedAddresses = field(default_factory=AllottedAddresses)
    prices: KnownPrices = field(default_factory=KnownPrices)


def compile_snapshot(app: App, around: Surroundings, version: int, splits: Mapping[str, Split]) -> Snapshot:
    """Compile *app* for serving.

    Args:
        splits: Live splits by target; a target that is not among them starts with the app file's weights.

    Raises:
        SecretError: a provider in use names a secret that cannot be resolved.
        UsageError: it lacks a setting that its kind needs.
        MissingExtraError: its kind needs a package that is not installed.
        NoAddressError: a routed service or a used provider has no address.
        CertificateError: TLS files of a provider cannot be used.
        GuardError: a guard's function cannot be imported.
    """
    services = {
        name: _service_target(name, service, around) for name, service in app.services.items() if service.routes
    }
    routes = [
        Route(route.path.encode(), services[name], service.is_public(route))
        for name, service in app.services.items()
        for route in service.routes
    ]
    models = {name: _model_target(app, name, model, around) for name, model in app.models.items()}
    return Snapshot(
        version=version,
        routes=RouteTable(routes),
        services=services,
        models=models,
        splits={**_declared_splits(app), **{key: split for key, split in splits.items() if _fits(app, key, split)}},
        admission=admission_of(app, around.keys, around.limits),
        deadlines=_deadlines(app),
        max_body_bytes=app.gateway.max_body,
        session_header=app.gateway.session_header.lower().encode(),
        checks=tuple(_checks(app, services, models)),
        objectives=_objectives(app),
    )


def _checks(app: App, services: Mapping[str, ServiceTarget], models: Mapping[str, ModelTarget]) -> Iterator[Check]:
    """Active checks of addresses that nobody else watches: what the local runner starts it checks itself."""
    found: dict[Endpoint, Health] = {}
    for name, service in services.items():
        if app.services[name].source in {"url", "releases"}:
            found.update(
                (one, app.services[name].health) for endpoints in service.releases.values() for one in endpoints
            )
    for model in models.values():
        for group in (group for groups in model.releases.values() for group in groups):
            for candidate in group.candidates:
                health = app.providers[candidate.upstream.label.partition("/")[0]].health
                if health is not None:
                    found[candidate.endpoint] = health
    for endpoint, health in found.items():
        check = Check.of(endpoint, health)
        if check is not None:
            yield check


def declared_releases(app: App) -> dict[str, frozenset[str]]:
    """Targets with several releases, and which."""
    return {key: frozenset(weights) for key, weights in _declared_weights(app).items()}


def principal_id(key: Secret) -> str:
    """A name for a key that appears in logs: its hash's first 32 bits, enough to tell keys of one app apart."""
    return f"key-{key_digest(key.reveal().encode()).hex()[:8]}"


def _declared_weights(app: App) -> dict[str, dict[str, float]]:
    weights = {
        f"services.{name}": {key: release.weight for key, release in service.releases.items()}
        for name, service in app.services.items()
        if service.releases
    }
    weights |= {
        f"models.{name}": {key: release.weight for key, release in model.releases.items()}
        for name, model in app.models.items()
        if model.releases
    }
    return weights


def _declared_splits(app: App) -> dict[str, Split]:
    return {key: Split.of(weights) for key, weights in _declared_weights(app).items()}


def _fits(app: App, key: str, split: Split) -> bool:
    return set(split.owners) <= set(_declared_weights(app).get(key, ()))


def admission_of(app: App, keys: Iterable[Secret], limits: LiveLimits) -> Admission:
    """The chain that the app file asks for."""
    digests = {key_digest(key.reveal().encode()): key for key in keys}
    known = ApiKeys({digest: Principal(principal_id(key), digest) for digest, key in digests.items()})
    limit = app.limits.default
    if limit is None:
        return Admission(known.authenticate)
    quota = Quota(float(limit.requests.count) / limit.requests.per_s, float(limit.burst_requests))
    return Admission(known.authenticate, RequestLimit(limits.table(quota)).limit)


def _deadlines(app: App) -> Deadlines:
    timeouts = app.gateway.timeouts
    return Deadlines(
        connect_s=timeouts.connect,
        first_byte_s=timeouts.first_byte,
        first_token_s=timeouts.first_token,
        heartbeat_s=timeouts.heartbeat,
        idle_s=timeouts.idle,
        total_s=timeouts.total,
    )


def _objectives(app: App) -> CountedObjectives:
    cost, quality = app.objectives.cost, app.objectives.quality
    return CountedObjectives(
        None if cost is None else cost.under_pico_usd, None if quality is None else quality.good_score
    )


def _service_target(name: str, service: Service, around: Surroundings) -> ServiceTarget:
    if service.releases:
        releases = {
            key: tuple(around.endpoints.get(url) for url in release.urls) for key, release in service.releases.items()
        }
        return ServiceTarget(name, releases)
    urls = around.allotted.services.get(name) or ((service.url,) if service.url else ())
    if not urls:
        raise NoAddressError(
            f"services.{name}: the gateway has no address for it",
            hint=f'set services.{name}.url, or run it with "shipway up"',
        )
    return ServiceTarget(name, {ONLY: tuple(around.endpoints.get(url) for url in urls)})


def _model_target(app: App, name: str, model: Model, around: Surroundings) -> ModelTarget:
    by_release = {key: release.upstreams for key, release in model.releases.items()} or {ONLY: model.upstreams}
    releases = {
        key: tuple(_group(app, model, group, around) for group in _groups(upstreams))
        for key, upstreams in by_release.items()
    }
    guards = _guards(app, model, around) if model.guards else None
    if model.cache is None:
        return ModelTarget(name, releases, guards=guards)
    generations = {key: _generation(app, name, key, groups) for key, groups in releases.items()}
    embeddings = b"" if model.cache.semantic is None else _embeddings(app, name, model.cache.semantic, around)
    address = model.cache.store
    if isinstance(address, SecretReference):
        address = address.resolve(app.root, around.environ).reveal()
    return ModelTarget(name, releases, around.caches.get(name, model.cache, address, generations, embeddings), guards)


def _generation(app: App, name: str, release: str, groups: tuple[Group, ...]) -> bytes:
    """What kept answers of *release* depend on. After its upstreams or guards have changed the old ones are not given any
    more, even if the release has the same name."""
    model = app.models[name]
    upstreams = [[one.upstream.label, one.endpoint.authority.decode()] for group in groups for one in group.candidates]
    guards = [[repr(use), repr(app.guards[use.name])] for use in model.guards]
    return msgspec.json.encode([app.name, app.environment, name, release, upstreams, sorted(model.may_drop), guards])


def _embeddings(app: App, name: str, semantic: Semantic, around: Surroundings) -> bytes:
    """What makes the vectors of a model's questions. Raises: UsageError, where none of its upstreams makes any."""
    asked = semantic.embeddings
    model = app.models[asked]
    groups = tuple(_group(app, model, group, around) for group in _groups(model.upstreams))
    upstreams = [one.upstream for group in groups for one in group.candidates]
    if not any(one.provider.route("embeddings", one.model, stream=False) for one in upstreams):
        raise UsageError(
            f"models.{name}.cache.semantic.embeddings: no upstream of {asked!r} answers /v1/embeddings",
            hint="name a model whose provider speaks OpenAI's API, such as openai, azure or a server of your own",
        )
    return _generation(app, asked, ONLY, groups)


def _guards(app: App, model: Model, around: Surroundings) -> ModelGuards:
    used = [(use.when, around.guards.get(app, use.name, around.endpoints, around.environ)) for use in model.guards]
    before = tuple(guard for when, guard in used if when != "after")
    return ModelGuards(before, tuple(guard for when, guard in used if when != "before"))


def _group(app: App, model: Model, upstreams: list[Upstream], around: Surroundings) -> Group:
    weighted = any(upstream.weight is not None for upstream in upstreams)
    policy = model.balance or ("weighted" if weighted else "least-in-flight")
    candidates = (one for upstream in upstreams for one in _candidates(app, model, upstream, around))
    return Group(tuple(replace(one, timed=policy == "lowest-latency") for one in candidates), policy)


def _groups(upstreams: Iterable[Upstream]) -> list[list[Upstream]]:
    """Consecutive upstreams with a weight share their traffic; one without is a step of its own."""
    groups: list[list[Upstream]] = []
    for upstream in upstreams:
        if groups and upstream.weight is not None and groups[-1][-1].weight is not None:
            groups[-1].append(upstream)
        else:
            groups.append([upstream])
    return groups


def _candidates(app: App, model: Model, upstream: Upstream, around: Surroundings) -> list[Candidate]:
    declared = app.providers[upstream.provider]
    urls = around.allotted.models.get(upstream.target) or declared.base_urls
    if declared.kind == "local" and not urls:
        raise NoAddressError(
            f"providers.{upstream.provider}: the gateway has no address for {upstream.target}",
            hint='a local model is served by "shipway up"; elsewhere set base_url of the provider',
        )
    provider = around.providers.get(declared.kind, _settings(app, declared, tuple(urls), around.environ))
    prices = around.prices.of_upstream(model, upstream, declared)
    target = UpstreamTarget(upstream.target, upstream.model, provider, _droppable(model), model.stream_usage, prices)
    urls = provider.base_urls
    weight = (1.0 if upstream.weight is None else upstream.weight) / len(urls)
    tls = _tls(app, declared)
    return [Candidate(target, around.endpoints.get(url, tls, upstream.target), weight) for url in urls]


def _droppable(model: Model) -> frozenset[str]:
    named = frozenset(model.may_drop)
    return named | HINTS if "hints" in named else named


def _tls(app: App, provider: DeclaredProvider) -> UpstreamTls:
    def path(name: Path | None) -> Path | None:
        return None if name is None else app.root / name

    return UpstreamTls(path(provider.tls.ca), path(provider.tls.cert), path(provider.tls.key))


def _settings(app: App, provider: DeclaredProvider, urls: tuple[str, ...], environ: Mapping[str, str]) -> Settings:
    def text(value: str | SecretReference) -> str:
        return value if isinstance(value, str) else value.resolve(app.root, environ).reveal()

    options = {name: getattr(provider, name, None) for name in sorted(KINDS[provider.kind].takes)}
    return Settings(
        base_urls=urls,
        api_key=None if provider.api_key is None else provider.api_key.resolve(app.root, environ),
        headers=tuple((name, text(value)) for name, value in provider.headers.items()),
        options={name: value for name, value in options.items() if isinstance(value, str)},
        environ=environ,
    )
