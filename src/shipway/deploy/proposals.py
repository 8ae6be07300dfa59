"""What a command would do to an environment, worked out before anything is done."""

from dataclasses import dataclass

import msgspec

from shipway.deploy.archive import Standing
from shipway.deploy.build_images import gateway_parts
from shipway.deploy.candidate import Inputs, candidate, rendered, secret_versions, version_key
from shipway.deploy.capabilities import Setting, losses, refuse_losses, refuse_unchecked, refuse_what_stays_here
from shipway.deploy.diff import Change, difference
from shipway.deploy.front import front_table, shares_anything
from shipway.deploy.goal import goal_of, intended, needs_of, standby_of
from shipway.deploy.journal import Entry, Kind
from shipway.deploy.layout import Layout
from shipway.deploy.plan import answers, is_settled, moves_of, plan
from shipway.deploy.releases import Release, release_name
from shipway.deploy.site import Site
from shipway.deploy.steps import Step
from shipway.errors import UnknownReleaseError, UnsupportedError
from shipway.spec.app import App
from shipway.spec.load import resolved
from shipway.spec.rollout import Rollout


@dataclass(frozen=True)
class Proposal:
    """A change of an environment.

    Attributes:
        release: What would serve; of one that `is_new` the number is the next free one, and no record is kept yet.
        current: What serves.
        losses: Settings that the target cannot honour, whose loss the app file accepts.
        before: What an abort returns to.
    """

    kind: Kind
    release: Release
    is_new: bool
    current: Release | None
    losses: tuple[Setting, ...]
    before: Layout
    goal: Layout
    steps: tuple[Step, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """What differs from the current release."""
        return difference(self.current, self.release)

    @property
    def is_nothing(self) -> bool:
        """Whether the environment is so already."""
        return is_settled(self.steps) and not self.is_new

    def entry(self, site: Site, token: int, superseded: Entry | None = None) -> Entry:
        """The journal's entry for it. Of what it supersedes, an abort goes back to where that began."""
        return Entry(
            kind=self.kind,
            release=self.release.number,
            before=superseded.before if superseded else self.before,
            stood=superseded.stood if superseded else site.standing,
            goal=self.goal,
            steps=self.steps,
            by=site.by,
            began=site.clock.stamp(),
            token=token,
        )


def propose_deploy(site: Site, number: int, *, build: bool, at_once: bool = False) -> Proposal:
    """What a deploy of the app file would do, as release *number* if it is a new one.

    Args:
        build: Make the images; without it nothing is changed anywhere.
        at_once: All traffic moves as soon as the release is healthy, whatever the strategy.

    Raises:
        UnsupportedError: The target cannot honour a setting, and the file does not accept its loss.
        ShipwayError: A secret is missing, an image could not be built, the target cannot be asked.
    """
    lost = _losses(site, site.app, resolved(site.source, site.environment))
    inputs = Inputs(site.source, site.secret, site.weights(site.app), site.revision, site.by, site.clock.stamp())
    key = version_key(site.store, site.folder, make=build)
    release = candidate(site.app, number, inputs, site.target, key, build=build, say=site.progress.line)
    current = site.current
    if current is not None and current.is_same_as(release):
        return _towards(site, "repair", current, site.app, is_new=False, lost=lost)
    rollout = site.app.settings.rollout
    rollout = rollout.model_copy(update={"strategy": "blue_green"}) if at_once else rollout
    return _towards(site, "deploy", release, site.app, is_new=True, lost=lost, rollout=rollout)


def propose_promotion(site: Site, release: Release) -> Proposal:
    """What it would do to bring *release*, which another environment has, here: nothing is built, only overrides differ.

    Raises:
        UnsupportedError, SecretError: As for a deploy.
    """
    table = resolved(release.source, site.environment)
    key = version_key(site.store, site.folder, make=True)
    here = msgspec.structs.replace(release, environment=site.environment)
    app = site.app_of(here)
    lost = _losses(site, app, table)
    _refuse_missing_parts(site, release, app)
    here = msgspec.structs.replace(
        here,
        resolved=table,
        secrets=secret_versions(app, site.secret, key),
        by=site.by,
        at=site.clock.stamp(),
        promoted_from=release.environment,
    )
    current = site.current
    is_here = current is not None and current.number == here.number and current.is_same_as(here)
    rollout = app.settings.rollout
    return _towards(site, "promote", rendered(here, site.target), app, is_new=not is_here, lost=lost, rollout=rollout)


def propose_rollback(site: Site, number: int | None) -> Proposal:
    """What a rollback would do: traffic moves at once, nothing is built or judged again.

    Args:
        number: The release to return to; None for the one before the current one, or before a rollout that is unfinished.

    Raises:
        UnknownReleaseError: There is no such release, or it is not kept any more.
    """
    standing = site.standing
    wanted = _previous(standing, site.unfinished()) if number is None else number
    if wanted is None:
        raise UnknownReleaseError(
            f"{site.environment} has no release to go back to", f"shipway releases {site.environment}"
        )
    release = site.archive.get(wanted, site.environment)
    if wanted not in standing.retained:
        kept = ", ".join(release_name(one) for one in standing.retained) or "none"
        raise UnknownReleaseError(
            f"release {release.name} of {site.environment} is not kept any more (kept: {kept})",
            f"shipway releases {site.environment}",
        )
    return _towards(site, "rollback", release, site.app_of(release), is_new=False)


def _previous(standing: Standing, unfinished: Entry | None) -> int | None:
    """What served before the current release, or when a rollout that leads forward was begun: no matter how far that came."""
    forward = unfinished is not None and unfinished.kind in ("deploy", "promote", "abort")
    return unfinished.stood.current if unfinished is not None and forward else standing.previous


def _towards(
    site: Site,
    kind: Kind,
    release: Release,
    app: App,
    *,
    is_new: bool,
    lost: tuple[Setting, ...] = (),
    rollout: Rollout | None = None,
) -> Proposal:
    """How *release* comes to serve; traffic moves at once and unwatched when there is no *rollout*."""
    standing, current, observed = site.standing, site.current, site.observe()
    needs = {**site.needs({*observed.front, *standing.retained}), release.number: needs_of(app)}

    def serves(number: int | None) -> bool:
        return number is not None and number in observed.front and answers(number, observed, needs)

    behind = standby_of(release.number, standing, observed)
    keeps = kind != "rollback" and app.settings.rollout.keeps_standby and serves(behind)
    goal = goal_of(release, app, standing, observed, behind=behind if keeps else None)
    moves: tuple[Step, ...] = ()
    if rollout is not None and current is not None and serves(current.number) and _share(current, release):
        moves = moves_of(rollout, release.number, current.number)
    before = intended(observed, site.replicas(observed.front))
    return Proposal(kind, release, is_new, current, lost, before, goal, plan(goal, observed, moves, needs))


def _share(current: Release, release: Release) -> bool:
    """Whether traffic can move by and by: for a gateway whose models did not change a canary would wait for ever."""
    return shares_anything(front_table([current, release]))


def _refuse_missing_parts(site: Site, release: Release, app: App) -> None:
    """Do nothing when the gateway's image of *release* has what *app* needs of it. Raises: UnsupportedError."""
    missing = sorted({*gateway_parts(app)} - {*gateway_parts(site.app_of(release))})
    if missing:
        raise UnsupportedError(
            f"{release.name} was built for {release.environment}, where its gateway does without {' and '.join(missing)}, "
            f"which {app.environment} needs",
            f"shipway deploy {app.environment}",
        )


def _losses(site: Site, app: App, table: dict[str, object]) -> tuple[Setting, ...]:
    refuse_what_stays_here(app)
    lost = losses(table, site.target.capabilities)
    refuse_losses(lost, app, site.target.capabilities)
    refuse_unchecked(app)
    return lost
