"""The one tree of errors that Shipway raises on purpose.

A class exists only where a caller would act differently. Each has a stable `code` for programs, a message that says
what was found and what was expected, and an optional hint: the next thing to type. A bug in our own code is not in
this tree.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in an app file.

    Attributes:
        path: Where it is, as in `models.chat.upstreams[2]` (indexes start at 0); empty when the whole file is meant.
        line: 1-based line in the file, when it is known.
        column: 1-based column, when it is known.
    """

    path: str
    message: str
    hint: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ShipwayError(Exception):
    """Something that the person or program calling Shipway can act on."""

    code: ClassVar[str] = "failed"

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(ShipwayError):
    """The command was not asked for in a way that can be done; the command line exits with 2."""

    code = "usage"


class AppFileError(ShipwayError):
    """The app file cannot be used; `problems` has all that is wrong with it, in the order of the file."""

    code = "app-file"

    def __init__(self, source: str, problems: Sequence[Problem], hint: str | None = None) -> None:
        """*source* is the file as the user may call it; *problems* must not be empty."""
        self.source = source
        self.problems = tuple(problems)
        super().__init__("\n".join(f"{_place(source, p)}: {p}" for p in self.problems), hint)


class CannotStartError(AppFileError):
    """Several things are missing for a start on this machine."""

    code = "cannot-start"


class MissingExtraError(ShipwayError):
    """An optional part is not installed; the hint is the command that installs it."""

    code = "missing-extra"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra {extra!r}, which is not installed", f"pip install 'shipway[{extra}]'")


class PortTakenError(ShipwayError):
    """Another process listens where Shipway was to listen."""

    code = "port-taken"


class ModelFileError(ShipwayError):
    """The weights of a local model are missing or damaged."""

    code = "model-file"


class SecretError(ShipwayError):
    """A secret's reference leads to nothing usable. The message names the reference, never the value."""

    code = "secret"


class NoAppFoundError(ShipwayError):
    """There is no app in the folder that `shipway init` was to write an app file for."""

    code = "no-app-found"


class CertificateError(ShipwayError):
    """A TLS certificate or key is missing, damaged or does not match."""

    code = "certificate"


class NoAddressError(ShipwayError):
    """A service or provider has no address that the gateway could forward to."""

    code = "no-address"


class GuardError(ShipwayError):
    """The Python function of a guard cannot be imported."""

    code = "guard"


class AlreadyRunningError(ShipwayError):
    """Another `shipway up` runs in this folder."""

    code = "already-running"


class StartError(ShipwayError):
    """A process that Shipway started did not become ready."""

    code = "start"


class BuildError(ShipwayError):
    """An image could not be built from the app; the message has the last lines of the build."""

    code = "build"


class TargetError(ShipwayError):
    """What an environment runs on refused or failed at a step. The rollout can be resumed or aborted."""

    code = "target"


class NotReadyError(TargetError):
    """A release did not become healthy in its time. The message ends with the last lines of its log."""

    code = "not-ready"


class EngineError(TargetError):
    """The container engine refused or failed at what it was asked."""

    code = "engine"


class EngineUnavailableError(EngineError):
    """No container engine answers here."""

    code = "engine-unavailable"


class NoSpaceError(EngineError):
    """The engine's disk is full."""

    code = "no-space"


class RegistryError(EngineError):
    """An image cannot be had from its registry: refused, unreachable, not there, or not for this platform."""

    code = "registry"


class TrafficError(ShipwayError):
    """The gateway of an environment cannot be asked, or refused."""

    code = "traffic"


class RolledBackError(ShipwayError):
    """A new release was found wanting; the one before has all traffic again."""

    code = "rolled-back"


class UnsupportedError(ShipwayError):
    """The target cannot honour settings of the app file, whose loss the file does not accept."""

    code = "unsupported"


class UnknownReleaseError(UsageError):
    """There is no such release in the environment, or it is not kept any more."""

    code = "unknown-release"


class UnfinishedError(ShipwayError):
    """An earlier rollout stopped on its way; it is to be resumed or aborted first."""

    code = "unfinished"


class LeaseHeldError(ShipwayError):
    """Somebody else is changing the environment. The message says who, and since when."""

    code = "lease-held"


class LeaseLostError(ShipwayError):
    """Somebody else took the environment over meanwhile; nothing more was done here."""

    code = "lease-lost"


class StateError(ShipwayError):
    """The state of deployments cannot be read or written: damaged, no space left, not ours to write."""

    code = "state"


class NewerStateError(StateError):
    """The state was written by a later Shipway, so this one does not touch it."""

    code = "newer-state"


class ConflictError(StateError):
    """The state was changed by somebody else since it was read."""

    code = "conflict"


def _place(source: str, problem: Problem) -> str:
    if problem.line is None:
        return source
    if problem.column is None:
        return f"{source}:{problem.line}"
    return f"{source}:{problem.line}:{problem.column}"
