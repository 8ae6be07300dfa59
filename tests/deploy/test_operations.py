"""Deploy, rollback, promote, resume and abort on the fake target, which complains about steps that lose requests."""

import pytest

from shipway.deploy.archive import Standing
from shipway.deploy.counts import Counts
from shipway.deploy.diff import difference
from shipway.deploy.layout import Layout
from shipway.deploy.operations import abort, deploy, destroying, promote, resume, retained_release, rollback
from shipway.deploy.proposals import propose_deploy
from shipway.deploy.steps import Hold, Shift
from shipway.deploy.verdict import Outcome, Verdict
from shipway.errors import (
    LeaseLostError,
    NewerStateError,
    NotReadyError,
    RolledBackError,
    SecretError,
    UnknownReleaseError,
)
from shipway.testing.fake_target import World
from tests.deploy.conftest import APP, MakeStage, Stage, judged

STRATEGIES = ("rolling", "blue_green", "canary")


def _deployed(stage: Stage, replicas: int) -> int:
    stage.write((stage.root / "shipway.toml").read_text().replace("replicas = 2", f"replicas = {replicas}"))
    return deploy(stage.site()).release.number


def test_the_first_release_serves_once_it_is_healthy(make_stage: MakeStage) -> None:
    stage = make_stage()
    done = deploy(stage.site())
    assert [step.describe() for step in done.steps] == [
        "bring v1 to the target",
        "start api v1 (2 replicas)",
        "start web v1",
        "verify that v1 is healthy, within 1m",
        "configure the gateway for v1",
        "traffic: v1 100 %",
        "note v1 as the current release",
    ]
    assert stage.world.layout() == done.goal
    assert stage.site().standing.current == 1


def test_a_file_that_has_not_changed_is_no_new_release(make_stage: MakeStage) -> None:
    stage = make_stage()
    deploy(stage.site())
    before = stage.world.layout()
    again = deploy(stage.site())
    assert (again.kind, again.is_nothing, again.release.number) == ("repair", True, 1)
    assert stage.world.layout() == before


def test_what_died_is_started_again_by_the_next_deploy(make_stage: MakeStage) -> None:
    stage = make_stage()
    deploy(stage.site())
    whole = stage.world.layout()
    stage.world.running[1]["api"] = 1
    done = deploy(stage.site())
    assert [step.describe() for step in done.steps] == [
        "start api v1 (2 replicas)",
        "verify that v1 is healthy, within 1m",
        "configure the gateway for v1",  # what was made anew may have another address
        "note v1 as the current release",
    ]
    assert stage.world.layout() == whole


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_new_release_takes_over(make_stage: MakeStage, strategy: str) -> None:
    stage = make_stage(strategy)
    stage.judge = judged(Outcome.PROMOTE)
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    done = deploy(stage.site())
    standby = {1: {"api": 2, "web": 1}} if strategy == "blue_green" else {}
    assert stage.world.layout() == done.goal
    assert done.goal == Layout(
        gateway=done.release.images.gateway.digest,
        front=(2, 1) if standby else (2,),
        running={2: {"api": 3, "web": 1}, **standby},
        installed=(1, 2),
        shares={2: 1.0},
    )


def test_a_canary_moves_in_steps_that_are_judged(make_stage: MakeStage) -> None:
    stage = make_stage("canary")
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    steps = propose_deploy(stage.site(), 2, build=False).steps
    assert [step.describe() for step in steps] == [
        "bring v2 to the target",
        "start api v2 (3 replicas)",
        "start web v2",
        "verify that v2 is healthy, within 1m",
        "configure the gateway for v1, v2 beside it",
        "traffic: v1 95 %, v2 5 %",
        "judge v2: at least 1m and 100 requests",
        "traffic: v1 75 %, v2 25 %",
        "judge v2: at least 1m and 100 requests",
        "traffic: v1 50 %, v2 50 %",
        "judge v2 until there is a verdict: at least 1m and 100 requests",
        "traffic: v2 100 %",
        "watch v2 for 10s",
        "verify that v2 is healthy, within 1m",
        "configure the gateway for v2, v1 beside it",
        "note v2 as the current release",
        "drain v1, at most 30s",
        "configure the gateway for v2",
        "stop api v1",
        "stop web v1",
    ]


def test_from_a_release_that_is_dead_traffic_moves_at_once(make_stage: MakeStage) -> None:
    stage = make_stage("canary")
    deploy(stage.site())
    stage.world.running[1] = {"api": 0, "web": 0}
    stage.change("replicas = 2", "replicas = 3")
    traffic = [
        step.describe() for step in propose_deploy(stage.site(), 2, build=False).steps if isinstance(step, Shift)
    ]
    assert traffic == ["traffic: v2 100 %"]


def test_releases_that_share_nothing_need_no_canary(make_stage: MakeStage) -> None:
    text = """
        name = "shop"
        [models.chat]
        upstreams = ["openai/a"]
        [limits.default]
        requests = "60/min"
        [environments.prod]
        target = "docker"
        rollout = "canary"
    """
    stage = make_stage(text=text, secrets={"env:OPENAI_API_KEY": "x"})
    deploy(stage.site())
    stage.change("60/min", "90/min")
    assert not any(isinstance(step, Hold) for step in propose_deploy(stage.site(), 2, build=False).steps)
    stage.change('"openai/a"', '"openai/b"')
    assert any(isinstance(step, Hold) for step in propose_deploy(stage.site(), 2, build=False).steps)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_release_that_never_becomes_healthy_leaves_everything_as_it_was(make_stage: MakeStage, strategy: str) -> None:
    stage = make_stage(strategy)
    deploy(stage.site())
    before = stage.world.layout()
    stage.change("replicas = 2", "replicas = 3")
    stage.world.sick.add(2)
    with pytest.raises(NotReadyError, match="last lines: no luck\nprod is as it was before: v1 serves"):
        deploy(stage.site())
    assert (stage.world.layout(), stage.site().standing.current) == (before, 1)
    assert stage.site().unfinished() is None


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_release_that_fails_outright_is_rolled_back_within_a_second(make_stage: MakeStage, strategy: str) -> None:
    stage = make_stage(strategy)
    stage.judge = judged(Outcome.NOT_ENOUGH_EVIDENCE)
    deploy(stage.site())
    before = stage.world.layout()
    stage.change("replicas = 2", "replicas = 3")
    stage.world.bad[2] = 1.0
    began_s = stage.time.now_s
    with pytest.raises(RolledBackError, match=r"v2 is rolled back: availability: \d+ of \d+ answers are bad"):
        deploy(stage.site())
    assert (stage.world.layout(), stage.site().standing.current) == (before, 1)
    assert stage.time.now_s - began_s < 1.5


def test_an_incident_of_both_releases_is_not_held_against_the_new_one(make_stage: MakeStage) -> None:
    stage = make_stage("rolling")
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    stage.world.bad |= {1: 1.0, 2: 1.0}
    # Once all traffic is with the new one there is nothing to compare with: only the last watch may end it.
    with pytest.raises(RolledBackError):
        deploy(stage.site())
    assert stage.time.now_s > 3 * 10


def test_a_verdict_against_a_canary_returns_all_traffic(make_stage: MakeStage) -> None:
    stage = make_stage("canary")
    deploy(stage.site())
    before = stage.world.layout()
    stage.judge = judged(Outcome.ROLL_BACK, "worse than the baseline")
    stage.change("replicas = 2", "replicas = 3")
    with pytest.raises(RolledBackError, match="v2 is rolled back: worse than the baseline"):
        deploy(stage.site())
    assert stage.world.layout() == before


def test_a_canary_without_a_decision_is_rolled_back_at_its_deadline(make_stage: MakeStage) -> None:
    stage = make_stage("canary")
    stage.judge = judged(Outcome.NOT_ENOUGH_EVIDENCE, "too little traffic")
    stage.world.requests_per_look = 0
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    with pytest.raises(RolledBackError, match="no decision by the deadline: too little traffic"):
        deploy(stage.site())


def test_the_verdict_of_the_app_s_objectives_promotes_a_good_canary(make_stage: MakeStage) -> None:
    stage = make_stage("canary")
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    stage.world.bad |= {1: 0.001, 2: 0.001}
    deploy(stage.site())
    assert stage.site().standing.current == 2


def test_the_verdict_of_the_app_s_objectives_rolls_a_bad_canary_back(make_stage: MakeStage) -> None:
    stage = make_stage("canary")
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    stage.world.bad |= {1: 0.001, 2: 0.1}
    with pytest.raises(RolledBackError, match="worse than the baseline"):
        deploy(stage.site())
    assert stage.site().standing.current == 1


MONEY_AND_QUALITY = """
[models.chat]
upstreams = ["openai/gpt-5-mini"]

[environments.prod.rollout]
strategy = "canary"
min_time = "2s"
deadline = "20s"

[objectives]
cost = "95% under 0.02 USD"
quality = "90% good"
"""


def _with_objectives(make_stage: MakeStage) -> Stage:
    """A canary with another model is next, whose baseline has 2% dear calls and 5% of its labels bad."""
    text = APP.replace('rollout = "STRATEGY"\n', "") + MONEY_AND_QUALITY
    stage = make_stage(text=text, secrets={"env:OPENAI_API_KEY": "sk-1"})
    deploy(stage.site())
    stage.change("openai/gpt-5-mini", "openai/gpt-5")
    stage.world.bad_by = {"cost": {1: 0.02, 2: 0.02}, "quality": {1: 0.05, 2: 0.05}}
    return stage


def test_a_canary_that_costs_as_much_and_is_as_good_is_promoted(make_stage: MakeStage) -> None:
    stage = _with_objectives(make_stage)
    deploy(stage.site())
    assert stage.site().standing.current == 2


@pytest.mark.parametrize("objective", ["cost", "quality"])
@pytest.mark.parametrize("part", [0.15, 0.9], ids=["more", "nearly all"])
def test_a_canary_that_costs_more_or_is_worse_is_rolled_back_for_that(
    make_stage: MakeStage, objective: str, part: float
) -> None:
    stage = _with_objectives(make_stage)
    before = stage.world.layout()
    stage.world.bad_by[objective][2] = part
    with pytest.raises(RolledBackError, match=rf"v2 is rolled back: {objective}: \d+ "):
        deploy(stage.site())
    assert (stage.world.layout(), stage.site().standing.current) == (before, 1)


@pytest.mark.parametrize("objective", ["cost", "quality"])
def test_a_canary_of_which_nothing_is_known_in_an_objective_is_never_promoted(
    make_stage: MakeStage, objective: str
) -> None:
    stage = _with_objectives(make_stage)
    del stage.world.bad_by[objective]
    with pytest.raises(
        RolledBackError, match=f"the deadline of 20 s has passed, .*; {objective}: too little traffic, 0 canary"
    ):
        deploy(stage.site())


def test_a_canary_whose_models_are_as_before_is_not_asked_what_they_cost(make_stage: MakeStage) -> None:
    stage = _with_objectives(make_stage)
    stage.change("openai/gpt-5", "openai/gpt-5-mini")
    stage.change("replicas = 2", "replicas = 3")
    del stage.world.bad_by["cost"]
    deploy(stage.site())
    assert stage.site().standing.current == 2


def test_a_rollback_returns_with_the_configuration_and_builds_nothing(make_stage: MakeStage) -> None:
    stage = make_stage()
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    deploy(stage.site())
    built = set(stage.world.built)
    done = rollback(stage.site(), None)
    assert [step.describe() for step in done.steps] == [
        "start api v1 (2 replicas)",
        "start web v1",
        "verify that v1 is healthy, within 1m",
        "configure the gateway for v2, v1 beside it",
        "traffic: v1 100 %",
        "configure the gateway for v1, v2 beside it",
        "note v1 as the current release",
        "drain v2, at most 30s",
        "configure the gateway for v1",
        "stop api v2",
        "stop web v2",
    ]
    assert stage.world.layout() == done.goal
    assert stage.world.built == built


def test_with_a_standby_a_rollback_begins_by_moving_traffic(make_stage: MakeStage) -> None:
    stage = make_stage("blue_green")
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    deploy(stage.site())
    done = rollback(stage.site(), 1)
    assert done.steps[0].describe() == "traffic: v1 100 %"
    assert stage.world.layout().front == (1,)


def test_only_so_many_releases_are_kept(make_stage: MakeStage) -> None:
    stage = make_stage()
    for replicas in (2, 3, 4, 5):
        text = (stage.root / "shipway.toml").read_text()
        stage.write("\n".join(f"replicas = {replicas}" if "replicas" in line else line for line in text.splitlines()))
        deploy(stage.site())
    assert stage.world.layout().installed == (2, 3, 4)
    with pytest.raises(UnknownReleaseError, match=r"v1 of prod is not kept any more \(kept: v2, v3, v4\)") as error:
        rollback(stage.site(), 1)
    assert error.value.hint == "shipway releases prod"
    with pytest.raises(UnknownReleaseError, match="release v41 is not in environment prod"):
        rollback(stage.site(), 41)


def test_the_first_release_has_nothing_to_go_back_to(make_stage: MakeStage) -> None:
    stage = make_stage()
    deploy(stage.site())
    with pytest.raises(UnknownReleaseError, match="prod has no release to go back to"):
        rollback(stage.site(), None)


def test_a_release_is_promoted_under_its_number_and_only_overrides_differ(make_stage: MakeStage) -> None:
    stage = make_stage()
    stage.write((stage.root / "shipway.toml").read_text() + "[environments.prod.services.api]\nreplicas = 7\n")
    staging = stage.world
    deploy(stage.site("staging"))
    release = retained_release(stage.site("staging"), 1)
    stage.world = World(built=staging.built)
    done = promote(stage.site("prod"), release)
    assert (done.release.number, done.release.promoted_from) == (1, "staging")
    assert done.release.images == release.images
    assert stage.world.layout().running == {1: {"api": 7, "web": 1}}
    assert [str(change) for change in difference(release, done.release)] == ["~ services.api.replicas: 2 -> 7"]


def test_what_never_served_is_not_promoted(make_stage: MakeStage) -> None:
    stage = make_stage()
    stage.world.sick.add(1)
    with pytest.raises(NotReadyError, match="nothing is deployed"):
        deploy(stage.site("staging"))
    with pytest.raises(UnknownReleaseError, match="v1 never served in staging"):
        retained_release(stage.site("staging"), 1)
    assert stage.world.layout() == Layout()


def test_a_new_release_has_its_own_budgets(make_stage: MakeStage) -> None:
    stage = make_stage()
    stage.change('health = "/up"\nreplicas', 'health = { path = "/up", start = "7m" }\ndrain = "9s"\nreplicas')
    steps = [step.describe() for step in deploy(stage.site()).steps]
    assert "verify that v1 is healthy, within 7m" in steps


def test_a_deployer_that_was_taken_over_from_takes_nothing_back(make_stage: MakeStage) -> None:
    stage = make_stage("canary")
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    ends: list[Layout] = []

    def judge(counts: Counts, elapsed_s: float) -> Verdict:
        """Against ann's release, just when bob has taken over."""
        if not ends:
            rollback(stage.site(by="bob"), 1, take_over=True)
            ends.append(stage.world.layout())
        return judged(Outcome.ROLL_BACK)(counts, elapsed_s)

    stage.judge = judge
    with pytest.raises(LeaseLostError, match="somebody else took the rollout in prod over; nothing more was done here"):
        deploy(stage.site(by="ann"))
    assert stage.world.layout() == ends[0]
    assert (stage.site().standing.current, stage.site().unfinished()) == (1, None)


SECRETS = """
name = "shop"
[services.api]
app = "main:app"
env = { TOKEN = "env:TOKEN" }
[environments.prod]
target = "docker"
"""


def test_a_rollback_brings_the_old_value_of_a_secret_along(make_stage: MakeStage) -> None:
    stage = make_stage(text=SECRETS, secrets={"env:TOKEN": "one"})
    deploy(stage.site())
    stage.secrets["env:TOKEN"] = "two"
    deploy(stage.site())
    kept = {version: value.reveal() for (_, version), value in stage.world.secrets.items()}
    stage.secrets.clear()  # whoever rolls back need not have any
    done = rollback(stage.site(), None)
    assert kept[done.release.secrets["env:TOKEN"]] == "one"


def test_another_value_than_the_release_was_made_with_is_not_taken_for_it(make_stage: MakeStage) -> None:
    stage = make_stage(text=SECRETS, secrets={"env:TOKEN": "one"})

    def killed(name: str) -> None:
        raise KeyboardInterrupt

    stage.world.moment = killed
    with pytest.raises(KeyboardInterrupt):
        deploy(stage.site())
    stage.world.moment = lambda name: None
    stage.secrets["env:TOKEN"] = "two"
    with pytest.raises(SecretError, match="env:TOKEN has another value here than the release was made with"):
        resume(stage.site())
    stage.secrets["env:TOKEN"] = "one"
    resume(stage.site())
    assert stage.site().standing.current == 1


def test_releases_whose_images_are_gone_are_not_kept_and_hinder_nothing(make_stage: MakeStage) -> None:
    stage = make_stage()
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    deploy(stage.site())
    stage.world.installed.discard(1)
    stage.change("replicas = 3", "replicas = 4")
    done = deploy(stage.site())
    assert done.steps[0].describe() == "bring v3 to the target"
    assert stage.site().standing == Standing(3, (2, 3))


def test_after_everything_was_removed_a_deploy_begins_anew(make_stage: MakeStage) -> None:
    stage = make_stage()
    deploy(stage.site())
    with destroying(stage.site()):
        stage.world = World()
    assert stage.site().standing == Standing()
    done = deploy(stage.site())
    assert (done.release.number, done.current, stage.world.layout()) == (2, None, done.goal)
    assert list(stage.site().archive.all("prod")) == [1, 2]


@pytest.mark.parametrize("record", ["journal", "standing"])
def test_nothing_is_removed_where_a_later_shipway_is_at_work(make_stage: MakeStage, record: str) -> None:
    stage = make_stage()
    deploy(stage.site())
    key = f"{stage.site().folder}/{record}"
    entry = stage.store.get(key)
    assert entry is not None
    stage.store.put(key, b'{"schema": 2, "value": {}}', entry.version)
    with pytest.raises(NewerStateError), destroying(stage.site()):
        pytest.fail("it began")


def test_there_may_be_nothing_to_resume_or_abort(make_stage: MakeStage) -> None:
    stage = make_stage()
    deploy(stage.site())
    assert (resume(stage.site()), abort(stage.site())) == (None, None)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_release_that_was_removed_by_hand_does_not_hinder_the_next(make_stage: MakeStage, strategy: str) -> None:
    stage = make_stage(strategy)
    deploy(stage.site())
    del stage.world.running[1]
    stage.change("replicas = 2", "replicas = 3")
    done = deploy(stage.site())
    assert stage.world.layout() == done.goal
    assert done.goal.front == (2,)


def test_a_standby_that_died_is_left_out(make_stage: MakeStage) -> None:
    stage = make_stage("blue_green")
    deploy(stage.site())
    stage.change("replicas = 2", "replicas = 3")
    deploy(stage.site())
    del stage.world.running[1]
    done = deploy(stage.site())
    assert (done.kind, stage.world.layout().front) == ("repair", (2,))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_release_that_dies_unnoticed_while_it_is_watched_does_not_replace_the_old_one(
    make_stage: MakeStage, strategy: str
) -> None:
    stage = make_stage(strategy)
    stage.judge = judged(Outcome.PROMOTE)
    deploy(stage.site())
    before = stage.world.layout()
    stage.change("replicas = 2", "replicas = 3")

    def moment(name: str) -> None:
        if name == "while looking":
            stage.world.running[2]["api"] = 0

    stage.world.moment = moment
    with pytest.raises(NotReadyError):
        deploy(stage.site())
    stage.world.moment = lambda name: None
    assert (stage.world.layout(), stage.site().standing.current) == (before, 1)
