"""From objectives to the rules of a verdict."""

from shipway.deploy.findings import Objective
from shipway.deploy.judging import declaration
from shipway.deploy.verdict import Declaration
from shipway.spec.objectives import Objectives, parse_within
from shipway.spec.rollout import Rollout


def test_each_objective_has_its_limit() -> None:
    objectives = Objectives(
        availability=0.995, first_token=parse_within("95% under 800ms"), latency=parse_within("99% under 2s")
    )
    rollout = Rollout(strategy="canary", min_requests=50, deadline=120.0, together=20, on_deadline="promote")
    assert declaration(objectives, rollout) == Declaration(
        objectives=(
            Objective("availability", max_bad_rate=0.005, together=20, guarded=True),
            Objective("first_token", max_bad_rate=0.05, tolerated_ratio=1.2, together=20),
            Objective("latency", max_bad_rate=0.01, tolerated_ratio=1.2, together=20),
        ),
        minimum_requests=50,
        deadline_s=120.0,
        at_deadline="promote",
    )


def test_without_objectives_availability_is_judged_and_a_deadline_rolls_back() -> None:
    rules = declaration(Objectives(), Rollout(strategy="canary"))
    assert [one.name for one in rules.objectives] == ["availability"]
    assert rules.at_deadline == "roll_back"
