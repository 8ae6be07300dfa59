"""From objectives to the rules of a verdict."""

from shipway.deploy.findings import Objective
from shipway.deploy.judging import declaration
from shipway.deploy.verdict import Declaration
from shipway.spec.objectives import Objectives, Quality, Within, WithinCost
from shipway.spec.rollout import Rollout


def test_each_objective_has_its_limit() -> None:
    objectives = Objectives(
        availability=0.995,
        first_token=Within.parse("95% under 800ms"),
        latency=Within.parse("99% under 2s"),
        cost=WithinCost.parse("97% under 0.02 USD"),
        quality=Quality.parse("90% at least 0.7"),
    )
    rollout = Rollout(strategy="canary", min_requests=50, deadline=120.0, together=20, on_deadline="promote")
    assert declaration(objectives, rollout) == Declaration(
        objectives=(
            Objective("availability", max_bad_rate=0.005, together=20, guarded=True),
            Objective("first_token", max_bad_rate=0.05, tolerated_ratio=1.2, together=20),
            Objective("latency", max_bad_rate=0.01, tolerated_ratio=1.2, together=20),
            Objective("cost", max_bad_rate=0.03, tolerated_ratio=1.2, together=20),
            Objective("quality", max_bad_rate=0.1, max_ratio=None, together=20),
        ),
        minimum_requests=50,
        deadline_s=120.0,
        at_deadline="promote",
    )


def test_what_only_models_have_is_not_asked_of_services() -> None:
    objectives = Objectives(
        first_token=Within.parse("95% under 800ms"),
        latency=Within.parse("99% under 2s"),
        cost=WithinCost.parse("97% under 0.02 USD"),
        quality=Quality.parse("90% good"),
    )

    def judged(*shared: str) -> list[str]:
        return [one.name for one in declaration(objectives, Rollout(strategy="canary"), shared).objectives]

    assert judged("services.api") == ["availability", "latency", "quality"]
    assert judged("services.api", "models.chat") == ["availability", "first_token", "latency", "cost", "quality"]


def test_without_objectives_availability_is_judged_and_a_deadline_rolls_back() -> None:
    rules = declaration(Objectives(), Rollout(strategy="canary"))
    assert [one.name for one in rules.objectives] == ["availability"]
    assert rules.at_deadline == "roll_back"
