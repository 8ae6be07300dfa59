"""HTTP over the engine's Unix socket: one connection a call, deadlines, errors translated."""

import http.client
import io
import json
import socket
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from shipway.deploy.engine.faults import fault, unreachable
from shipway.errors import EngineError, UsageError

DEFAULT_SOCKET = Path("/var/run/docker.sock")
TIMEOUT_S = 30.0
"""For an answer that the engine gives from what it knows; what takes longer (build, pull, stop) says so."""

_API = "v1.41"
"""Engine 20.10 and everything since; the oldest that we are tested with."""

Query = Mapping[str, str | int | bool | Mapping[str, Any]]
Body = bytes | Iterable[bytes] | Mapping[str, Any] | None


def socket_of(docker_host: str) -> Path:
    """The socket that DOCKER_HOST means; the usual one when it is empty.

    Raises:
        UsageError: It means another machine.
    """
    if not docker_host:
        return DEFAULT_SOCKET
    scheme, _, path = docker_host.partition("://")
    if scheme != "unix" or not path.startswith("/"):
        raise UsageError(
            f"DOCKER_HOST={docker_host}: the target docker works with the engine of this machine",
            "run shipway on that machine, or set DOCKER_HOST=unix:///PATH",
        )
    return Path(path)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("docker", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock: socket.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


@dataclass(frozen=True)
class Transport:
    """Sends requests to the engine at *path*. A connection costs 0.1 ms here, so none is kept."""

    path: Path

    def json(
        self, method: str, path: str, query: Query | None = None, body: Body = None, timeout_s: float = TIMEOUT_S
    ) -> Any:
        """What the engine answers, parsed; None for an empty answer."""
        data = self.data(method, path, query, body, timeout_s)
        return json.loads(data) if data.strip() else None

    def data(
        self, method: str, path: str, query: Query | None = None, body: Body = None, timeout_s: float = TIMEOUT_S
    ) -> bytes:
        """What the engine answers.

        Args:
            body: A mapping is sent as JSON, bytes as a tar archive.
            timeout_s: The longest silence.

        Raises:
            ShipwayError: As `faults` translates it.
        """
        with self.open(method, path, query, body, timeout_s) as response:
            return response.read()

    def events(
        self, path: str, query: Query, body: Body, silence_s: float, deadline_s: float, headers: Mapping[str, str]
    ) -> Iterator[dict[str, Any]]:
        """The lines of a build, pull or push as they come. An `error` among them is raised as what it means.

        Args:
            silence_s: The longest time between two lines.
            deadline_s: For all of it, on the monotonic clock.
        """
        with self.open("POST", path, query, body, silence_s, headers) as response:
            for line in response:
                if not line.strip():
                    continue
                event = json.loads(line)
                if "error" in event:
                    raise fault(str(event["error"]))
                yield event
                if time.monotonic() > deadline_s:
                    raise EngineError("the engine took longer than it may; its work may go on", "try again")

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Body = None,
        timeout_s: float = TIMEOUT_S,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        """The answer, not yet read; closed with the block."""
        connection = _Connection(self.path, timeout_s)
        try:
            response = self._sent(connection, method, path, query, body, headers or {})
            if response.status >= 400:
                raise fault(_reason(response.read()), response.status)
            try:
                yield response
            except TimeoutError as error:
                raise EngineError(f"the engine said nothing for {timeout_s:g} s", "docker info") from error
            except (http.client.HTTPException, ConnectionError, json.JSONDecodeError) as error:
                raise EngineError(f"the engine broke off: {str(error) or type(error).__name__}", "try again") from error
        finally:
            connection.close()

    @contextmanager
    def taken_over(self, path: str, body: Mapping[str, Any]) -> Iterator[tuple[socket.socket, io.BufferedReader]]:
        """A connection that the engine has given up as HTTP for bytes both ways: its socket to write to, and to read from."""
        connection = _Connection(self.path, TIMEOUT_S)
        try:
            response = self._sent(connection, "POST", path, None, body, {"Connection": "Upgrade", "Upgrade": "tcp"})
            if response.status >= 400:
                raise fault(_reason(response.read()), response.status)
            connection.sock.settimeout(None)
            yield connection.sock, response.fp  # which may have read ahead
        finally:
            connection.close()

    def _sent(
        self,
        connection: _Connection,
        method: str,
        path: str,
        query: Query | None,
        body: Body,
        headers: Mapping[str, str],
    ) -> http.client.HTTPResponse:
        content_type = "application/x-tar"
        if isinstance(body, Mapping):
            content_type, body = "application/json", json.dumps(body).encode()
        fields = {**headers, "Content-Type": content_type} if body is not None else dict(headers)
        target = f"/{_API}{path}" + (f"?{urlencode(_flat(query))}" if query else "")
        try:
            connection.request(method, target, body, fields)
            return connection.getresponse()
        except (http.client.HTTPException, ConnectionResetError, BrokenPipeError) as error:
            raise EngineError(f"the engine broke off: {str(error) or type(error).__name__}", "try again") from error
        except OSError as error:
            raise unreachable(self.path, error) from error


def _flat(query: Query) -> dict[str, str]:
    return {
        key: json.dumps(value) if isinstance(value, (bool, Mapping)) else str(value) for key, value in query.items()
    }


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")
