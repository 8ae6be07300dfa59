"""What the engine says went wrong, in our words and with the next command to type. Pure."""

import re
from pathlib import Path

from shipway.errors import (
    EngineError,
    EngineUnavailableError,
    NoSpaceError,
    PortTakenError,
    RegistryError,
    ShipwayError,
)


class MissingError(EngineError):
    """The engine has no such container, image, network or volume."""


class BusyError(EngineError):
    """It exists already, or is in a state in which that cannot be done."""


_PORT = re.compile(r"([0-9.]+:\d+|port \d+)\D*(?:port is already allocated|address already in use)")
_IMAGE = re.compile(r"(?:manifest for|access denied for|repository) ([^\s,]+)")
_SPACE = ("no space left on device", "disk quota exceeded")
_PLATFORM = ("no matching manifest", "does not match the specified platform", "exec format error")
_REFUSED = ("unauthorized", "pull access denied", "authentication required", "denied:", "no basic auth credentials")
_UNREACHABLE = (
    "no such host",
    "connection refused",
    "i/o timeout",
    "tls handshake",
    "server misbehaving",
    "server gave http",
)
_NO_IMAGE = ("manifest unknown", "not found: manifest", "no such image", "repository does not exist")


def fault(said: str, status: int = 0) -> ShipwayError:
    """The error for what the engine *said*, with the HTTP *status* of its answer (0 inside a stream)."""
    said = " ".join(said.split())[:600] or f"status {status} without a reason"
    lower = said.lower()
    if any(words in lower for words in _SPACE):
        return NoSpaceError(
            f"the engine has no space left: {said}", "docker system df; then docker image prune, or a larger disk"
        )
    if "port is already allocated" in lower or "address already in use" in lower:
        where = _PORT.search(said)
        return PortTakenError(
            f"{where[1] if where else 'a port'} is taken on the engine's host",
            "stop who listens there, or choose another",
        )
    if "could not select device driver" in lower and "gpu" in lower:
        return EngineError(
            "the engine has no GPUs to give to containers",
            "install nvidia-container-toolkit and restart the engine, or leave resources.gpu out",
        )
    if any(words in lower for words in _PLATFORM):
        return RegistryError(
            f"the image does not exist for this machine's platform: {said}",
            "use an image that is built for it (docker manifest inspect IMAGE lists platforms)",
        )
    # A registry's refusal also comes for images that do not exist: it does not tell strangers which do.
    if any(words in lower for words in _REFUSED):
        return RegistryError(
            f"the registry refuses{_image_in(said)}: {said}", "docker login REGISTRY; and check the image's name"
        )
    if any(words in lower for words in _NO_IMAGE):
        return (MissingError if status == 404 else RegistryError)(
            f"there is no such image{_image_in(said)}: {said}", "check the image's name and tag"
        )
    if any(words in lower for words in _UNREACHABLE):
        return RegistryError(
            f"the registry cannot be reached: {said}",
            "is this machine online? Images that are here already are used as they are",
        )
    if status == 404:
        return MissingError(said)
    if status == 409:
        return BusyError(said)
    return EngineError(f"the engine refuses: {said}" if status < 500 else f"the engine failed: {said}")


def unreachable(socket_path: Path, error: OSError) -> EngineUnavailableError:
    """The error for a socket that nobody answers on."""
    if isinstance(error, PermissionError):
        return EngineUnavailableError(
            f"the Docker engine's socket {socket_path} is not open to this user",
            'sudo usermod -aG docker "$USER", then log in again',
        )
    if isinstance(error, TimeoutError):
        return EngineUnavailableError(
            f"the Docker engine at {socket_path} did not answer in time", "docker info; perhaps restart the engine"
        )
    return EngineUnavailableError(
        f"the Docker engine is not running: nothing answers at {socket_path}",
        "start it (sudo systemctl start docker), or set DOCKER_HOST=unix:///PATH",
    )


def _image_in(said: str) -> str:
    match = _IMAGE.search(said)
    return f" {match[1].rstrip(':')}" if match else ""
