"""What an environment is to look like once a release serves."""

from pathlib import Path

import pytest

from shipway.deploy.archive import Standing
from shipway.deploy.goal import goal_of, intended, needs_of, replicas_of, retained, standby_of
from shipway.deploy.layout import Layout
from shipway.deploy.plan import Needs
from shipway.spec.app import App
from shipway.spec.environments import Environment
from shipway.spec.health import Health
from shipway.spec.services import Service
from tests.deploy.records import release

SERVICES = {
    "api": Service(app="m:a", replicas=2, drain=90.0, health=Health(path="/up", start=300.0)),
    "web": Service(command=("web",)),
    "archive": Service(url="http://archive:9000"),
}
APP = App(name="shop", services=SERVICES, settings=Environment(retain=2), root=Path("/"))
RECORD = release(5, {"services": {"api": {"app": "m:a"}, "web": {"command": ["web"]}}})
OBSERVED = Layout("sha256:old", (4,), {4: {"api": 1}}, (3, 4), {4: 1.0})


def test_the_release_serves_alone() -> None:
    assert goal_of(RECORD, APP, Standing(4, (3, 4)), OBSERVED, behind=None) == Layout(
        "sha256:gateway", (5,), {5: {"api": 2, "web": 1}}, (4, 5), {5: 1.0}
    )


def test_the_one_before_stands_by_as_it_is() -> None:
    goal = goal_of(RECORD, APP, Standing(4, (3, 4)), OBSERVED, behind=4)
    assert (goal.front, goal.running[4]) == ((5, 4), {"api": 1})


def test_nothing_stands_by_that_is_not_kept() -> None:
    only_one = App(name="shop", services=SERVICES, settings=Environment(retain=1), root=Path("/"))
    goal = goal_of(RECORD, only_one, Standing(4, (3, 4)), OBSERVED, behind=4)
    assert (goal.front, goal.installed) == ((5,), (5,))


def test_a_standby_goes_on_standing_by_when_the_same_release_is_deployed_again() -> None:
    observed = Layout("sha256:gateway", (5, 4), {5: {"api": 2, "web": 1}, 4: {"api": 2}}, (4, 5), {5: 1.0})
    assert standby_of(5, Standing(5, (4, 5)), observed) == 4
    assert goal_of(RECORD, APP, Standing(5, (4, 5)), observed, behind=4) == observed


@pytest.mark.parametrize(
    ("standing", "number", "retain", "expected"),
    [
        (Standing(), 1, 3, (1,)),
        (Standing(3, (1, 2, 3)), 4, 3, (2, 3, 4)),
        (Standing(3, (1, 2, 3)), 4, 1, (4,)),
        (Standing(1, (1, 2, 3)), 4, 2, (1, 4)),  # after a rollback to v1: what serves until now comes first
        (Standing(3, (1, 2, 3)), 2, 3, (1, 2, 3)),
        (Standing(3, (1, 2, 3)), 3, 2, (2, 3)),
    ],
)
def test_what_is_kept(standing: Standing, number: int, retain: int, expected: tuple[int, ...]) -> None:
    assert retained(standing, number, retain) == expected


@pytest.mark.parametrize(
    ("current", "kept", "previous"), [(3, (1, 2, 3), 2), (2, (1, 2, 3), 1), (1, (1, 2, 3), None), (None, (), None)]
)
def test_a_rollback_without_a_name_goes_to_the_one_before(
    current: int | None, kept: tuple[int, ...], previous: int | None
) -> None:
    assert Standing(current, kept).previous == previous


def test_a_release_that_was_left_is_not_gone_back_to_until_it_has_served_again() -> None:
    rolled_back = Standing(4, (2, 3, 4)).moved(3, (2, 3, 4))
    assert (rolled_back.left, rolled_back.previous) == ((4,), 2)
    mended = rolled_back.moved(5, (3, 4, 5))
    assert (mended.left, mended.previous) == ((4,), 3)
    by_name = mended.moved(4, (3, 4, 5))
    assert (by_name.left, by_name.previous) == ((5,), 3)
    assert by_name.moved(4, (3, 4, 5)) == by_name
    assert mended.moved(None, ()) == Standing()


def test_only_services_that_shipway_runs_count() -> None:
    assert replicas_of(APP) == {"api": 2, "web": 1}
    assert needs_of(APP) == Needs(services=("api", "web"), start_s=300.0, drain_s=90.0)


def test_what_is_ill_just_now_was_meant_to_be_well() -> None:
    assert intended(OBSERVED, {4: {"api": 2}}).running == {4: {"api": 2}}
