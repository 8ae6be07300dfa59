"""What is done by hand to an environment that runs: look, read logs, restart, stop, destroy. Beside releases, not instead.

`OPERATIONS` names the class of each target that can do it.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
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


class Session(Protocol):
    """A command that was started inside. Input may be given by another thread than the one that reads the output."""

    def output(self) -> Iterator[tuple[int, bytes]]:
        """(1 or 2, what it printed there) as it comes, until it has ended. On a terminal both are 1."""

    def send(self, data: bytes) -> None:
        """Give it *data* to read; waits while it does not. Nothing happens when it has ended."""

    def end_input(self) -> None:
        """Let it read the end of its input."""

    def resize(self, lines: int, columns: int) -> None:
        """Tell its terminal how large the window is now."""

    def status(self) -> int:
        """How it ended; asked when its output has."""


class Operations(Protocol):
    """One environment. Every method raises TargetError when what it runs on refuses."""

    def parts(self) -> list[Part]:
        """All that there is, running or not."""

    def logs(self, parts: list[Part], *, tail: int, follow: bool) -> Iterator[Line]:
        """The last *tail* lines of each; with *follow* what comes after too, until all have ended."""

    def run_inside(
        self, part: Part, command: tuple[str, ...], *, reads: bool, terminal: bool
    ) -> AbstractContextManager[Session]:
        """Run a command where *part* runs.

        Args:
            reads: Whether it gets an input.
            terminal: Whether it gets a terminal.
        """

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
