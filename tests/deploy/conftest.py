"""An environment on the fake target, as one deployer after the other sees it."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from shipway.deploy.archive import Archive
from shipway.deploy.candidate import secret_of_version, version_key
from shipway.deploy.counts import Counts
from shipway.deploy.rollout import Judge
from shipway.deploy.site import Site
from shipway.deploy.state import Store
from shipway.deploy.targets import Surroundings
from shipway.deploy.verdict import Outcome, Verdict
from shipway.errors import SecretError
from shipway.secret import Secret
from shipway.spec.app import App
from shipway.spec.load import load_app, tables
from shipway.testing.fake_clock import FakeClock
from shipway.testing.fake_target import FakeTarget, World
from shipway.testing.memory_store import MemoryStore

APP = """
name = "shop"

[services.api]
app = "main:app"
health = "/up"
replicas = 2

[services.web]
command = ["node", "server.js"]
routes = ["/web"]
health = "/up"

[environments.staging]
target = "docker"

[environments.prod]
target = "docker"
retain = 3
rollout = "STRATEGY"
"""


def judged(outcome: Outcome, why: str = "so it is") -> Judge:
    """A judge that always says the same."""

    def judge(counts: Counts, elapsed_s: float) -> Verdict:
        return Verdict(outcome, (why,), 0.0, None, deadline_passed=False, findings=())

    return judge


@dataclass
class Stage:
    """What outlives a deployer: the world, the state, the app file, the time."""

    root: Path
    world: World = field(default_factory=World)
    store: Store = field(default_factory=MemoryStore)
    time: FakeClock = field(default_factory=FakeClock)
    secrets: dict[str, str] = field(default_factory=dict)
    judge: Judge | None = None

    def write(self, text: str) -> None:
        (self.root / "shipway.toml").write_text(text, encoding="utf-8")

    def change(self, old: str, new: str) -> None:
        """Edit the app file, so that the next deploy has something to do."""
        text = (self.root / "shipway.toml").read_text(encoding="utf-8")
        assert old in text
        self.write(text.replace(old, new))

    def site(self, environment: str = "prod", by: str = "ann") -> Site:
        """A deployer, who has just come."""
        app, source = _read((self.root / "shipway.toml").read_text(), self.root, environment)
        archive = Archive(self.store, app.name)
        versioned = secret_of_version(
            self._secret, lambda: version_key(self.store, archive.folder(environment), make=False)
        )
        around = Surroundings(app, lambda number: archive.get(number, environment), versioned, self._secret)
        return Site(
            app=app,
            source=source,
            store=self.store,
            target=FakeTarget(self.world, around),
            secret=self._secret,
            weights=lambda app: {},
            by=by,
            clock=self.time.clock,
            judge=self.judge,
            in_background=False,
        )

    def _secret(self, reference: str) -> Secret:
        try:
            return Secret(self.secrets[reference])
        except KeyError:
            raise SecretError(f"{reference} is not set") from None


@functools.lru_cache(64)
def _read(text: str, root: Path, environment: str) -> tuple[App, dict[str, Any]]:
    return load_app(root, environment), tables(root)[0]


MakeStage = Callable[..., Stage]


@pytest.fixture
def make_stage(tmp_path: Path) -> MakeStage:
    """Makes stages, each in a folder of its own, with an app of two services and a strategy."""
    made: list[Stage] = []

    def make(strategy: str = "rolling", text: str = APP, secrets: Mapping[str, str] | None = None) -> Stage:
        root = tmp_path / str(len(made))
        root.mkdir()
        stage = Stage(root, secrets=dict(secrets or {}))
        stage.write(text.replace("STRATEGY", strategy))
        made.append(stage)
        return stage

    return make
