"""A real gateway in a process of its own, seen and moved as a rollout does."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import IncompleteRead
from pathlib import Path

import pytest

from shipway.deploy.counts import Arms, Counts, Tally
from shipway.deploy.gateway_admin import AdminAddress, GatewayAdmin, bucket, measures
from shipway.deploy.judging import judge_of
from shipway.deploy.releases import Release
from shipway.deploy.verdict import Outcome
from shipway.errors import TrafficError
from shipway.monitoring import metrics
from shipway.secret import Secret
from shipway.spec.objectives import Objectives, Quality, Within, WithinCost
from shipway.spec.rollout import Rollout
from tests.deploy.real_gateway import TOKEN, Gateway, Model, Service, free_port
from tests.deploy.records import release
from tests.waiting import wait_until

PRICE = {"input": "1 USD/Mtok", "output": "10 USD/Mtok"}
API = {"services": {"api": {"app": "main:app", "public": True}}}


@dataclass(frozen=True)
class Scene:
    """A gateway in front of releases v3 and v4 of one service."""

    gateway: Gateway
    services: dict[int, Service]

    def admin(self, token: str = TOKEN) -> GatewayAdmin:
        objectives = Objectives(latency=Within.parse("95% under 120ms"))
        return self.gateway.admin(lambda number: [self.services[number].authority], objectives, token)

    def ask(self, times: int) -> set[tuple[int, str]]:
        return {self.gateway.ask(f"s{number}") for number in range(times)}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    services = {number: Service(f"v{number}") for number in (3, 4)}
    gateway = Gateway(tmp_path_factory.mktemp("gateway"))
    gateway.configure([release(n, API, {"api": f"http://{one.authority}"}) for n, one in services.items()])
    gateway.start()
    yield Scene(gateway, services)
    gateway.close()
    for service in services.values():
        service.close()


@pytest.fixture
def scene(running: Scene) -> Scene:
    running.admin().shift({3: 1.0})
    return running


def test_traffic_moves_to_where_it_is_shifted(scene: Scene) -> None:
    admin = scene.admin()
    assert admin.shares() == {3: 1.0}
    assert scene.ask(20) == {(200, "v3")}
    admin.shift({3: 0.5, 4: 0.5})
    assert admin.shares() == {3: 0.5, 4: 0.5}
    assert scene.ask(40) == {(200, "v3"), (200, "v4")}
    admin.shift({4: 1.0})
    assert admin.shares() == {4: 1.0}
    assert scene.ask(20) == {(200, "v4")}


def test_counts_are_what_both_releases_were_sent_since_the_last_look(scene: Scene) -> None:
    admin = scene.admin()
    assert admin.counted(4, 3) == {}
    scene.ask(5)
    admin.shift({4: 1.0})
    scene.services[4].status = lambda: 500
    assert scene.ask(3) == {(500, "v4")}
    scene.services[4].status = lambda: 200
    counts = admin.counted(4, 3)
    assert counts["availability"] == Arms(Tally(0, 3), Tally(5, 0))
    assert (counts["latency"].canary.total, counts["latency"].baseline.total) == (3, 5)
    assert admin.counted(4, 3)["availability"] == Arms()


def test_answers_that_break_off_are_counted_against_their_release(scene: Scene) -> None:
    admin = scene.admin()
    admin.counted(4, 3)
    scene.ask(2)
    admin.shift({4: 1.0})
    scene.services[4].breaks_off = True
    try:
        for number in range(3):
            with pytest.raises(IncompleteRead):
                scene.gateway.ask(f"s{number}")
    finally:
        scene.services[4].breaks_off = False
    scene.ask(1)
    assert admin.counted(4, 3)["availability"] == Arms(Tally(1, 3), Tally(2, 0))


def test_money_and_labels_are_counted_for_both_releases_of_a_model(tmp_path: Path) -> None:
    models = {3: Model(output_tokens=10), 4: Model(output_tokens=11)}
    gateway = Gateway(tmp_path)

    def released(number: int) -> Release:
        """The price makes 10 tokens out cost exactly what the objective allows."""
        table = {
            "providers": {"own": {"kind": "openai", "base_url": models[number].base_url}},
            "models": {"chat": {"upstreams": [f"own/m{number}"], "price": PRICE}},
            "objectives": {"cost": "95% under 0.0002 USD", "quality": "90% good"},
        }
        return release(number, table)

    objectives = Objectives(cost=WithinCost.parse("95% under 0.0002 USD"), quality=Quality.parse("90% good"))
    try:
        gateway.configure([released(3), released(4)])
        gateway.start()
        admin = gateway.admin(lambda number: [], objectives)
        admin.shift({3: 0.5, 4: 0.5})
        admin.counted(4, 3)
        answers = [gateway.chat(f"s{at}") for at in range(40)]
        served = {number: sum(name == f"v{number}" for _, name in answers) for number in (3, 4)}
        assert all(gateway.label(one, str(name), "good" if name == "v3" else "bad") for one, name in answers)
        assert not any(gateway.label(one, str(name), "good") for one, name in answers)
        counts = admin.counted(4, 3)
        assert served[3] + served[4] == 40
        assert min(served.values()) > 0
        assert counts["cost"] == counts["quality"] == Arms(Tally(0, served[4]), Tally(served[3], 0))
        assert counts["availability"] == Arms(Tally(served[4], 0), Tally(served[3], 0))
        assert admin.counted(4, 3)["cost"] == Arms()
        verdict = judge_of(objectives, Rollout(strategy="canary"))(Counts().plus(0.5, counts), 10.0)
        assert (verdict.outcome, verdict.objective in ("cost", "quality")) == (Outcome.ROLL_BACK, True)
    finally:
        gateway.close()
        for model in models.values():
            model.close()


def test_what_is_under_way_is_seen_until_it_ends(scene: Scene) -> None:
    admin = scene.admin()
    scene.services[3].slow_s = 0.5
    try:
        asking = threading.Thread(target=scene.gateway.ask, args=("s",))
        asking.start()
        wait_until(lambda: admin.in_flight(3) > 0, 5)
        assert (admin.in_flight(3), admin.in_flight(4)) == (1, 0)
        asking.join()
        assert admin.in_flight(3) == 0
    finally:
        scene.services[3].slow_s = 0.0


def test_a_new_configuration_is_taken_at_once_and_a_broken_one_refused(scene: Scene) -> None:
    scene.admin().reload()
    text = scene.gateway.file.read_text()
    scene.gateway.file.write_text(text + "nonsense = 1\n")
    try:
        with pytest.raises(TrafficError, match='refused POST /v1/reload with status 422: unknown key "nonsense"'):
            scene.admin().reload()
    finally:
        scene.gateway.file.write_text(text)


def test_a_wrong_token_is_said(scene: Scene) -> None:
    with pytest.raises(TrafficError, match="the gateway refuses the admin token"):
        scene.admin("another").shares()


def test_a_gateway_that_is_not_there_is_said() -> None:
    port = free_port()
    admin = GatewayAdmin(
        lambda: AdminAddress("127.0.0.1", port, Secret("x")), lambda: [], lambda number: [], Objectives()
    )
    with pytest.raises(TrafficError, match=rf"admin API at 127.0.0.1:{port} does not answer: .*refused"):
        admin.shares()


def test_objectives_are_counted_in_all_that_is_shared() -> None:
    objectives = Objectives(
        first_token=Within.parse("95% under 800ms"),
        latency=Within.parse("90% under 2s"),
        cost=WithinCost.parse("95% under 0.02 USD"),
        quality=Quality.parse("90% good"),
    )
    found = [(one.objective, one.total.name) for one in measures(["services.api", "models.chat"], objectives)]
    assert found == [
        ("availability", "shipway_requests_total"),
        ("latency", "shipway_service_request_duration_seconds_count"),
        ("availability", "gen_ai_server_request_duration_seconds_count"),
        ("latency", "gen_ai_server_request_duration_seconds_count"),
        ("first_token", "gen_ai_server_time_to_first_token_seconds_count"),
        ("cost", "shipway_cost_objective_total"),
        ("quality", "shipway_quality_labels_total"),
    ]


@pytest.mark.parametrize(("under_s", "bound"), [(0.8, 0.75), (0.75, 0.75), (99.0, 10.0), (0.0001, 0.001)])
def test_a_bound_on_time_is_that_of_the_nearest_bucket_below(under_s: float, bound: float) -> None:
    assert bucket(metrics.FIRST_TOKEN, under_s) == bound
