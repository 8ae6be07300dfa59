"""What an environment can run on. A target is one file here, one line in `TARGETS`, one folder of cases.

`tests/deploy/targets/contract.py` has the tests that every target passes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Protocol

from shipway.deploy.layout import Layout
from shipway.deploy.releases import Images, Release, Rendered
from shipway.deploy.steps import TargetStep
from shipway.deploy.traffic import Traffic
from shipway.errors import UsageError
from shipway.secret import Secret
from shipway.spec.app import App
from shipway.spec.wording import did_you_mean, found, listed

Say = Callable[[str], None]
"""Told what is going on in long work, a line at a time."""

TARGETS: dict[str, str] = {"docker": "shipway.deploy.targets.docker:DockerTarget"}
"""Import string of each target's class; it is called with `Surroundings`."""


@dataclass(frozen=True)
class Capabilities:
    """Which settings of the app file a target honours.

    Attributes:
        honours: Settings with all below them; `*` stands for a name: `services.*.env`, `limits`. What is not here is not
            honoured, so that a setting that is added later is never ignored in silence.
        because: Why not, for settings that deserve a reason.
    """

    honours: frozenset[str]
    because: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Surroundings:
    """What a target is made with.

    Attributes:
        app: The app as the environment sees it, with the environment's own settings in `app.settings`.
        release: The record of a release by number. Raises UnknownReleaseError.
        reveal: The value that a reference has where the command runs, for what is used in a build alone. Raises SecretError.
        secret: The value that a reference (`env:NAME`) has where the command runs, if it has this version. Raises SecretError.
    """

    app: App
    release: Callable[[int], Release]
    secret: Callable[[str, str], Secret]
    reveal: Callable[[str], Secret]

    @property
    def root(self) -> Path:
        return self.app.root


class Target(Protocol):
    """Where releases run. It touches nothing that it did not make, and every step can be done twice."""

    @property
    def capabilities(self) -> Capabilities: ...

    def images(self, *, build: bool, say: Say) -> Images:
        """The images that the app's files give. With *build* they exist afterwards and have digests; what has not
        changed is not built again. Without, nothing is made and digests may be None."""

    def render(self, release: Release) -> Rendered:
        """What is made of *release* (whose own `rendered` is empty yet). Pure: equal releases give equal texts."""

    def observe(self) -> Layout:
        """What is there now, but for `shares`, which the gateway knows. Raises TargetError."""

    def apply(self, step: TargetStep, say: Say) -> None:
        """Do *step*; when its effect is there already, do nothing. Raises TargetError, NotReadyError."""

    def traffic(self) -> Traffic:
        """The gateway of this environment, the same object each time; asked only once there is one."""


def open_target(name: str, surroundings: Surroundings, targets: Mapping[str, str] = TARGETS) -> Target:
    """The target called *name*, for one environment.

    Raises:
        UsageError: There is no such target, or nothing can be deployed to it.
    """
    if name not in targets:
        nearest = did_you_mean(name, targets) or f" (known: {listed(targets)})"
        raise UsageError(
            f"environment {surroundings.app.environment} runs on {found(name)}, to which nothing can be deployed{nearest}",
            f'set target = "docker" in [environments.{surroundings.app.environment}], or: shipway up',
        )
    module, _, attribute = targets[name].partition(":")
    target: Target = getattr(import_module(module), attribute)(surroundings)
    return target
