"""Doing what was planned: one step after the other, each noted in the journal before it is done.

A step may be done twice, because a crash between its effect and the next note leaves no trace of the effect.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from shipway.deploy.archive import Standing
from shipway.deploy.audit import Audit
from shipway.deploy.counts import Watched
from shipway.deploy.front import front_table, shared
from shipway.deploy.journal import Entry, Journal
from shipway.deploy.judging import judge_of
from shipway.deploy.lease import Lease
from shipway.deploy.plan import plan
from shipway.deploy.releases import release_name
from shipway.deploy.rollout import Judge, Watch
from shipway.deploy.site import Site
from shipway.deploy.steps import Commit, Drain, Hold, Install, Shift, Start, Step, Stop, Verify
from shipway.errors import LeaseLostError, NotReadyError, RolledBackError, ShipwayError


@contextmanager
def changing(site: Site, *, take_over: bool = False) -> Iterator["Runner"]:
    """Hold the lease of *site* meanwhile; the runner does what is planned. Raises: LeaseHeldError."""
    audit = Audit(site.store, site.folder, site.by, site.clock)
    lease = Lease(site.store, site.folder, site.by, site.clock, audit)
    lease.acquire(take_over=take_over)
    journal = Journal(site.store, site.folder)
    watch = Watch(site.target.traffic, _judges(site), site.clock, lease.confirm, site.progress.line, journal.keep)
    runner = Runner(site, lease, audit, journal, watch)
    with lease:
        if site.in_background:
            with lease.heartbeat():
                yield runner
        else:
            yield runner


@dataclass(frozen=True)
class Runner:
    """Changes one environment; made anew for each command, while it holds the lease."""

    site: Site
    lease: Lease
    audit: Audit
    journal: Journal
    watch: Watch

    def run(self, entry: Entry) -> None:
        """Do *entry*, which was not begun yet. A release that is found wanting is taken back before this raises.

        Raises:
            NotReadyError, RolledBackError: The environment is as it was before.
            ShipwayError: A step failed; the journal says which, for `resume` and `abort`.
        """
        self.audit.note(f"{entry.kind}: {_goal(entry)}")
        with _saying_how_to_go_on(self.site.environment):
            self._recovering(self.journal.write(entry))

    def resume(self, entry: Entry) -> None:
        """Finish *entry*, which somebody began. What its done steps started is started again where it is gone."""
        self.audit.note(f"resume: {entry.describe()}")
        # As ours: whoever had it before fails at its next note.
        with _saying_how_to_go_on(self.site.environment):
            entry = self.journal.write(msgspec.structs.replace(entry, token=self.lease.token))
            for step in entry.steps[: entry.at]:
                if isinstance(step, Shift):
                    self.watch.at(step.shares)
            self.watch.go_on(entry.watched)
            self._recovering(entry, first=_repairs(entry.steps[: entry.at]))

    def abort(self, entry: Entry) -> None:
        """Return to what was there before *entry* began."""
        self.audit.note(f"abort: {entry.describe()}")
        observed = self.site.observe()
        needs = self.site.needs({*entry.before.installed, *observed.installed})
        steps = [
            Commit(entry.stood.current, entry.stood.retained, entry.stood.left) if isinstance(step, Commit) else step
            for step in plan(entry.before, observed, needs=needs)
        ]
        back = msgspec.structs.replace(
            entry,
            kind="abort",
            release=entry.stood.current,
            goal=entry.before,
            steps=tuple(steps),
            at=0,
            done=False,
            token=self.lease.token,
            watched=Watched(),
        )
        with _saying_how_to_go_on(self.site.environment):
            self._do(self.journal.write(back))

    def _recovering(self, entry: Entry, first: tuple[Step, ...] = ()) -> None:
        try:
            self._do(entry, first)
        except (NotReadyError, RolledBackError) as error:
            if entry.kind == "abort":
                raise
            self.site.progress.line(f"{error.message}")
            # Not read anew: what somebody who took over has written by now is not ours to abort.
            self.abort(self.journal.last or entry)
            serves = f"{release_name(entry.stood.current)} serves" if entry.stood.current else "nothing is deployed"
            raise type(error)(
                f"{error.message}\n{self.site.environment} is as it was before: {serves}", error.hint
            ) from error

    def _do(self, entry: Entry, first: tuple[Step, ...] = ()) -> None:
        for step in first:
            self.lease.confirm()
            self._apply(step)
        for index, step in enumerate(entry.steps):
            if index < entry.at:
                continue
            self.lease.confirm()
            if index > entry.at:
                entry = self.journal.advance(entry, index)
            self.site.progress.step(index + 1, len(entry.steps), step)
            self._apply(step)
            entry = self.journal.last or entry
        self.journal.finish(entry)
        self.audit.note(f"{entry.kind} done: {_goal(entry)}")

    def _apply(self, step: Step) -> None:
        match step:
            case Shift():
                self.watch.shift(step)
            case Hold():
                self.watch.hold(step)
            case Drain():
                self.watch.drain(step)
            case Commit():
                standing = (
                    self.site.standing.moved(step.release, step.retained)
                    if step.left is None
                    else Standing(step.release, step.retained, step.left)
                )
                self.site.archive.stand(self.site.environment, standing)
            case _:
                self.site.target.apply(step, self.site.progress.line)


def _judges(site: Site) -> Callable[[int], Judge]:
    """The judge of a release, by its own objectives: on a promotion they are not those of the file that is here."""

    def judge(number: int) -> Judge:
        release, current = site.archive.get(number, site.environment), site.current
        app = site.app_of(release)
        both = None if current is None or current.number == number else shared(front_table([current, release]))
        return judge_of(app.objectives, app.settings.rollout, both)

    fixed = site.judge
    return judge if fixed is None else lambda number: fixed


@contextmanager
def _saying_how_to_go_on(environment: str) -> Iterator[None]:
    """Add to the hint of what ends a rollout on its way how that is finished or taken back."""
    recover = f"shipway resume {environment}, or: shipway abort {environment}"
    try:
        yield
    except (NotReadyError, RolledBackError, LeaseLostError):
        raise  # the environment is as it was, or somebody else's
    except ShipwayError as error:
        if recover not in (error.hint or ""):
            error.hint = recover if error.hint is None else f"{error.hint}; then: {recover}"
        raise


def _repairs(done: tuple[Step, ...]) -> tuple[Step, ...]:
    """Those of the *done* steps whose effect may have been lost since, and that no later step undid."""
    stopped = {step.release for step in done if isinstance(step, Stop)}
    return tuple(step for step in done if isinstance(step, Install | Start | Verify) and step.release not in stopped)


def _goal(entry: Entry) -> str:
    return release_name(entry.release) if entry.release else "nothing is to run"
