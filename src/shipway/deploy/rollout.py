"""Watching a new release while it gets traffic: when to go on, when to return to the one before.

What is decided is pure (`decide`, `fails_outright`); `Watch` reads the gateway, asks and waits.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from shipway.deploy.clock import Clock
from shipway.deploy.counts import Arms, Counts, Tally, Watched
from shipway.deploy.releases import release_name
from shipway.deploy.steps import Drain, Hold, Shift
from shipway.deploy.traffic import Traffic
from shipway.deploy.verdict import Outcome, Verdict
from shipway.errors import RolledBackError, TrafficError

LOOK_EVERY_S = 0.2
"""A release that fails outright is to be noticed within a second."""

KEEP_EVERY_S = 5.0
"""What was counted is kept so often: so much a deployer that dies can lose of it."""

PATIENCE_S = 10.0

OUTRIGHT_BAD = 10
OUTRIGHT_RATE = 0.5
SHARED_RATE = 0.25
"""Fails outright: so many bad answers, at least this part of all, while of the release before fewer than that are bad."""

Judge = Callable[[Counts, float], Verdict]
"""The verdict on all that was counted in this rollout, so many seconds after it began."""


class Next(Enum):
    """What comes after a look."""

    WAIT = "wait"
    GO_ON = "go on"
    ROLL_BACK = "roll back"


@dataclass(frozen=True, slots=True)
class Look:
    """What is known at one moment of a hold: seconds and requests since it began, and both arms by objective."""

    elapsed_s: float
    rollout_s: float
    arms: Mapping[str, Arms]

    @property
    def requests(self) -> int:
        return max((arms.canary.total for arms in self.arms.values()), default=0)


def decide(step: Hold, look: Look, verdict: Verdict | None) -> tuple[Next, str]:
    """What to do, and why.

    A hold that is not judged only ends early when the release fails outright. A judged one goes on when time and
    requests suffice and nothing speaks against it; a conclusive one only on a verdict to promote. After the deadline
    nothing but that verdict helps.
    """
    failing = next((name for name, arms in look.arms.items() if fails_outright(arms)), None)
    if failing is not None:
        return Next.ROLL_BACK, f"{failing}: {_bad(look.arms[failing].canary)}"
    if verdict is None:
        return (Next.GO_ON if look.elapsed_s >= step.min_s else Next.WAIT), ""
    why = "; ".join(verdict.reasons)
    if verdict.outcome is Outcome.ROLL_BACK:
        return Next.ROLL_BACK, why
    is_long_enough = look.elapsed_s >= step.min_s and look.requests >= step.min_requests
    is_late = look.rollout_s >= step.deadline_s
    if verdict.outcome is Outcome.PROMOTE and (is_long_enough or is_late):
        return Next.GO_ON, why
    if is_late:
        return Next.ROLL_BACK, f"no decision by the deadline: {why}"
    return (Next.GO_ON if is_long_enough and not step.conclusive else Next.WAIT), why


def fails_outright(arms: Arms) -> bool:
    """Whether most answers of the new release are bad, and not those of the one before, which would be an incident of both."""
    canary, baseline = arms.canary, arms.baseline
    is_shared = baseline.total > 0 and baseline.bad_rate >= SHARED_RATE
    return canary.bad >= OUTRIGHT_BAD and canary.bad_rate >= OUTRIGHT_RATE and not is_shared


class Watch:
    """The traffic of one rollout, from its first shift to its end."""

    def __init__(
        self,
        traffic: Callable[[], Traffic],
        judge: Callable[[int], Judge],
        clock: Clock,
        confirm: Callable[[], None],
        say: Callable[[str], None],
        keep: Callable[[Watched], None],
    ) -> None:
        """
        Args:
            judge: Gives the judge of a release.
            confirm: Raises when the environment is not ours any more.
            keep: Told now and then what a canary's verdict is reached on.
        """
        self._traffic = traffic
        self._judge = judge
        self._clock = clock
        self._confirm = confirm
        self._say = say
        self._keep = keep
        self._counts = Counts()
        self._shares: Mapping[int, float] = {}
        self._shifted_s = clock.monotonic_s()
        self._before_s = 0.0
        self._began_s: float | None = None
        self._trouble = ""

    def at(self, shares: Mapping[int, float]) -> None:
        """Go on from *shares*, which were set before."""
        self._shares = shares

    def go_on(self, watched: Watched) -> None:
        """Go on from what somebody else has *watched* of this rollout. What was answered since then is not counted."""
        self._counts = watched.counts
        self._before_s = watched.elapsed_s

    def shift(self, step: Shift) -> None:
        """Move traffic. A gateway that does not answer is asked again for a while: it may be changing itself."""
        until_s = self._clock.monotonic_s() + PATIENCE_S
        while True:
            try:
                self._traffic().shift(step.shares)
            except TrafficError as error:
                if self._clock.monotonic_s() >= until_s:
                    raise
                self._say_once(error.message)
                self._clock.sleep(1.0)
                self._confirm()
            else:
                self._shares = step.shares
                self._shifted_s = self._clock.monotonic_s()
                return

    def hold(self, step: Hold) -> None:
        """Return when the rollout may go on.

        Raises:
            RolledBackError: It may not; the message says why.
        """
        began_s = self._clock.monotonic_s()
        self._began_s = began_s - self._before_s if self._began_s is None else self._began_s
        arms: dict[str, Arms] = {}
        judge = self._judge(step.release)
        self._counted(step)  # what came before belongs to another share, or to nobody
        said = ""
        looked_s = kept_s = began_s
        while True:
            self._confirm()
            is_settled = looked_s - self._shifted_s >= step.settle_s
            more = self._counted(step)
            arms = {name: arms.get(name, Arms()) + more.get(name, Arms()) for name in {*arms, *more}}
            self._counts = self._counts.plus(self._shares.get(step.release, 0.0), more, settled=is_settled)
            looked_s = now_s = self._clock.monotonic_s()
            look = Look(now_s - began_s, now_s - self._began_s, arms)
            verdict = judge(self._counts, look.rollout_s) if step.judged else None
            decision, why = decide(step, look, verdict)
            if decision is Next.ROLL_BACK:
                raise RolledBackError(f"{release_name(step.release)} is rolled back: {why}")
            if step.judged and (decision is Next.GO_ON or now_s - kept_s >= KEEP_EVERY_S):
                kept_s = now_s
                self._keep(Watched(self._counts, look.rollout_s))
            if decision is Next.GO_ON:
                return
            if why and why != said:
                self._say(said := why)
            self._clock.sleep(LOOK_EVERY_S)

    def drain(self, step: Drain) -> None:
        """Return when nothing is under way to the release, its budget has passed, or there is no gateway to ask."""
        until_s = self._clock.monotonic_s() + step.within_s
        silent_s: float | None = None
        was_idle = False
        while self._clock.monotonic_s() < until_s:
            self._confirm()
            left = self._in_flight(step.release)
            if left is not None:
                silent_s = None
            elif silent_s is None:
                silent_s = self._clock.monotonic_s()
            elif self._clock.monotonic_s() - silent_s >= PATIENCE_S:
                # The process that says nothing is the one that would pass answers on; the next step makes another one.
                return
            # Twice, because a request may have been on its way to be counted.
            if left == 0 and was_idle:
                return
            was_idle = left == 0
            self._clock.sleep(LOOK_EVERY_S)
        self._say(f"the drain budget of {release_name(step.release)} has passed; what is left is cut")

    def _say_once(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._say(trouble)
        self._trouble = trouble

    def _counted(self, step: Hold) -> Mapping[str, Arms]:
        try:
            return {} if step.baseline is None else self._traffic().counted(step.release, step.baseline)
        except TrafficError as error:
            # Counters are cumulative, so nothing is lost; what a gateway in the middle of a change cannot say, it says later.
            self._say_once(str(error))
            return {}

    def _in_flight(self, release: int) -> int | None:
        try:
            return self._traffic().in_flight(release)
        except TrafficError as error:
            self._say_once(str(error))
            return None


def _bad(tally: Tally) -> str:
    return f"{tally.bad} of {tally.total} answers are bad"
