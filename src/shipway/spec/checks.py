"""What must hold between sections: routes that do not collide, names that exist. Pure."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from shipway.spec.app import Sections
from shipway.spec.models import Model
from shipway.spec.services import Route, Service
from shipway.spec.wording import Location, did_you_mean, listed, quoted

RESERVED_ROUTES = ("/v1", "/healthz", "/readyz")
"""Prefixes that the gateway answers itself."""


@dataclass(frozen=True)
class Finding:
    """Something wrong, at one or more places that are equally at fault (the first is shown when all are)."""

    locations: tuple[Location, ...]
    message: str
    hint: str | None = None


def check(app: Sections, providers: Set[str], is_empty: bool) -> list[Finding]:
    """All that is wrong between the sections.

    Args:
        app: The sections, without those that are themselves invalid.
        providers: Names of all providers, the invalid ones too: using one is not a second mistake.
        is_empty: Whether the file has neither services nor models.
    """
    findings = [*_routes(app.services), *_upstreams(app.models, providers), *_examples(app.services)]
    if is_empty:
        findings.append(Finding(((),), "the app has neither services nor models", "shipway init writes a first file"))
    return findings


def covers(prefix: str, path: str) -> bool:
    """Whether a route at *prefix* takes requests for *path*: whole segments, so "/a" covers "/a/b" and not "/ab"."""
    return prefix == "/" or path == prefix or path.startswith(prefix + "/")


def _routes(services: Mapping[str, Service]) -> Iterator[Finding]:
    owners: dict[str, tuple[str, Location]] = {}
    for name, service in services.items():
        for index, route in enumerate(service.routes):
            place: Location = ("services", name, "routes", index)
            yield from _reserved(route, place)
            yield from _covered(service, index, place)
            owner, owners_place = owners.setdefault(route.path, (name, place))
            if owner != name:
                message = f"route {quoted(route.path)} belongs to both {listed((owner, name), 'and')}"
                yield Finding((place, owners_place), message)


def _reserved(route: Route, place: Location) -> Iterator[Finding]:
    for reserved in RESERVED_ROUTES:
        if covers(reserved, route.path):
            yield Finding(
                (place,), f"route {quoted(route.path)} is taken: the gateway answers {quoted(reserved)} itself"
            )


def _covered(service: Service, index: int, place: Location) -> Iterator[Finding]:
    """A route that changes nothing, because another of the same service has it already."""
    route = service.routes[index]
    if any(other.path == route.path for other in service.routes[:index]):
        yield Finding((place,), f"route {quoted(route.path)} is listed twice")
        return
    wider = [other for other in service.routes if other.path != route.path and covers(other.path, route.path)]
    nearest = max(wider, key=lambda other: len(other.path), default=None)
    # A narrower route that is public where the wider one is not says something.
    if nearest and service.is_public(nearest) == service.is_public(route):
        message = f"route {quoted(route.path)} is already covered by {quoted(nearest.path)} of the same service"
        yield Finding((place,), message, "leave it out, or give it another value of public")


def _examples(services: Mapping[str, Service]) -> Iterator[Finding]:
    for name, service in services.items():
        if service.example is None:
            continue
        path = service.example.path.partition("?")[0]
        if not any(covers(route.path, path) for route in service.routes):
            message = f"example {quoted(path)} is under none of the service's routes"
            yield Finding((("services", name, "example", "path"),), message)


def _upstreams(models: Mapping[str, Model], providers: Set[str]) -> Iterator[Finding]:
    for name, model in models.items():
        seen = set[str]()
        for index, upstream in enumerate(model.upstreams):
            place: Location = ("models", name, "upstreams", index)
            if upstream.provider not in providers:
                nearest = did_you_mean(upstream.provider, providers)
                known = f"known: {listed(sorted(providers), 'and')}; others need a section [providers.NAME]"
                yield Finding((place,), f"unknown provider {quoted(upstream.provider)}{nearest}", known)
            elif upstream.target in seen:
                yield Finding((place,), f"upstream {quoted(upstream.target)} is listed twice")
            seen.add(upstream.target)
