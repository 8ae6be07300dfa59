"""`shipway plan`, `deploy`, `rollback`, `promote`, `resume`, `abort`, `releases` and `diff`, on a target that is fake."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shipway.deploy.targets import TARGETS, Capabilities
from shipway.testing.fake_target import World
from tests.cli import world_on_disk
from tests.cli.conftest import Project, Shipway
from tests.cli.world_on_disk import read_world, write_world

APP = """
name = "shop"

[services.api]
app = "main:app"
health = "/up"
env = { TOKEN = "env:SHOP_TOKEN" }

[environments.staging]
target = "docker"

[environments.prod]
target = "docker"
retain = 2

[environments.prod.services.api]
replicas = 2
"""


@pytest.fixture
def root(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose target `docker` is the fake one."""
    monkeypatch.setitem(TARGETS, "docker", world_on_disk.STRING)
    monkeypatch.setenv("SHOP_TOKEN", "canary-secret")
    root = project({"shipway.toml": APP, "main.py": ""})
    monkeypatch.chdir(root)
    return root


def _edit(root: Path, old: str, new: str) -> None:
    text = (root / "shipway.toml").read_text()
    assert old in text
    (root / "shipway.toml").write_text(text.replace(old, new))


def _quick(root: Path) -> None:
    _edit(root, "retain = 2", 'retain = 2\nrollout = { strategy = "rolling", steps = ["50%"], watch = "10ms" }')


def test_a_plan_shows_what_would_change_and_changes_nothing(shipway: Shipway, root: Path) -> None:
    outcome = shipway("plan", "prod")
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.stdout.splitlines() == [
        "prod: v1 would be deployed (docker, rolling)",
        '  + name = "shop"',
        '  + services.api.app = "main:app"',
        '  + services.api.health.path = "/up"',
        '  + services.api.env.TOKEN = "env:SHOP_TOKEN"',
        "  + services.api.replicas = 2",
        *outcome.stdout.splitlines()[6:8],
        "  + secret env:SHOP_TOKEN = " + outcome.stdout.splitlines()[8].partition(" = ")[2],
        "   1. bring v1 to the target",
        "   2. start api v1 (2 replicas)",
        "   3. verify that v1 is healthy, within 1m",
        "   4. configure the gateway for v1",
        "   5. traffic: v1 100 %",
        "   6. note v1 as the current release",
    ]
    assert not (root / ".shipway").exists()
    assert read_world(root).layout().running == {}


def test_a_detailed_exit_code_tells_whether_there_are_changes(shipway: Shipway, root: Path) -> None:
    assert shipway("plan", "prod", "--detailed-exitcode").code == 3
    shipway("deploy", "prod")
    outcome = shipway("plan", "prod", "--detailed-exitcode")
    assert (outcome.code, outcome.stdout) == (0, "prod: nothing to change, v1 serves\n")


def test_a_plan_is_json_for_programs(shipway: Shipway, root: Path) -> None:
    shipway("deploy", "prod")
    _edit(root, "replicas = 2", "replicas = 3")
    outcome = shipway("plan", "prod", "--json")
    fields = outcome.json
    assert {key: fields[key] for key in ("action", "release", "current", "changed", "lost", "unfinished")} == {
        "action": "deploy",
        "release": "v2",
        "current": "v1",
        "changed": True,
        "lost": [],
        "unfinished": None,
    }
    assert {"what": "services.api.replicas", "before": 2, "after": 3} in fields["changes"]
    assert fields["steps"][0] == {"step": "install", "release": 2, "text": "bring v2 to the target"}


def test_a_deploy_says_each_step_and_what_serves_now(shipway: Shipway, root: Path) -> None:
    outcome = shipway("deploy", "prod")
    assert (outcome.code, outcome.stdout) == (0, "v1 serves in prod\n")
    assert outcome.stderr.splitlines()[1] == "[2/6] start api v1 (2 replicas)"
    assert shipway("deploy", "prod").stdout == "nothing to change: v1 serves in prod\n"
    _quick(root)
    _edit(root, "replicas = 2", "replicas = 3")
    assert shipway("deploy", "prod").stdout == "v2 serves in prod, in place of v1\n"


def test_a_rollback_and_the_list_of_releases(shipway: Shipway, root: Path) -> None:
    _quick(root)
    for replicas in (3, 4, 5):
        shipway("deploy", "prod")
        _edit(root, f"replicas = {replicas - 1}", f"replicas = {replicas}")
    outcome = shipway("rollback", "prod")
    assert (outcome.code, outcome.stdout) == (0, "v2 serves in prod, in place of v3\n")
    listed = shipway("releases", "prod", "--json").json
    assert [(one["release"], one["state"]) for one in listed["releases"]] == [
        ("v3", "kept"),
        ("v2", "current"),
        ("v1", "gone"),
    ]
    assert re.search(r"v2 +current +20\d\d-", shipway("releases", "prod").stdout)
    gone = shipway("rollback", "prod", "v1")
    assert (gone.code, gone.stderr) == (
        2,
        "error: release v1 of prod is not kept any more (kept: v2, v3)\nhint: shipway releases prod\n",
    )


def test_a_fix_that_cannot_wait_gets_all_traffic_at_once(shipway: Shipway, root: Path) -> None:
    _quick(root)
    shipway("deploy", "prod")
    _edit(root, "replicas = 2", "replicas = 3")
    outcome = shipway("deploy", "prod", "--at-once", "--json")
    assert outcome.code == 0
    moves = [step["text"] for step in outcome.json["steps"] if step["step"] in ("shift", "hold")]
    assert moves == ["traffic: v2 100 %", "watch v2 for 10ms"]


def test_what_was_done_is_listed_the_latest_first(shipway: Shipway, root: Path) -> None:
    shipway("deploy", "prod")
    events = shipway("releases", "prod", "--events", "--json").json["events"]
    assert [event["what"] for event in events] == ["deploy: v1", "deploy done: v1"]
    lines = shipway("releases", "prod", "--events").stdout.splitlines()
    assert [line.rpartition("  ")[2] for line in lines] == ["deploy done: v1", "deploy: v1"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("rollback", "prod", "v41"), "error: release v41 is not in environment prod\nhint: shipway releases prod\n"),
        (("rollback", "prod"), "error: prod has no release to go back to\nhint: shipway releases prod\n"),
        (("rollback", "prod", "4"), 'error: expected a release such as v4, found "4"\nhint: shipway releases ENV\n'),
        (
            ("diff", "v1", "v2"),
            "error: no environment has both v1 and v2\nhint: name them: shipway diff v1@ENV v2@ENV\n",
        ),
        (("diff", "v1@prod", "v2"), "error: release v1 is not in environment prod\nhint: shipway releases prod\n"),
        (
            ("promote", "v1", "--from", "staging", "--to", "staging"),
            "error: v1 is in staging already\nhint: shipway rollback staging v1\n",
        ),
        (
            ("promote", "v1", "--from", "staging", "--to", "prod"),
            "error: release v1 is not in environment staging\nhint: shipway releases staging\n",
        ),
        (
            ("deploy", "dev"),
            'error: environment dev runs on "local", to which nothing can be deployed (known: "docker")\n'
            'hint: set target = "docker" in [environments.dev], or: shipway up\n',
        ),
    ],
)
def test_what_cannot_be_asked_for_is_a_usage_error(
    shipway: Shipway, root: Path, arguments: tuple[str, ...], error: str
) -> None:
    outcome = shipway(*arguments)
    assert (outcome.code, outcome.stdout, outcome.stderr) == (2, "", error)


def test_an_unknown_environment_is_said_with_the_likely_one(shipway: Shipway, root: Path) -> None:
    for command in ("plan", "deploy", "releases", "rollback", "resume", "abort"):
        outcome = shipway(command, "prd")
        assert (outcome.code, outcome.stderr) == (
            1,
            'error: shipway.toml:9:1: environments: unknown environment "prd" (did you mean "prod"?)\n'
            'hint: known: "dev", "staging" and "prod"; one more is [environments.prd] with a target, such as "docker"\n',
        )


def test_a_promotion_keeps_the_number_and_differs_by_the_overrides(shipway: Shipway, root: Path) -> None:
    shipway("deploy", "staging")
    write_world(root, World(built=read_world(root).built))  # prod is another place
    outcome = shipway("promote", "v1", "--from", "staging", "--to", "prod")
    assert (outcome.code, outcome.stdout) == (0, "v1 serves in prod\n")
    assert shipway("diff", "v1@staging", "v1@prod").stdout == "+ services.api.replicas = 2\n"


def test_a_missing_secret_stops_a_deploy_before_anything_is_done(
    shipway: Shipway, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHOP_TOKEN")
    outcome = shipway("deploy", "prod")
    assert outcome.code == 1
    assert outcome.stderr == "error: the environment variable SHOP_TOKEN is not set\nhint: export SHOP_TOKEN=…\n"
    assert read_world(root).layout().installed == ()


def test_a_secret_s_value_is_nowhere(shipway: Shipway, root: Path) -> None:
    said = [shipway("deploy", "prod"), shipway("plan", "prod", "--json"), shipway("releases", "prod", "--json")]
    assert not any("canary-secret" in outcome.stdout + outcome.stderr for outcome in said)
    state = [file.read_bytes() for file in (root / ".shipway").rglob("*") if file.is_file()]
    assert state
    assert not any(b"canary-secret" in data for data in state)


def test_a_changed_secret_is_a_new_release(shipway: Shipway, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipway("deploy", "prod")
    monkeypatch.setenv("SHOP_TOKEN", "another")
    changes = shipway("plan", "prod", "--json").json["changes"]
    assert [change["what"] for change in changes] == ["secret env:SHOP_TOKEN"]


def test_a_release_that_is_not_healthy_fails_and_is_taken_back(shipway: Shipway, root: Path) -> None:
    world = read_world(root)
    world.sick.add(1)
    write_world(root, world)
    outcome = shipway("deploy", "prod")
    assert outcome.code == 1
    assert outcome.stderr.endswith(
        "error: v1 is not healthy after 60 s\nlast lines: no luck\nprod is as it was before: nothing is deployed\n"
    )
    assert shipway("resume", "prod").stdout == "nothing to resume: nothing is deployed to prod\n"


def test_settings_that_the_target_cannot_honour_are_an_error_unless_accepted(
    shipway: Shipway, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = world_on_disk.TargetOnDisk.capabilities.honours - {"services"}
    some = Capabilities(
        everything | {"services.*.app", "services.*.health", "services.*.env"},
        {"services.*.replicas": "it has one place"},
    )
    monkeypatch.setattr(world_on_disk.TargetOnDisk, "capabilities", some)
    outcome = shipway("plan", "prod")
    assert (outcome.code, outcome.stderr) == (
        1,
        "error: the target docker cannot honour services.api.replicas: it has one place\n"
        'hint: if it may be lost: accept_loss = ["services.api.replicas"] in [environments.prod]\n',
    )
    _edit(root, "retain = 2", 'retain = 2\naccept_loss = ["services.*.replicas"]')
    outcome = shipway("plan", "prod")
    assert outcome.code == 0
    assert "  lost there, as the app file accepts: services.api.replicas\n" in outcome.stdout


def test_damaged_state_is_said_with_its_file(shipway: Shipway, root: Path) -> None:
    shipway("deploy", "prod")
    file = root / ".shipway/deploy/shop/environments/prod/standing"
    file.write_bytes(file.read_bytes() + b" ")
    for command in ("plan", "deploy", "releases", "rollback"):
        outcome = shipway(command, "prod")
        assert (outcome.code, outcome.stdout) == (1, "")
        assert (
            f"error: {file} is damaged: its checksum does not match what is in it\nhint: bring it back"
            in outcome.stderr
        )


def test_state_of_a_later_shipway_is_refused(shipway: Shipway, root: Path) -> None:
    shipway("deploy", "prod")
    file = root / ".shipway/deploy/shop/environments/prod/lease"
    file.write_bytes(b"shipway-state 9" + file.read_bytes()[15:])
    outcome = shipway("deploy", "prod", "--json")
    assert (outcome.code, outcome.json["error"]["code"]) == (1, "newer-state")
    assert outcome.json["error"]["hint"] == "pip install --upgrade shipway"


def test_the_guide_shows_the_steps_of_a_canary_as_they_are(shipway: Shipway, root: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/deploy.md").read_text()
    app_file, steps = (re.findall(rf"```{kind}\n(.*?)```", guide, re.DOTALL)[0] for kind in ("toml", "text"))
    (root / "shipway.toml").write_text(app_file.replace("SEARCH_KEY", "SHOP_TOKEN"))
    shipway("deploy", "prod")
    _edit(root, "replicas = 2", "replicas = 3")
    planned = shipway("plan", "prod").stdout.splitlines()
    assert [line for line in planned if re.match(r" +\d+\. ", line)] == steps.splitlines()


# -- real processes


def _start(root: Path, step_s: float, *arguments: str) -> "subprocess.Popen[str]":
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(Path(world_on_disk.__file__)), str(step_s), *arguments]
    return subprocess.Popen(command, cwd=root, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _until_it_starts_the_service(process: "subprocess.Popen[str]") -> None:
    assert process.stderr is not None
    while not (line := process.stderr.readline()).startswith("[2/"):
        assert line, "it ended before"


def test_of_two_deployers_one_is_told_who_the_other_is(shipway: Shipway, root: Path) -> None:
    first = _start(root, 3.0, "deploy", "prod")
    _until_it_starts_the_service(first)
    assert re.search(r"by \S+ \(process \d+\), is at step 2 of 6: start api", shipway("plan", "prod").stderr)
    outcome = shipway("deploy", "prod")
    assert outcome.code == 1
    assert re.fullmatch(
        rf"error: prod is being changed by \S+ \(process {first.pid}\), since 20\d\d-\S+Z \(\d+ s ago\)\n"
        r"hint: wait for it; if it is gone for good its lease ends in \d+ s, or now by: shipway resume prod --take-over\n",
        outcome.stderr,
    )
    assert first.communicate(timeout=30)[0] == "v1 serves in prod\n"
    assert first.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_deployer_that_is_ended_frees_the_environment_and_the_next_one_goes_on(
    shipway: Shipway, root: Path, number: signal.Signals
) -> None:
    first = _start(root, 30.0, "deploy", "prod")
    _until_it_starts_the_service(first)
    first.send_signal(number)
    _, said = first.communicate(timeout=30)
    assert first.returncode == (143 if number is signal.SIGTERM else 130)
    assert said.endswith("hint: interrupted; if something was begun: shipway resume prod, or: shipway abort prod\n")
    outcome = shipway("deploy", "prod")
    assert outcome.code == 1
    assert re.fullmatch(
        r"error: in prod, the deploy of v1, begun 20\S+Z by \S+ \(process \d+\), stopped at step 2 of 6: start api v1 \(2 "
        r"replicas\)\nhint: shipway resume prod, or: shipway abort prod\n",
        outcome.stderr,
    )
    plan = shipway("plan", "prod")
    assert plan.code == 0
    assert re.search(r"warning: in prod, the deploy of v1.* stopped at step 2 of 6", plan.stderr)
    outcome = shipway("resume", "prod")
    assert (outcome.code, outcome.stdout) == (0, "v1 serves in prod\n")


def test_a_deployer_that_is_killed_leaves_what_can_be_aborted(shipway: Shipway, root: Path) -> None:
    first = _start(root, 30.0, "deploy", "prod")
    _until_it_starts_the_service(first)
    first.kill()
    first.communicate(timeout=30)
    held = shipway("abort", "prod")
    assert (held.code, "is being changed by" in held.stderr) == (1, True)
    outcome = shipway("abort", "prod", "--take-over", "--json")
    assert (outcome.code, outcome.json["release"]) == (0, None)
    assert read_world(root).layout().installed == ()
    assert shipway("abort", "prod").stdout == "nothing to abort: nothing is deployed to prod\n"


def test_deployers_that_race_from_the_start_never_do_both(root: Path) -> None:
    processes = [_start(root, 0.3, "deploy", "prod", "--json") for _ in range(3)]
    results = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    codes = [process.returncode for process in processes]
    assert 0 in codes
    refused = [result["error"]["code"] for result, code in zip(results, codes, strict=True) if code]
    assert set(refused) <= {"lease-held"}
    assert read_world(root).layout().running == {1: {"api": 2}}
