"""The fake target for commands: what it made outlives the command, in a file beside the app file.

As a program it runs a command with it: `python world_on_disk.py SECONDS ARGUMENTS…`, where each step takes so long.
"""

import pickle
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from shipway.cli import run
from shipway.deploy.steps import Start, TargetStep
from shipway.deploy.targets import TARGETS, Say, Surroundings
from shipway.testing.fake_target import FakeTarget, FakeTraffic, World

STRING = "tests.cli.world_on_disk:TargetOnDisk"
STEP_S = 0.0


class TargetOnDisk(FakeTarget):
    """Reads the world when it is made, and keeps it after each change."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._file = surroundings.root / "world.pickle"
        super().__init__(read_world(surroundings.root), surroundings)

    def apply(self, step: TargetStep, say: Say) -> None:
        until_s = time.monotonic() + (STEP_S if isinstance(step, Start) else 0.0)
        # In slices: a signal that comes just before a long sleep would be seen only after it.
        while time.monotonic() < until_s:
            time.sleep(0.02)
        super().apply(step, say)
        self.save()

    def traffic(self) -> FakeTraffic:
        return _TrafficOnDisk(self)

    def save(self) -> None:
        write_world(self._file.parent, self.world)


class _TrafficOnDisk(FakeTraffic):
    def __init__(self, target: TargetOnDisk) -> None:
        super().__init__(target.world)
        self._target = target

    def shift(self, shares: Mapping[int, float]) -> None:
        super().shift(shares)
        self._target.save()


def read_world(root: Path) -> World:
    file = root / "world.pickle"
    world = World()
    if file.exists():
        vars(world).update(pickle.loads(file.read_bytes()))
    return world


def write_world(root: Path, world: World) -> None:
    values = {name: value for name, value in vars(world).items() if name not in ("moment", "secrets")}
    (root / "world.pickle").write_bytes(pickle.dumps(values))


if __name__ == "__main__":
    TARGETS["docker"] = "world_on_disk:TargetOnDisk"
    sys.modules["world_on_disk"] = sys.modules["__main__"]
    STEP_S = float(sys.argv[1])
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it runs in the background ignore it
    sys.exit(run(sys.argv[2:]))
