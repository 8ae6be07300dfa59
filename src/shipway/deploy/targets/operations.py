"""What is done by hand to an environment that runs: look, read logs, restart, stop, destroy. Beside releases, not instead.

`OPERATIONS` names the class of each target that can do it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from shipway.errors import UsageError
from shipway.spec.app import App
from shipway.spec.wording import found

OPERATIONS: Mapping[str, str] = {"docker": "shipway.deploy.targets.docker.operations:DockerOperations"}

GATEWAY = "gateway"


@dataclass(frozen=True, slots=True)
class Part:
    """One process of an environment.

    Attributes:
        name: What the target calls it.
        service: The service that it is a replica of, or `gateway`.
        release: Such as `v4`; empty for the gateway.
        state: In the target's words, such as `running` or `exited (1)`.
        health: `healthy`, `unhealthy`, `starting`, or empty where nobody looks.
        since: When it started, UTC, RFC 3339; empty when it never did.
        restarts: How often the target has started it anew by itself.
    """

    name: str
    service: str
    release: str
    state: str
    health: str
    address: str
    since: str
    restarts: int

    @property
    def runs(self) -> bool:
        return self.state == "running"


@dataclass(frozen=True, slots=True)
class Line:
    """What a part printed."""

    part: str
    text: str
    is_error: bool


class Operations(Protocol):
    """One environment. Every method raises TargetError when what it runs on refuses."""

    def parts(self) -> list[Part]:
        """All that there is, running or not."""

    def logs(self, parts: list[Part], *, tail: int, follow: bool) -> Iterator[Line]:
        """The last *tail* lines of each; with *follow* what comes after too, until all have ended."""

    def run_inside(self, part: Part, command: tuple[str, ...]) -> Iterator[tuple[int, bytes] | int]:
        """Run a command where *part* runs. Yields (1 or 2, output) as it comes, and at last the exit status."""

    def restart(self, part: Part) -> None:
        """End and start it again, or start it when it was stopped; returns when it is healthy."""

    def stop(self, part: Part) -> None:
        """End it; it stays ended until it is restarted or deployed anew."""

    def destroy(self) -> Iterator[str]:
        """Remove everything of the environment, secrets too. Yields what is gone."""


def open_operations(app: App) -> Operations:
    """The operations of the environment that *app* is for.

    Raises:
        UsageError: Its target has none.
    """
    if app.target not in OPERATIONS:
        raise UsageError(
            f"environment {app.environment} runs on {found(app.target)}, where there is nothing to look after",
            f'set target = "docker" in [environments.{app.environment}], or: shipway up',
        )
    module, _, attribute = OPERATIONS[app.target].partition(":")
    operations: Operations = getattr(import_module(module), attribute)(app)
    return operations
