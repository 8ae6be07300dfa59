"""The fake target keeps the contract that real ones keep."""

from pathlib import Path

import pytest

from shipway.deploy.targets import Surroundings, open_target
from shipway.errors import UsageError
from shipway.secret import Secret
from shipway.spec.app import App
from shipway.spec.services import Service
from shipway.testing.fake_target import FakeTarget, World
from tests.deploy.records import release
from tests.deploy.targets.contract import Scene, TargetContract

APP = App(name="shop", environment="prod", services={"api": Service(app="m:a")}, root=Path("/"))
RECORDS = {number: release(number, {"services": {"api": {"app": "m:a"}}}) for number in (1, 2, 3)}
AROUND = Surroundings(APP, RECORDS.__getitem__, lambda reference, version: Secret(""), Secret)


class TestFakeTarget(TargetContract):
    @pytest.fixture
    def scene(self) -> Scene:
        return Scene(FakeTarget(World(sick={3}), AROUND), RECORDS)


def test_a_target_is_opened_by_its_name() -> None:
    target = open_target("fake", AROUND, {"fake": "tests.deploy.targets.test_fake:make"})
    assert isinstance(target, FakeTarget)


def test_an_unknown_target_is_said_with_the_likely_one() -> None:
    with pytest.raises(
        UsageError, match=r'runs on "dcoker", to which nothing can be deployed \(did you mean "docker"\?\)'
    ):
        open_target("dcoker", AROUND)


def make(surroundings: Surroundings) -> FakeTarget:
    return FakeTarget(World(), surroundings)
