"""What is decided while a new release gets traffic."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.deploy.counts import Arms, Counts, Tally, Watched
from shipway.deploy.rollout import LOOK_EVERY_S, Look, Next, Watch, decide, fails_outright
from shipway.deploy.steps import Drain, Hold, Shift
from shipway.deploy.verdict import Outcome, Verdict
from shipway.errors import LeaseLostError, RolledBackError, TrafficError
from shipway.testing.fake_clock import FakeClock
from shipway.testing.fake_target import FakeTraffic, World
from tests.deploy.conftest import judged

GOOD = {"availability": Arms(Tally(200, 0), Tally(200, 0))}
WATCH = Hold(5, 4, judged=False, conclusive=False, min_s=10, min_requests=0, deadline_s=3600)
JUDGE = Hold(5, 4, judged=True, conclusive=False, min_s=60, min_requests=100, deadline_s=3600)
LAST = Hold(5, 4, judged=True, conclusive=True, min_s=60, min_requests=100, deadline_s=3600)
PROMOTE, ROLL_BACK, UNKNOWN = Outcome.PROMOTE, Outcome.ROLL_BACK, Outcome.NOT_ENOUGH_EVIDENCE


def _verdict(outcome: Outcome | None) -> Verdict | None:
    return None if outcome is None else judged(outcome)(Counts(), 0.0)


@pytest.mark.parametrize(
    ("step", "outcome", "elapsed_s", "rollout_s", "requests", "expected"),
    [
        (WATCH, None, 9.9, 9.9, 0, Next.WAIT),
        (WATCH, None, 10, 9999, 0, Next.GO_ON),
        (JUDGE, UNKNOWN, 61, 61, 200, Next.GO_ON),
        (JUDGE, UNKNOWN, 59, 59, 200, Next.WAIT),
        (JUDGE, UNKNOWN, 61, 61, 99, Next.WAIT),
        (JUDGE, PROMOTE, 59, 59, 200, Next.WAIT),
        (JUDGE, ROLL_BACK, 0, 0, 0, Next.ROLL_BACK),
        (JUDGE, UNKNOWN, 61, 3600, 99, Next.ROLL_BACK),
        (JUDGE, UNKNOWN, 61, 3600, 200, Next.ROLL_BACK),
        (JUDGE, PROMOTE, 1, 3600, 1, Next.GO_ON),
        (LAST, UNKNOWN, 600, 600, 9000, Next.WAIT),
        (LAST, PROMOTE, 60, 60, 100, Next.GO_ON),
        (LAST, PROMOTE, 60, 60, 99, Next.WAIT),
        (LAST, UNKNOWN, 600, 3600, 9000, Next.ROLL_BACK),
    ],
)
def test_when_a_rollout_goes_on(
    step: Hold, outcome: Outcome | None, elapsed_s: float, rollout_s: float, requests: int, expected: Next
) -> None:
    look = Look(elapsed_s, rollout_s, {"availability": Arms(Tally(requests, 0), Tally(1000, 0))})
    assert decide(step, look, _verdict(outcome))[0] is expected


@pytest.mark.parametrize(
    ("canary", "baseline", "expected"),
    [
        (Tally(0, 10), Tally(190, 0), True),
        (Tally(0, 9), Tally(190, 0), False),  # a restart of something may well cost so many
        (Tally(10, 10), Tally(190, 0), True),
        (Tally(11, 10), Tally(190, 0), False),  # for the verdict to judge
        (Tally(0, 100), Tally(50, 50), False),  # an incident of both
        (Tally(0, 100), Tally(), True),  # nothing to compare with
    ],
)
def test_what_fails_outright(canary: Tally, baseline: Tally, expected: bool) -> None:
    assert fails_outright(Arms(canary, baseline)) is expected


@given(st.sampled_from([WATCH, JUDGE, LAST]), st.sampled_from([PROMOTE, UNKNOWN, ROLL_BACK]), st.floats(0, 1e5))
def test_a_judged_hold_never_outlives_its_deadline(step: Hold, outcome: Outcome, elapsed_s: float) -> None:
    late = decide(step, Look(elapsed_s, step.deadline_s + elapsed_s, GOOD), _verdict(outcome if step.judged else None))
    assert late[0] is not Next.WAIT or (not step.judged and elapsed_s < step.min_s)


def _forget(watched: Watched) -> None:
    """Keeps nothing."""


class Scene:
    """A watch over a world, whose lease is confirmed each time."""

    def __init__(self, outcome: Outcome = UNKNOWN) -> None:
        self.world = World(front=(4, 5), shares={4: 0.5, 5: 0.5})
        self.time = FakeClock()
        self.said: list[str] = []
        self.confirmed = 0
        traffic = FakeTraffic(self.world)
        self.watch = Watch(
            lambda: traffic, lambda release: judged(outcome), self.time.clock, self._confirm, self.said.append, _forget
        )

    def _confirm(self) -> None:
        self.confirmed += 1


def test_a_hold_lasts_as_long_as_it_says() -> None:
    scene = Scene()
    began_s = scene.time.now_s
    scene.watch.hold(WATCH)
    assert 10 <= scene.time.now_s - began_s < 10 + 2 * LOOK_EVERY_S
    assert scene.confirmed > 40


def test_a_gateway_that_does_not_answer_for_a_while_ends_nothing() -> None:
    scene = Scene()
    scene.world.unreachable = True
    scene.watch.hold(WATCH)
    assert scene.said == ["the gateway does not answer"]


def test_traffic_is_shifted_once_the_gateway_answers_again() -> None:
    scene = Scene()
    scene.world.unreachable = True
    scene.time.clock = replace(scene.time.clock, sleep=lambda seconds: setattr(scene.world, "unreachable", False))
    traffic = FakeTraffic(scene.world)
    watch = Watch(
        lambda: traffic, lambda release: judged(UNKNOWN), scene.time.clock, lambda: None, scene.said.append, _forget
    )
    watch.shift(Shift({5: 1.0}))
    assert (scene.world.shares, scene.said) == ({5: 1.0}, ["the gateway does not answer"])


def test_a_gateway_that_never_answers_is_an_error_after_a_while() -> None:
    scene = Scene()
    scene.world.unreachable = True
    with pytest.raises(TrafficError):
        scene.watch.shift(Shift({5: 1.0}))
    assert 10 <= scene.time.now_s - FakeClock().now_s < 12


def test_what_was_counted_before_a_hold_is_not_held_against_it() -> None:
    scene = Scene()
    looks: list[str] = []
    scene.world.moment = looks.append
    scene.watch.shift(Shift({4: 0.5, 5: 0.5}))
    looks.clear()
    scene.watch.hold(WATCH)
    assert looks[:2] == ["while looking", "while looking"]


def test_a_lost_lease_ends_a_hold() -> None:
    scene = Scene()

    def lost() -> None:
        raise LeaseLostError("gone")

    traffic = FakeTraffic(scene.world)
    watch = Watch(lambda: traffic, lambda release: judged(UNKNOWN), scene.time.clock, lost, scene.said.append, _forget)
    with pytest.raises(LeaseLostError):
        watch.hold(WATCH)
    with pytest.raises(LeaseLostError):
        watch.drain(Drain(4, 30))


def test_a_verdict_is_reached_on_all_steps_of_the_rollout() -> None:
    seen: list[list[float]] = []
    scene = Scene()

    def judge(counts: Counts, elapsed_s: float) -> Verdict:
        seen.append([step.share for step in counts.of("availability")])
        return judged(PROMOTE)(counts, elapsed_s)

    traffic = FakeTraffic(scene.world)
    watch = Watch(lambda: traffic, lambda release: judge, scene.time.clock, lambda: None, scene.said.append, _forget)
    for share in (0.05, 0.5):
        watch.shift(Shift({4: 1 - share, 5: share}))
        watch.hold(JUDGE)
    assert seen[-1] == [0.05, 0.5]


def test_what_ends_soon_after_a_shift_is_no_reason_to_promote() -> None:
    seen: list[list[tuple[float, bool]]] = []
    scene = Scene()

    def judge(counts: Counts, elapsed_s: float) -> Verdict:
        seen.append([(step.share, step.settled) for step in counts.of("availability")])
        return judged(PROMOTE)(counts, elapsed_s)

    traffic = FakeTraffic(scene.world)
    watch = Watch(lambda: traffic, lambda release: judge, scene.time.clock, lambda: None, scene.said.append, _forget)
    for share in (0.5, 0.05):
        watch.shift(Shift({4: 1 - share, 5: share}))
        watch.hold(msgspec.structs.replace(JUDGE, settle_s=15.0))
    assert seen[int(14 / LOOK_EVERY_S)] == [(0.5, False)]
    assert seen[int(30 / LOOK_EVERY_S)] == [(0.5, False), (0.5, True)]
    # The larger of the shares until it has settled, which needs more evidence.
    assert seen[-1] == [(0.5, False), (0.5, True), (0.5, False), (0.05, True)]


def test_evidence_is_kept_and_another_watch_goes_on_from_it() -> None:
    kept: list[Watched] = []
    scene = Scene()
    traffic = FakeTraffic(scene.world)
    ends = iter([lambda: None] * 60)

    def confirm() -> None:
        next(ends, _die)()

    watch = Watch(
        lambda: traffic, lambda release: judged(UNKNOWN), scene.time.clock, confirm, scene.said.append, kept.append
    )
    watch.shift(Shift({4: 0.5, 5: 0.5}))
    with pytest.raises(LeaseLostError):
        watch.hold(JUDGE)
    assert [round(one.elapsed_s) for one in kept] == [5, 10]
    seen: list[tuple[int, float]] = []

    def judge(counts: Counts, elapsed_s: float) -> Verdict:
        seen.append((sum(step.arms.canary.total for step in counts.of("availability")), elapsed_s))
        return judged(ROLL_BACK)(counts, elapsed_s)

    other = Watch(lambda: traffic, lambda release: judge, scene.time.clock, lambda: None, scene.said.append, _forget)
    other.at({4: 0.5, 5: 0.5})
    other.go_on(kept[-1])
    with pytest.raises(RolledBackError):
        other.hold(JUDGE)
    (total, elapsed_s), *_ = seen
    assert total == sum(step.arms.canary.total for step in kept[-1].counts.of("availability")) + 500
    assert elapsed_s == pytest.approx(kept[-1].elapsed_s)


def _die() -> None:
    raise LeaseLostError("gone")


def test_why_is_said_once_while_it_waits_and_at_the_end() -> None:
    scene = Scene(UNKNOWN)
    with pytest.raises(RolledBackError, match="v5 is rolled back: no decision by the deadline: so it is"):
        scene.watch.hold(LAST)
    assert scene.said == ["so it is"]


def test_a_drain_ends_when_nothing_is_under_way() -> None:
    scene = Scene()
    scene.watch.drain(Drain(4, 30))
    assert scene.time.now_s - FakeClock().now_s < 1
    assert scene.said == []


def test_a_drain_ends_with_its_budget() -> None:
    scene = Scene()
    scene.world.under_way[4] = 3
    scene.watch.drain(Drain(4, 30))
    assert 30 <= scene.time.now_s - FakeClock().now_s < 31
    assert scene.said == ["the drain budget of v4 has passed; what is left is cut"]


def test_nothing_is_drained_by_a_gateway_that_is_gone() -> None:
    scene = Scene()
    scene.world.unreachable = True
    scene.watch.drain(Drain(4, 600))
    assert 10 <= scene.time.now_s - FakeClock().now_s < 11
    assert scene.said == ["the gateway does not answer"]
