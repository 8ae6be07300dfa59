"""What an environment is to look like once a release serves. Pure."""

from collections.abc import Mapping

import msgspec

from shipway.deploy.archive import Standing
from shipway.deploy.layout import Layout
from shipway.deploy.plan import Needs
from shipway.deploy.releases import Release
from shipway.spec.app import App


def goal_of(release: Release, app: App, standing: Standing, observed: Layout, *, behind: int | None) -> Layout:
    """The layout in which *release* serves.

    Args:
        app: What the release's app file says.
        behind: The release that goes on running, as it is, so that a return to it only moves traffic.
    """
    # What is not on the target any more (images were removed by hand) cannot be brought there again.
    there = {*observed.installed, release.number}
    kept = tuple(number for number in retained(standing, release.number, app.settings.retain) if number in there)
    behind = behind if behind in kept else None
    running = {release.number: replicas_of(app)}
    if behind is not None:
        running[behind] = observed.running.get(behind, {})
    return Layout(
        gateway=release.images.gateway.digest or release.images.gateway.reference,
        front=(release.number,) if behind is None else (release.number, behind),
        running={number: services for number, services in running.items() if services},
        installed=kept,
        shares={release.number: 1.0},
    )


def standby_of(number: int, standing: Standing, observed: Layout) -> int | None:
    """The release to keep ready behind *number*: the one that serves now, or if that is *number* itself, the one ready now."""
    before = standing.current if standing.current != number else next(iter(observed.front[1:]), None)
    return before if before in observed.front else None


def intended(observed: Layout, replicas: Mapping[int, dict[str, int]]) -> Layout:
    """*observed*, but with all *replicas* that the releases should have, also those that are down at the moment."""
    return msgspec.structs.replace(observed, running={**observed.running, **replicas})


def retained(standing: Standing, number: int, retain: int) -> tuple[int, ...]:
    """The *retain* releases that are kept once *number* serves, rising: it, the one before, then the latest."""
    others = sorted({*standing.retained} - {number}, key=lambda other: (other == standing.current, other), reverse=True)
    return tuple(sorted((number, *others[: retain - 1])))


def replicas_of(app: App) -> dict[str, int]:
    """How many replicas of each service Shipway runs."""
    return {name: service.replicas for name, service in app.services.items() if not service.runs_elsewhere}


def needs_of(app: App) -> Needs:
    """The services that Shipway runs, and how long the slowest may take to become healthy and to end what it answers."""
    started = {name: service for name, service in app.services.items() if not service.runs_elsewhere}
    return Needs(
        services=tuple(started),
        start_s=max((service.health.start for service in started.values()), default=60.0),
        drain_s=max((service.drain for service in started.values()), default=app.gateway.drain),
    )
