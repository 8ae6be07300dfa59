"""From what is there to what is wanted: the steps between two layouts. Pure.

One function serves deploy, rollback, repair and abort; they differ in the goal and in how traffic moves. What served
before is left as it is until what comes has been verified, has the traffic, and the drain budget has passed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shipway.deploy.layout import Layout, same_shares
from shipway.deploy.steps import Commit, Drain, Gateway, Hold, Install, Remove, Shift, Start, Step, Stop, Verify
from shipway.spec.rollout import Rollout


@dataclass(frozen=True, slots=True)
class Needs:
    """What the plan has to know of a release.

    Attributes:
        services: Those that Shipway runs.
        start_s: How long it may take to become healthy.
        drain_s: How long it may take to end what it is answering.
    """

    services: tuple[str, ...] = ()
    start_s: float = 60.0
    drain_s: float = 30.0


def plan(
    goal: Layout,
    observed: Layout,
    moves: Sequence[Step] = (),
    needs: Mapping[int, Needs] | None = None,
) -> tuple[Step, ...]:
    """The steps that make *observed* what *goal* says; only a `Commit` when it is so already.

    Args:
        goal: `Layout()` removes everything.
        moves: How traffic reaches the goal's shares (see `moves_of`); at once when there are none.
        needs: By release; a default holds for those without.
    """
    return tuple(_steps(goal, observed, moves, needs or {}))


def is_settled(steps: Sequence[Step]) -> bool:
    """Whether nothing but the state is to be changed."""
    return all(isinstance(step, Commit) for step in steps)


def _steps(goal: Layout, observed: Layout, moves: Sequence[Step], needs: Mapping[int, Needs]) -> Iterator[Step]:
    yield from (Install(release) for release in goal.installed if release not in observed.installed)
    yield from _starts(goal, observed, needs)
    if goal.front:
        yield from _hand_over(goal, observed, moves, needs)
    else:
        if observed.gateway is not None or observed.front:
            yield Gateway(None, ())
        yield Commit(None, goal.installed)
    yield from _stops(goal, observed)
    yield from (Remove(release) for release in observed.installed if release not in goal.installed)


def _hand_over(goal: Layout, observed: Layout, moves: Sequence[Step], needs: Mapping[int, Needs]) -> Iterator[Step]:
    """From who serves to who is to serve: both are in front, traffic moves, the lead changes, the rest is drained.

    On the way back the gateway changes itself only when traffic is where it should be: one that knew a later release knows
    what an earlier one needs, and a hand-over takes its time.
    """
    is_return = not moves and goal.front[0] < max(observed.front, default=0)
    gateway = (observed.gateway if is_return else None) or goal.gateway
    coming = tuple(release for release in goal.front if release not in observed.front)
    # The gateway has no address of a release that is dead; there is nothing to be drained of it either.
    present = tuple(release for release in observed.front if release in goal.front or answers(release, observed, needs))
    leaving = tuple(release for release in present if release not in goal.front)
    at = observed.front
    # A replica that was made anew may answer at another address.
    healed = any(isinstance(step, Start) and step.release in observed.front for step in _starts(goal, observed, needs))
    if coming or healed or present != at or observed.gateway != gateway or observed.is_stale:
        at = (*present, *coming)
        yield Gateway(gateway, at)
    if not _has_traffic(goal, observed):
        yield from moves or (Shift(goal.shares),)
        if any(isinstance(move, Hold) for move in moves):
            # What was watched may have died meanwhile unseen, where few requests came; the other one still runs.
            yield Verify(goal.front[0], _of(needs, goal.front[0]).start_s)
    led = (*goal.front, *leaving)
    if at != led or gateway != goal.gateway:
        yield Gateway(goal.gateway, led)
    yield Commit(goal.front[0], goal.installed)
    if leaving:
        yield from (Drain(release, _of(needs, release).drain_s) for release in leaving)
        yield Gateway(goal.gateway, goal.front)


def answers(release: int, observed: Layout, needs: Mapping[int, Needs]) -> bool:
    """Whether each service of *release* has a replica that runs."""
    return all(observed.running.get(release, {}).get(service, 0) > 0 for service in _of(needs, release).services)


def moves_of(rollout: Rollout, new: int, old: int | None) -> tuple[Step, ...]:
    """How traffic moves from *old* to *new* under a strategy; all at once where there is nothing to move it from."""
    if old is None or old == new:
        return (Shift({new: 1.0}),)
    watch = _watch(rollout, new, old)
    shifts = [Shift({old: 1 - share, new: share}) for share in rollout.steps]
    match rollout.strategy:
        case "blue_green":
            return (Shift({new: 1.0}), watch)
        case "rolling":
            return (*(step for shift in shifts for step in (shift, watch)), Shift({new: 1.0}), watch)
        case "canary":
            holds = [_judge(rollout, new, old, conclusive=index == len(shifts) - 1) for index in range(len(shifts))]
            pairs = zip(shifts, holds, strict=True)
            return (*(step for pair in pairs for step in pair), Shift({new: 1.0}), watch)


def _starts(goal: Layout, observed: Layout, needs: Mapping[int, Needs]) -> Iterator[Step]:
    for release, services in goal.running.items():
        missing = [Start(release, *item) for item in services.items() if not observed.runs(release, *item)]
        yield from missing
        if missing:
            yield Verify(release, _of(needs, release).start_s)


def _stops(goal: Layout, observed: Layout) -> Iterator[Step]:
    for release, services in observed.running.items():
        wanted = goal.running.get(release, {})
        yield from (Stop(release, service) for service in services if service not in wanted)


def _has_traffic(goal: Layout, observed: Layout) -> bool:
    """Whether the shares are right; where nothing is shared out, whoever leads has all of it."""
    if observed.front and not observed.shares and len(goal.front) == len(observed.front) == 1:
        return observed.front == goal.front
    return same_shares(goal.shares, observed.shares)


def _watch(rollout: Rollout, new: int, old: int) -> Hold:
    return Hold(
        new, old, judged=False, conclusive=False, min_s=rollout.watch, min_requests=0, deadline_s=rollout.deadline
    )


def _judge(rollout: Rollout, new: int, old: int, *, conclusive: bool) -> Hold:
    return Hold(
        new,
        old,
        judged=True,
        conclusive=conclusive,
        min_s=rollout.min_time,
        min_requests=rollout.min_requests,
        deadline_s=rollout.deadline,
        settle_s=rollout.settles_s,
    )


def _of(needs: Mapping[int, Needs], release: int) -> Needs:
    return needs.get(release, Needs())
