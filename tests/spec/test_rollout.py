"""What an environment says about its rollouts, and what counts as good."""

from collections.abc import Callable

import pytest

from shipway.spec.app import App
from shipway.spec.environments import Environment
from shipway.spec.objectives import Objectives, Within
from shipway.spec.rollout import Rollout

BASE = 'name = "a"\n[services.api]\napp = "main:app"\n'


def test_a_strategy_may_stand_for_the_table(load: Callable[..., App]) -> None:
    app = load(BASE + '[environments.prod]\ntarget = "docker"\nrollout = "canary"\nretain = 3\n', "prod")
    assert app.settings == Environment(target="docker", rollout=Rollout(strategy="canary"), retain=3)
    assert load(BASE).settings == Environment()


def test_a_canary_is_set_with_units(load: Callable[..., App]) -> None:
    rollout = (
        '{ strategy = "canary", steps = ["1%", "12.5%", "50%"], min_time = "5m", min_requests = 500, deadline = "2h", '
        'on_deadline = "promote", standby = true }'
    )
    assert load(BASE + f"[environments.prod]\nrollout = {rollout}\n", "prod").settings.rollout == Rollout(
        strategy="canary",
        steps=(0.01, 0.125, 0.5),
        min_time=300.0,
        min_requests=500,
        deadline=7200.0,
        on_deadline="promote",
        standby=True,
    )


@pytest.mark.parametrize(
    ("strategy", "standby", "keeps"),
    [("rolling", None, False), ("blue_green", None, True), ("canary", None, False), ("blue_green", False, False)],
)
def test_the_release_before_stands_by_with_blue_green_or_when_asked(
    strategy: str, standby: bool | None, keeps: bool
) -> None:
    assert Rollout.model_validate({"strategy": strategy, "standby": standby}).keeps_standby is keeps


@pytest.mark.parametrize(
    ("settings", "settles_s"),
    [({"min_time": 60.0}, 15.0), ({"min_time": 600.0}, 30.0), ({"min_time": 60.0, "settle": 90.0}, 90.0)],
)
def test_a_canary_settles_for_a_quarter_of_its_step_at_most_half_a_minute(
    settings: dict[str, float], settles_s: float
) -> None:
    assert Rollout.model_validate({"strategy": "canary", **settings}).settles_s == settles_s


def test_objectives_are_shares_and_an_environment_changes_one(load: Callable[..., App]) -> None:
    text = BASE + (
        '[objectives]\navailability = "99.5%"\nfirst_token = "95% under 800ms"\n'
        '[environments.prod.objectives]\nlatency = "99.9% under 2s"\n'
    )
    assert load(text).objectives == Objectives(availability=0.995, first_token=Within(0.95, 0.8))
    assert load(text, "prod").objectives.latency == Within(0.999, 2.0)
    assert str(Within(0.999, 0.25)) == "99.9% under 250ms"


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (
            'rollout = { steps = ["5%", "5%"] }',
            'rollout.steps: expected shares that rise, each below 100%, found "5%" there',
        ),
        ('rollout = "carnary"', 'rollout: expected "rolling", "blue_green" or "canary", found "carnary"'),
        ("rollout = 3", "rollout: expected a string or a table, found a whole number"),
        (
            'rollout.steps = ["50%", "25%"]',
            'rollout.steps: expected shares that rise, each below 100%, found "25%" there',
        ),
        ('rollout.steps = ["100%"]', 'rollout.steps[0]: expected more than 0% and less than 100%, found "100%"'),
        ("rollout.steps = [5]", 'rollout.steps[0]: expected a percentage such as "99.5%", found 5 (write "5%")'),
        ("rollout.steps = []", "rollout.steps: the list is empty: it needs at least one entry"),
        ('rollout.min_time = "5m"', 'rollout: "min_time" has no meaning for the strategy "rolling"'),
        (
            'rollout = { strategy = "blue_green", steps = ["5%"] }',
            'rollout: "steps" has no meaning for the strategy "blue_green"',
        ),
        ('rollout.strateggy = "x"', 'rollout.strateggy: unknown key "strateggy" (did you mean "strategy"?)'),
        ("retain = 0", "retain: expected at least 1, found 0"),
        (
            'accept_loss = ["gpu"]',
            'accept_loss[0]: expected the place of a setting such as "services.*.resources.gpu", found "gpu"',
        ),
        (
            'objectives.availability = "100%"',
            "objectives.availability: expected more than 0% and less than 100%, found",
        ),
        (
            'objectives.latency = "2s"',
            'objectives.latency: expected an objective such as "95% under 800ms", found "2s"',
        ),
        ('objectives.latency = "95% under 2"', "objectives.latency: expected a duration with a unit such as"),
        ('objectives.latency = "0% under 2s"', "objectives.latency: expected more than 0% and less than 100%, found"),
    ],
)
def test_a_mistake_is_said_at_its_place(problems: Callable[..., list[str]], table: str, expected: str) -> None:
    found = problems(BASE + f"[environments.prod]\n{table}\n")
    assert len(found) == 1
    assert found[0].startswith(f"environments.prod.{expected}")
