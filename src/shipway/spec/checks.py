"""What must hold between sections: routes that do not collide, names that exist. Pure."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from shipway.spec.guards import GuardUse
from shipway.spec.models import Upstream
from shipway.spec.section import FROM_FILE, Section
from shipway.spec.services import SOURCES, Example, Route
from shipway.spec.wording import Location, did_you_mean, listed, quoted

_S = TypeVar("_S", bound=Section)

RESERVED_ROUTES = ("/v1", "/healthz", "/readyz")
"""Prefixes that the gateway answers itself."""


@dataclass(frozen=True)
class Finding:
    """Something wrong, at one or more places that are equally at fault (the first is shown when all are)."""

    locations: tuple[Location, ...]
    message: str
    hint: str | None = None


def check(raw: Mapping[str, Any]) -> list[Finding]:
    """All that is wrong between the sections of *raw*, which has the built-in providers.

    It reads the raw table and passes over entries that are wrong in themselves, so that these two kinds of mistake are
    found at once.
    """
    services, models = _tables(raw, "services"), _tables(raw, "models")
    # All names, those of invalid providers too: using one is not a second mistake.
    providers = raw["providers"].keys() if isinstance(raw.get("providers"), dict) else set[str]()
    guards = raw["guards"].keys() if isinstance(raw.get("guards"), dict) else set[str]()
    findings = [*_routes(services), *_examples(services), *_upstreams(models, providers), *_guards(models, guards)]
    findings += _embeddings(models, raw.get("models"))
    if not raw.get("services") and not raw.get("models"):
        findings.append(Finding(((),), "the app has neither services nor models", "shipway init"))
    return findings


def covers(prefix: str, path: str) -> bool:
    """Whether a route at *prefix* takes requests for *path*: whole segments, so "/a" covers "/a/b" and not "/ab"."""
    return prefix == "/" or path == prefix or path.startswith(prefix + "/")


def _tables(raw: Mapping[str, Any], section: str) -> dict[str, dict[str, Any]]:
    items = raw.get(section)
    return {k: v for k, v in items.items() if isinstance(v, dict)} if isinstance(items, dict) else {}


def _valid(kind: type[_S], entries: object) -> dict[int, _S]:
    """The valid ones of *entries* by their index."""
    result = {}
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        try:
            result[index] = kind.model_validate(entry, context=FROM_FILE)
        except ValidationError:
            continue
    return result


def _routes(services: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    owners: dict[str, tuple[str, Location]] = {}
    for name, service in services.items():
        # A table without a source is a mistyped name more often than a service with the default route.
        routes = _valid(Route, service.get("routes", ["/"] if SOURCES.given(service) else []))
        is_public = {
            route: route.public is True or (route.public is None and service.get("public") is True)
            for route in routes.values()
        }
        for index, route in routes.items():
            place: Location = ("services", name, "routes", index)
            yield from _reserved(route, place)
            yield from _covered(index, routes, is_public, place)
            owner, owners_place = owners.setdefault(route.path, (name, place))
            if owner != name:
                message = f"route {quoted(route.path)} belongs to both {listed((owner, name), 'and')}"
                yield Finding((place, owners_place), message)


def _reserved(route: Route, place: Location) -> Iterator[Finding]:
    for reserved in RESERVED_ROUTES:
        if covers(reserved, route.path):
            message = f"route {quoted(route.path)} is taken: the gateway answers {quoted(reserved)} itself"
            yield Finding((place,), message)


def _covered(
    index: int, routes: Mapping[int, Route], is_public: Mapping[Route, bool], place: Location
) -> Iterator[Finding]:
    """A route that changes nothing, because another of the same service has it already."""
    route = routes[index]
    if any(other.path == route.path for earlier, other in routes.items() if earlier < index):
        yield Finding((place,), f"route {quoted(route.path)} is listed twice")
        return
    wider = [other for other in routes.values() if other.path != route.path and covers(other.path, route.path)]
    nearest = max(wider, key=lambda other: len(other.path), default=None)
    # A narrower route that is public where the wider one is not says something.
    if nearest and is_public[nearest] == is_public[route]:
        message = f"route {quoted(route.path)} is already covered by {quoted(nearest.path)} of the same service"
        yield Finding((place,), message, "leave it out, or give it another value of public")


def _examples(services: Mapping[str, dict[str, Any]]) -> Iterator[Finding]:
    for name, service in services.items():
        example = _valid(Example, [service.get("example")]).get(0)
        entries = service.get("routes", ["/"])
        routes = _valid(Route, entries).values()
        path = example.path.partition("?")[0] if example else ""
        if example and (routes or not entries) and not any(covers(route.path, path) for route in routes):
            message = f"example {quoted(path)} is under none of the service's routes"
            yield Finding((("services", name, "example", "path"),), message)


def _upstreams(models: Mapping[str, dict[str, Any]], providers: Set[str]) -> Iterator[Finding]:
    for name, model in models.items():
        yield from _list_of_upstreams(model, ("models", name), providers)
        for release, table in _tables(model, "releases").items():
            yield from _list_of_upstreams(table, ("models", name, "releases", release), providers)


def _list_of_upstreams(owner: Mapping[str, Any], at: Location, providers: Set[str]) -> Iterator[Finding]:
    """The `upstreams` of *owner*, a model or a release of one at *at*."""
    seen = set[str]()
    for index, upstream in _valid(Upstream, owner.get("upstreams")).items():
        place: Location = (*at, "upstreams", index)
        if upstream.provider not in providers:
            nearest = did_you_mean(upstream.provider, providers)
            known = f"known: {listed(sorted(providers), 'and')}; others need a section [providers.NAME]"
            yield Finding((place,), f"unknown provider {quoted(upstream.provider)}{nearest}", known)
        elif upstream.target in seen:
            yield Finding((place,), f"upstream {quoted(upstream.target)} is listed twice")
        seen.add(upstream.target)


def _embeddings(models: Mapping[str, dict[str, Any]], raw: object) -> Iterator[Finding]:
    """The models that turn questions into vectors; *raw* has the names of all, of invalid ones too."""
    known = raw.keys() if isinstance(raw, dict) else set[str]()
    for name, model in models.items():
        cache = model.get("cache")
        semantic = cache.get("semantic") if isinstance(cache, dict) else None
        asked = semantic.get("embeddings") if isinstance(semantic, dict) else None
        if not isinstance(asked, str):
            continue
        place: Location = ("models", name, "cache", "semantic", "embeddings")
        if asked == name:
            message = f"{quoted(asked)} is the model itself, whose questions are to become vectors"
            yield Finding((place,), message, "name a model of embeddings")
        elif asked not in known:
            others = sorted(known - {name})
            hint = f"known: {listed(others, 'and')}" if others else None
            message = f"unknown model {quoted(asked)}{did_you_mean(asked, others)}"
            yield Finding((place,), message, hint or f"declare it in a section [models.{asked}]")
        elif "releases" in models.get(asked, {}):
            message = f"{quoted(asked)} has releases, whose vectors cannot be compared"
            yield Finding((place,), message, "name a model with upstreams")


def _guards(models: Mapping[str, dict[str, Any]], guards: Set[str]) -> Iterator[Finding]:
    for name, model in models.items():
        seen = set[str]()
        for index, use in _valid(GuardUse, model.get("guards")).items():
            place: Location = ("models", name, "guards", index)
            if use.name not in guards:
                known = f"known: {listed(sorted(guards), 'and')}" if guards else None
                message = f"unknown guard {quoted(use.name)}{did_you_mean(use.name, guards)}"
                yield Finding((place,), message, known or f"declare it in a section [guards.{use.name}]")
            elif use.name in seen:
                yield Finding((place,), f"guard {quoted(use.name)} is listed twice")
            seen.add(use.name)
