"""What an environment is to look like once a release serves. Pure."""

from collections.abc import Mapping

import msgspec

from shipway.deploy.archive import Standing
from shipway.deploy.layout import Layout
from shipway.deploy.plan import Budget
from shipway.deploy.releases import Release
from shipway.spec.app import App


def goal_of(release: Release, app: App, standing: Standing, observed: Layout, *, standby: bool) -> Layout:
    """The layout in which *release* serves.

    Args:
        app: What the release's app file says.
        standby: Whether the release before goes on running behind it.
    """
    # What is not on the target any more (images were removed by hand) cannot be brought there again.
    there = {*observed.installed, release.number}
    kept = tuple(number for number in retained(standing, release.number, app.settings.retain) if number in there)
    behind = _standby(release.number, standing, observed, kept) if standby else None
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


def intended(observed: Layout, replicas: Mapping[int, dict[str, int]]) -> Layout:
    """*observed* as it was meant to be: with all *replicas* of the releases that serve, also those that are ill just now."""
    return msgspec.structs.replace(observed, running={**observed.running, **replicas})


def retained(standing: Standing, number: int, retain: int) -> tuple[int, ...]:
    """The *retain* releases that are kept once *number* serves, rising: it, the one before, then the latest."""
    others = sorted({*standing.retained} - {number}, key=lambda other: (other == standing.current, other), reverse=True)
    return tuple(sorted((number, *others[: retain - 1])))


def replicas_of(app: App) -> dict[str, int]:
    """How many replicas of each service Shipway runs."""
    return {name: service.replicas for name, service in app.services.items() if not service.runs_elsewhere}


def budget_of(app: App) -> Budget:
    """How long the slowest service may take to become healthy, and to end what it answers."""
    started = [service for service in app.services.values() if not service.runs_elsewhere]
    return Budget(
        start_s=max((service.health.start for service in started), default=60.0),
        drain_s=max((service.drain for service in started), default=app.gateway.drain),
    )


def _standby(number: int, standing: Standing, observed: Layout, kept: tuple[int, ...]) -> int | None:
    """The release before, or the one that stands by already when the same release is deployed again."""
    before = (standing.current,) if standing.current != number else observed.front[1:2]
    return next((one for one in before if one is not None and one in observed.front and one in kept), None)
