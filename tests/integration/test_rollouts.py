"""Rollouts through the real gateway, under traffic, judged by the real verdict. Only what runs the services is fake."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from shipway.deploy.archive import Archive
from shipway.deploy.gateway_admin import GatewayAdmin
from shipway.deploy.operations import deploy, rollback
from shipway.deploy.releases import Release, Rendered
from shipway.deploy.site import Site
from shipway.deploy.state import DirectoryStore
from shipway.deploy.steps import Gateway as GatewayStep
from shipway.deploy.steps import Start, Stop, TargetStep
from shipway.deploy.targets import Say, Surroundings
from shipway.errors import RolledBackError
from shipway.secret import Secret
from shipway.spec.load import load_app, tables
from shipway.testing.fake_target import FakeTarget, World
from tests.deploy.real_gateway import Gateway, Model, Service

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

APP = """
name = "shop"

[services.api]
app = "main:app"
public = true
drain = "5s"
env = { BAD = "0" }

[environments.prod]
target = "docker"

[environments.prod.rollout]
strategy = "canary"
steps = ["10%", "50%"]
min_time = "1s"
min_requests = 50
deadline = "60s"
watch = "1s"
"""


MONEY_AND_QUALITY = """
[providers.before]
kind = "openai"
base_url = "BEFORE"

[providers.after]
kind = "openai"
base_url = "AFTER"

[models.chat]
upstreams = ["before/m"]
price = { input = "1 USD/Mtok", output = "10 USD/Mtok" }

[objectives]
cost = "95% under 0.0002 USD"
quality = "90% good"
"""
"""100 tokens in and 10 out cost exactly what the objective allows."""


@dataclass
class Place:
    """What outlives a deployer."""

    root: Path
    gateway: Gateway
    world: World = field(default_factory=World)
    services: dict[int, Service] = field(default_factory=dict)
    seen: "Counter[tuple[int, str]]" = field(default_factory=Counter)

    def write(self, bad_percent: int) -> None:
        (self.root / "shipway.toml").write_text(APP.replace('BAD = "0"', f'BAD = "{bad_percent}"'))

    def site(self) -> Site:
        app = load_app(self.root, "prod")
        store = DirectoryStore(self.root / ".state")
        archive = Archive(store, app.name)
        around = Surroundings(
            app, lambda number: archive.get(number, "prod"), lambda reference, version: Secret("x"), Secret
        )
        target = GatewayTarget(self, around)
        return Site(app, tables(self.root)[0], store, target, lambda reference: Secret("x"), lambda app: {}, "ann")


class GatewayTarget(FakeTarget):
    """The fake one, but for the gateway and the services behind it."""

    def __init__(self, place: Place, around: Surroundings) -> None:
        super().__init__(place.world, around)
        self._place = place
        self._around = around
        endpoints = lambda number: [place.services[number].authority] if number in place.services else []  # noqa: E731
        self._admin = place.gateway.admin(endpoints, around.app.objectives)

    def render(self, release: Release) -> Rendered:
        return Rendered(addresses={"api": f"http://api-{release.name}:1"}, gateway={"host": "127.0.0.1"})

    def apply(self, step: TargetStep, say: Say) -> None:
        super().apply(step, say)
        match step:
            case Start(number):
                bad = int(self._around.release(number).resolved["services"]["api"]["env"]["BAD"])
                status = lambda: 500 if random.random() * 100 < bad else 200  # noqa: E731
                self._place.services.setdefault(number, Service(f"v{number}", status))
            case GatewayStep(_, front):
                self._place.gateway.configure([self._located(number) for number in front])
                if not self._place.gateway.runs:
                    self._place.gateway.start()
            case Stop(number):
                self._place.services.pop(number).close()
            case _:
                pass

    def traffic(self) -> GatewayAdmin:  # type: ignore[override]
        return self._admin

    def _located(self, number: int) -> Release:
        release = self._around.release(number)
        address = f"http://{self._place.services[number].authority}"
        return msgspec.structs.replace(
            release, rendered=Rendered(addresses={"api": address}, gateway={"host": "127.0.0.1"})
        )


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path, Gateway(_folder(tmp_path / "gateway")))
    place.write(bad_percent=0)
    yield place
    place.gateway.close()
    for service in place.services.values():
        service.close()


@pytest.fixture
def traffic(place: Place) -> Iterator[None]:
    """Clients without a pause, from the first release on, each request a conversation of its own."""
    deploy(place.site())
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            place.seen[place.gateway.ask(f"{random.random()}")] += 1

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    yield
    ended.set()
    for client in clients:
        client.join()


@pytest.mark.usefixtures("traffic")
def test_a_good_canary_is_promoted_and_a_rollback_returns_without_losing_a_request(place: Place) -> None:
    place.write(bad_percent=0)
    (place.root / "shipway.toml").write_text((place.root / "shipway.toml").read_text().replace('"5s"', '"6s"'))
    deploy(place.site())
    assert place.site().standing.current == 2
    rollback(place.site(), None)
    assert place.gateway.ask("after") == (200, "v1")
    assert {status for status, _ in place.seen} == {200}
    assert place.seen[200, "v2"] > 100


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("bad_percent", [10, 100])
def test_a_bad_canary_is_rolled_back_by_itself(place: Place, bad_percent: int) -> None:
    place.write(bad_percent)
    with pytest.raises(RolledBackError, match="v2 is rolled back: availability"):
        deploy(place.site())
    assert place.gateway.ask("after") == (200, "v1")
    assert (place.site().standing.current, list(place.services)) == (1, [1])
    failed = place.seen[500, "v2"]
    assert {status for status, _ in place.seen} <= {200, 500}
    assert 0 < failed < 200


def _chat_and_label(place: Place, bad_percent: int, ended: threading.Event) -> None:
    """Ask the model and say of each answer whether it was good; of those of v2 so many were not."""
    while not ended.is_set():
        request_id, release = place.gateway.chat(f"{random.random()}")
        if release is None:  # nothing else could have answered
            continue
        bad = release == "v2" and random.random() * 100 < bad_percent
        place.gateway.label(request_id, release, "bad" if bad else "good")


@pytest.mark.parametrize(
    ("output_tokens", "bad_percent", "reason"),
    [(10, 0, None), (11, 0, "cost"), (10, 60, "quality")],
    ids=["as before", "dearer", "worse"],
)
def test_a_canary_with_another_model_is_judged_by_its_cost_and_its_labels(
    place: Place, output_tokens: int, bad_percent: int, reason: str | None
) -> None:
    before, after, ended = Model(10), Model(output_tokens), threading.Event()
    text = APP + MONEY_AND_QUALITY.replace("BEFORE", before.base_url).replace("AFTER", after.base_url)
    (place.root / "shipway.toml").write_text(text)
    deploy(place.site())
    clients = [threading.Thread(target=_chat_and_label, args=(place, bad_percent, ended)) for _ in range(4)]
    try:
        for client in clients:
            client.start()
        (place.root / "shipway.toml").write_text(text.replace('["before/m"]', '["after/m"]'))
        if reason is None:
            deploy(place.site())
        else:
            with pytest.raises(RolledBackError, match=f"v2 is rolled back: {reason}"):
                deploy(place.site())
        assert place.site().standing.current == (2 if reason is None else 1)
    finally:
        ended.set()
        for client in clients:
            client.join()
        before.close()
        after.close()


def _folder(path: Path) -> Path:
    path.mkdir()
    return path
