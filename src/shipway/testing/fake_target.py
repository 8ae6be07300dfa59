"""A target for deployments that exists in memory: as real as the rollout can tell, and ready to fail or die anywhere.

A `World` is what outlives a deployer: several `FakeTarget`s, one after the other, may act on the same one. It keeps the
promises of a real target and complains (`Broken`) about steps that would lose requests, so a plan is tested by carrying it out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from shipway.deploy.counts import Arms, Tally
from shipway.deploy.layout import Layout
from shipway.deploy.releases import Image, Images, Release, Rendered, digest_of
from shipway.deploy.steps import Gateway, Install, Remove, Start, Stop, TargetStep, Verify
from shipway.deploy.targets import Capabilities, Say, Surroundings
from shipway.errors import NotReadyError, TrafficError
from shipway.secret import Secret

EVERYTHING = Capabilities(frozenset({"name", "services", "providers", "models", "limits", "gateway"}))


class Broken(AssertionError):
    """A step that a real target would have lost requests by."""


@dataclass
class World:
    """What there is, and what is to go wrong.

    Attributes:
        sick: Releases that never become healthy.
        bad: For each release the part of its answers that is bad.
        bad_by: The same for objectives beside availability, by their names.
        requests_per_look: How many requests come between two looks at the counts.
        moment: Called with the name of each moment at which a deployer could die: before and after every effect.
    """

    gateway: str | None = None
    front: tuple[int, ...] = ()
    running: dict[int, dict[str, int]] = field(default_factory=dict)
    installed: set[int] = field(default_factory=set)
    shares: dict[int, float] = field(default_factory=dict)
    sick: set[int] = field(default_factory=set)
    bad: dict[int, float] = field(default_factory=dict)
    bad_by: dict[str, dict[int, float]] = field(default_factory=dict)
    requests_per_look: int = 1000
    secrets: dict[tuple[str, str], Secret] = field(default_factory=dict)
    under_way: dict[int, int] = field(default_factory=dict)
    built: set[str] = field(default_factory=set)
    unreachable: bool = False
    moment: Callable[[str], None] = lambda name: None

    def layout(self) -> Layout:
        return Layout(
            gateway=self.gateway,
            front=self.front,
            running={number: dict(services) for number, services in sorted(self.running.items()) if services},
            installed=tuple(sorted(self.installed)),
            shares=dict(self.shares),
        )


class FakeTarget:
    """One deployer's hands on a `World`."""

    capabilities: Capabilities = EVERYTHING

    def __init__(self, world: World, surroundings: Surroundings) -> None:
        self.world = world
        self._surroundings = surroundings

    def images(self, *, build: bool, say: Say) -> Images:
        """The image of a service follows from its section of the app file."""
        app = self._surroundings.app
        services = {name: str(service) for name, service in app.services.items() if not service.runs_elsewhere}
        images = {name: self._image(name, content, build) for name, content in services.items()}
        return Images(images, self._image("gateway", "1", build))

    def _image(self, name: str, content: str, build: bool) -> Image:
        digest = digest_of(content)
        if build:
            self.world.built.add(digest)
        return Image(f"{name}:{digest[7:19]}", digest if build or digest in self.world.built else None)

    def render(self, release: Release) -> Rendered:
        services = release.images.services
        files = {f"{name}.txt": f"{name} of {release.name} is {image.reference}\n" for name, image in services.items()}
        return Rendered(files, {name: f"http://{name}-{release.name}:8000" for name in services}, {"host": "0.0.0.0"})  # noqa: S104

    def observe(self) -> Layout:
        return self.world.layout()

    def apply(self, step: TargetStep, say: Say) -> None:
        self.world.moment(f"before {step.describe()}")
        self._apply(step)
        self.world.moment(f"after {step.describe()}")

    def _apply(self, step: TargetStep) -> None:
        world = self.world
        match step:
            case Install():
                for item in self._surroundings.release(step.release).secrets.items():
                    if item not in world.secrets:
                        world.secrets[item] = self._surroundings.secret(*item)
                world.installed.add(step.release)
            case Start():
                self._need(step.release in world.installed, f"{step} without an install")
                world.running.setdefault(step.release, {})[step.service] = step.replicas
            case Verify():
                if step.release in world.sick or not all(world.running.get(step.release, {}).values()):
                    raise NotReadyError(
                        f"v{step.release} is not healthy after {step.within_s:g} s\nlast lines: no luck"
                    )
            case Gateway():
                self._configure(step)
            case Stop():
                self._need(world.shares.get(step.release, 0) == 0, f"{step} while it has traffic")
                self._need(step.release not in world.front, f"{step} while the gateway knows it")
                world.running.get(step.release, {}).pop(step.service, None)
                if not world.running.get(step.release, True):
                    del world.running[step.release]
            case Remove():
                self._need(step.release not in world.running, f"{step} while it runs")
                world.installed.discard(step.release)

    def _configure(self, step: Gateway) -> None:
        world = self.world
        for number in step.front:
            runs = {name for name, count in world.running.get(number, {}).items() if count}
            services = self._surroundings.release(number).images.services
            self._need(set(services) <= runs, f"{step}, but v{number} does not run")
        world.gateway, world.front = step.image, step.front
        known = {number: share for number, share in world.shares.items() if number in step.front}
        whole = sum(known.values()) > 0
        world.shares = known if whole else {step.front[0]: 1.0} if step.front else {}

    def traffic(self) -> "FakeTraffic":
        return FakeTraffic(self.world)

    def _need(self, holds: bool, why: str) -> None:
        if not holds:
            raise Broken(why)


class FakeTraffic:
    """The gateway of a `World`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def shares(self) -> Mapping[int, float]:
        self._ask()
        return dict(self._world.shares)

    def shift(self, shares: Mapping[int, float]) -> None:
        self._ask()
        self._world.moment(f"before shifting to {dict(shares)}")
        if not set(shares) <= set(self._world.front):
            raise Broken(f"traffic for {set(shares)}, but the gateway knows {self._world.front}")
        self._world.shares = {number: share for number, share in shares.items() if share > 0}
        self._world.moment(f"after shifting to {dict(shares)}")

    def counted(self, canary: int, baseline: int) -> Mapping[str, Arms]:
        self._ask()
        self._world.moment("while looking")
        parts = {"availability": self._world.bad, **self._world.bad_by}
        return {name: Arms(self._tally(canary, bad), self._tally(baseline, bad)) for name, bad in parts.items()}

    def in_flight(self, release: int) -> int:
        self._ask()
        return self._world.under_way.get(release, 0)

    def _ask(self) -> None:
        if self._world.unreachable:
            raise TrafficError("the gateway does not answer", "look at its log")

    def _tally(self, release: int, parts: Mapping[int, float]) -> Tally:
        total = round(self._world.requests_per_look * self._world.shares.get(release, 0.0))
        bad = round(total * parts.get(release, 0.0))
        return Tally(total - bad, bad)
