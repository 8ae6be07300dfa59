"""The steps between two layouts."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipway.deploy.layout import Layout, same_shares
from shipway.deploy.plan import Needs, answers, is_settled, moves_of, plan
from shipway.deploy.steps import Commit, Drain, Gateway, Hold, Install, Shift, Step, Stop, Verify
from shipway.deploy.targets import Surroundings
from shipway.secret import Secret
from shipway.spec.app import App
from shipway.spec.rollout import Rollout
from shipway.testing.fake_target import FakeTarget, World
from tests.deploy.records import release

SERVICES = ("api", "web")
NUMBERS = (1, 2, 3, 4)
NEEDS = {number: Needs(services=SERVICES) for number in NUMBERS}
RECORDS = {number: release(number, {"services": {name: {"app": "m:a"} for name in SERVICES}}) for number in NUMBERS}


def _layout(front: tuple[int, ...], extra: set[int], running: set[int], gateway: str) -> Layout:
    runs = sorted({*front, *running})
    return Layout(
        gateway=gateway if front else None,
        front=front,
        running={number: dict.fromkeys(SERVICES, 1 + number % 2) for number in runs},
        installed=tuple(sorted({*runs, *extra})),
        shares={front[0]: 1.0} if front else {},
    )


_numbers = st.sets(st.sampled_from(NUMBERS))
_fronts = st.lists(st.sampled_from(NUMBERS), unique=True, max_size=3).map(tuple)
goals = st.builds(_layout, _fronts, _numbers, st.just(set[int]()), st.sampled_from(["g1", "g2"]))


@st.composite
def interrupted(draw: st.DrawFn) -> Layout:
    """Anything that a rollout which was killed may leave, or that became of it since."""
    layout = draw(st.builds(_layout, _fronts, _numbers, _numbers, st.sampled_from(["g1", "g2"])))
    shares = dict(layout.shares)
    if len(layout.front) > 1 and draw(st.booleans()):
        shares = {layout.front[0]: 0.75, layout.front[1]: 0.25}
    running = {
        number: {name: draw(st.sampled_from([0, 1, count])) for name, count in services.items()}
        for number, services in layout.running.items()
    }
    return Layout(layout.gateway, layout.front, running, layout.installed, shares)


def _world(layout: Layout) -> World:
    running = {number: {k: v for k, v in services.items() if v} for number, services in layout.running.items()}
    return World(
        gateway=layout.gateway,
        front=layout.front,
        running={number: services for number, services in running.items() if services},
        installed=set(layout.installed),
        shares=dict(layout.shares),
    )


def _carried_out(world: World, steps: tuple[Step, ...]) -> None:
    """By the fake target, which raises `Broken` for what would lose requests."""
    app = App(name="shop", root=Path("/"))
    target = FakeTarget(world, Surroundings(app, RECORDS.__getitem__, lambda reference, version: Secret(""), Secret))
    for step in steps:
        if isinstance(step, Shift):
            target.traffic().shift(step.shares)
        elif not isinstance(step, Hold | Drain | Commit):
            target.apply(step, lambda text: None)


@settings(max_examples=300)
@given(observed=interrupted(), goal=goals)
def test_the_steps_lead_from_anywhere_to_the_goal_without_losing_a_request(observed: Layout, goal: Layout) -> None:
    world = _world(observed)
    _carried_out(world, plan(goal, observed, needs=NEEDS))
    assert world.layout() == goal


@given(observed=interrupted(), goal=goals)
def test_every_step_can_be_done_twice(observed: Layout, goal: Layout) -> None:
    world = _world(observed)
    for step in plan(goal, observed, needs=NEEDS):
        _carried_out(world, (step,))
        once = world.layout()
        _carried_out(world, (step,))
        assert world.layout() == once


@given(goal=goals)
def test_there_is_nothing_to_do_where_all_is_so_already(goal: Layout) -> None:
    assert is_settled(plan(goal, goal))


@given(observed=interrupted(), goal=goals)
def test_what_serves_is_not_stopped_before_others_are_verified_and_it_is_drained(
    observed: Layout, goal: Layout
) -> None:
    steps = plan(goal, observed, needs=NEEDS)
    for index, step in enumerate(steps):
        if isinstance(step, Stop) and step.release in observed.front and goal.front:
            earlier = steps[:index]
            drained = any(isinstance(one, Drain) and one.release == step.release for one in earlier)
            assert drained or step.release in goal.front or not answers(step.release, observed, NEEDS)
            assert not any(isinstance(one, Verify | Install | Shift) for one in steps[index:])


def test_a_new_image_of_the_gateway_comes_before_a_configuration_that_may_need_it() -> None:
    before, goal = _layout((1,), set(), set(), "g1"), _layout((2,), {1}, set(), "g2")
    gateways = [step for step in plan(goal, before) if isinstance(step, Gateway)]
    assert gateways == [Gateway("g2", (1, 2)), Gateway("g2", (2, 1)), Gateway("g2", (2,))]


def test_a_return_moves_traffic_before_the_gateway_changes_itself() -> None:
    before, goal = _layout((2,), {1}, set(), "g2"), _layout((1,), {2}, set(), "g1")
    steps = [step for step in plan(goal, before) if isinstance(step, Gateway | Shift)]
    assert steps == [
        Gateway("g2", (2, 1)),
        Shift({1: 1.0}),
        Gateway("g1", (1, 2)),
        Gateway("g1", (1,)),
    ]


def test_a_return_to_what_stands_by_begins_with_the_traffic() -> None:
    before = _layout((2, 1), set(), set(), "g2")
    goal = _layout((1,), {2}, set(), "g1")
    steps = [step for step in plan(goal, before) if isinstance(step, Gateway | Shift)]
    assert steps == [Shift({1: 1.0}), Gateway("g1", (1, 2)), Gateway("g1", (1,))]


def test_a_gateway_that_does_not_run_is_made_as_it_is_to_be() -> None:
    before = msgspec.structs.replace(_layout((2,), {1}, set(), "g2"), gateway=None)
    steps = plan(_layout((1,), {2}, set(), "g1"), before)
    assert [step.image for step in steps if isinstance(step, Gateway)] == ["g1", "g1", "g1"]


def test_what_belongs_to_no_release_is_brought_to_the_gateway_by_the_next_deploy() -> None:
    layout = _layout((2,), {1}, set(), "g")
    stale = msgspec.structs.replace(layout, is_stale=True)
    assert plan(layout, stale) == (Gateway("g", (2,)), Commit(2, (1, 2)))


def test_budgets_are_those_of_the_release_that_they_are_for() -> None:
    before, goal = _layout((1,), set(), set(), "g"), _layout((2,), {1}, set(), "g")
    steps = plan(goal, before, needs={1: Needs(drain_s=7.0), 2: Needs(start_s=9.0)})
    assert Verify(2, 9.0) in steps
    assert Drain(1, 7.0) in steps


def test_removing_everything_begins_with_the_gateway() -> None:
    steps = plan(Layout(), _layout((2,), {1}, set(), "g"))
    assert steps[0] == Gateway(None, ())
    assert steps[1] == Commit(None, ())


@pytest.mark.parametrize("strategy", ["rolling", "blue_green", "canary"])
def test_every_strategy_ends_with_all_traffic_on_the_new_release(strategy: Any) -> None:
    moves = moves_of(Rollout(strategy=strategy), new=5, old=4)
    shifts = [step.shares for step in moves if isinstance(step, Shift)]
    assert shifts[-1] == {5: 1.0}
    assert all(abs(sum(shares.values()) - 1) < 1e-9 for shares in shifts)
    shares = [one[5] for one in shifts]
    assert shares == sorted(shares)


def test_only_the_last_step_of_a_canary_waits_for_a_verdict() -> None:
    holds = [step for step in moves_of(Rollout(strategy="canary"), 5, 4) if isinstance(step, Hold)]
    assert [(hold.judged, hold.conclusive) for hold in holds] == [
        (True, False),
        (True, False),
        (True, True),
        (False, False),
    ]


@given(st.dictionaries(st.integers(1, 5), st.floats(0, 1), max_size=3))
def test_shares_are_the_same_up_to_what_floats_lose(shares: dict[int, float]) -> None:
    assert same_shares(shares, {number: share + 1e-9 for number, share in shares.items()})
    assert not same_shares(shares, {**shares, 9: 0.1})
