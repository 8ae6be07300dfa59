"""One environment with its state and its target: all that a command needs, without a terminal."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from shipway.deploy.archive import Archive, Standing
from shipway.deploy.candidate import Reveal
from shipway.deploy.clock import Clock
from shipway.deploy.goal import needs_of, replicas_of
from shipway.deploy.journal import Entry, Journal
from shipway.deploy.layout import Layout
from shipway.deploy.plan import Needs
from shipway.deploy.releases import Release
from shipway.deploy.rollout import Judge
from shipway.deploy.state import Store
from shipway.deploy.steps import Step
from shipway.deploy.targets import Say, Target
from shipway.errors import UnknownReleaseError
from shipway.spec.app import App
from shipway.spec.load import app_of


@dataclass(frozen=True)
class Progress:
    """Where long work is told: *step* before each step (its number from 1, how many there are), *line* in between."""

    step: Callable[[int, int, Step], None]
    line: Say


def _no_step(number: int, total: int, step: Step) -> None:
    """Tells nobody."""


SILENT = Progress(step=_no_step, line=lambda text: None)


@dataclass(frozen=True)
class Site:
    """An environment.

    Attributes:
        app: As the environment sees it.
        source: The whole app file.
        secret: The value of a reference, from where the command runs.
        weights: Gives the digests of the app's local model files.
        revision: The commit that the app's files are at.
        by: Who is asking: person, machine, process.
        judge: In place of the verdict that the app file's objectives give.
    """

    app: App
    source: Mapping[str, Any]
    store: Store
    target: Target
    secret: Reveal
    weights: Callable[[App], Mapping[str, str]]
    by: str
    revision: str | None = None
    clock: Clock = field(default_factory=Clock)
    progress: Progress = SILENT
    judge: Judge | None = None
    in_background: bool = True
    """Whether the lease is renewed by a thread too, while a step takes long."""
    _apps_read: dict[tuple[int, str], App] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def environment(self) -> str:
        return self.app.environment

    @property
    def archive(self) -> Archive:
        return Archive(self.store, self.app.name)

    @property
    def folder(self) -> str:
        """The environment's own in the store."""
        return self.archive.folder(self.environment)

    @property
    def standing(self) -> Standing:
        return self.archive.standing(self.environment)

    @property
    def current(self) -> Release | None:
        """The release that serves."""
        number = self.standing.current
        return None if number is None else self.archive.get(number, self.environment)

    def unfinished(self) -> Entry | None:
        """What somebody began here and did not finish."""
        return Journal(self.store, self.folder).unfinished()

    def observe(self) -> Layout:
        """What is there now, with the shares that the gateway tells. Raises: TargetError, TrafficError."""
        layout = self.target.observe()
        if layout.gateway is None:
            return layout
        return msgspec.structs.replace(layout, shares=dict(self.target.traffic().shares()))

    def app_of(self, release: Release) -> App:
        """What the app file of *release* says about its environment."""
        key = (release.number, release.environment)
        if key not in self._apps_read:
            self._apps_read[key] = app_of(release.source, release.environment, self.app.root)
        return self._apps_read[key]

    def needs(self, releases: Iterable[int]) -> dict[int, Needs]:
        """By release; those without a record (their state was lost) get the default."""
        return {number: needs_of(app) for number, app in self._apps(releases)}

    def replicas(self, releases: Iterable[int]) -> dict[int, dict[str, int]]:
        """What is to run of each release that has a record."""
        return {number: services for number, app in self._apps(releases) if (services := replicas_of(app))}

    def _apps(self, releases: Iterable[int]) -> Iterator[tuple[int, App]]:
        for number in releases:
            try:
                yield number, self.app_of(self.archive.get(number, self.environment))
            except UnknownReleaseError:
                continue
