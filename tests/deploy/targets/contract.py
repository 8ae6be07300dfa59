"""What every target keeps to: inherit, give a `scene`, and pytest collects the rest.

A real engine takes seconds for each of these, so they are few and each goes a whole way.
"""

from dataclasses import dataclass

import pytest

from shipway.deploy.layout import Layout, same_shares
from shipway.deploy.releases import Release
from shipway.deploy.steps import Gateway, Install, Remove, Start, Stop, TargetStep, Verify
from shipway.deploy.targets import Target
from shipway.errors import NotReadyError


@dataclass(frozen=True)
class Scene:
    """A target where nothing is yet.

    Attributes:
        releases: Of one service, `api`: v1 and v2 are good, v3 never becomes healthy. They have records and images.
    """

    target: Target
    releases: dict[int, Release]

    def apply(self, *steps: TargetStep) -> Layout:
        """Do each step twice, as a crash would have it, and look."""
        for step in steps:
            for _ in range(2):
                self.target.apply(step, lambda text: None)
        return self.target.observe()

    @property
    def gateway(self) -> str:
        image = self.releases[1].images.gateway
        assert image.digest is not None
        return image.digest


class TargetContract:
    """Tests of one kind of target."""

    def test_nothing_is_there_before_the_first_step(self, scene: Scene) -> None:
        assert scene.target.observe() == Layout()

    def test_what_is_rendered_follows_from_the_release(self, scene: Scene) -> None:
        first, second = (scene.target.render(scene.releases[number]) for number in (1, 2))
        assert first == scene.target.render(scene.releases[1])
        assert first.addresses["api"] != second.addresses["api"]

    def test_an_image_that_has_not_changed_is_the_same_image(self, scene: Scene) -> None:
        built = scene.target.images(build=True, say=lambda text: None)
        assert built.built
        assert scene.target.images(build=True, say=lambda text: None) == built
        assert scene.target.images(build=False, say=lambda text: None) == built

    def test_a_release_comes_and_goes_step_by_step(self, scene: Scene) -> None:
        assert scene.apply(Install(1)) == Layout(installed=(1,))
        assert scene.apply(Start(1, "api", 2), Verify(1, 60)) == Layout(running={1: {"api": 2}}, installed=(1,))
        assert scene.apply(Start(1, "api", 1)).running == {1: {"api": 1}}
        layout = scene.apply(Gateway(scene.gateway, (1,)))
        assert (layout.gateway, layout.front) == (scene.gateway, (1,))
        layout = scene.apply(Gateway(None, ()))
        assert (layout.gateway, layout.front) == (None, ())
        assert scene.apply(Stop(1, "api")) == Layout(installed=(1,))
        assert scene.apply(Remove(1)) == Layout()

    def test_traffic_moves_between_releases_that_stand_side_by_side(self, scene: Scene) -> None:
        for number in (1, 2):
            scene.apply(Install(number), Start(number, "api", 1), Verify(number, 60))
        scene.apply(Gateway(scene.gateway, (1, 2)))
        traffic = scene.target.traffic()
        for shares in ({1: 0.75, 2: 0.25}, {2: 1.0}):
            traffic.shift(shares)
            assert same_shares(dict(traffic.shares()), shares)
        layout = scene.apply(Gateway(scene.gateway, (2, 1)))
        assert layout.front == (2, 1)
        assert same_shares(dict(traffic.shares()), {2: 1.0})
        assert traffic.in_flight(1) == 0
        layout = scene.apply(Gateway(scene.gateway, (2,)), Stop(1, "api"), Remove(1))
        assert (layout.front, layout.running, layout.installed) == ((2,), {2: {"api": 1}}, (2,))

    def test_a_release_that_is_never_healthy_is_said_with_its_last_words(self, scene: Scene) -> None:
        scene.apply(Install(3), Start(3, "api", 1))
        with pytest.raises(NotReadyError, match=r"v3[\s\S]*\n.+"):
            scene.target.apply(Verify(3, 3.0), lambda text: None)
