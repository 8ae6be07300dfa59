"""The gateway's container: configuring it while it runs, and replacing it without losing a request.

It is on the host's network, so that a new one can share the port with the old one and take it over (decision 0011).
"""

import hashlib
import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from shipway.deploy.build import SECRETS_FOLDER, USER
from shipway.deploy.engine.client import Engine
from shipway.deploy.engine.values import Container
from shipway.deploy.targets.docker.names import Names, gateway_sequence, label
from shipway.deploy.targets.docker.specification import CONFIGURATION_FOLDER, gateway_container
from shipway.errors import NotReadyError, PortTakenError, TargetError
from shipway.spec.gateway import Gateway as GatewaySettings

_CONFIGURATION = f"{CONFIGURATION_FOLDER}/shipway.toml"
_FRONT = f"{CONFIGURATION_FOLDER}/front.json"
_LISTENS = "the gateway listens on"
_START_S = 30.0
_POLL_S = 0.05
_LAST_LINES = 20

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """What the gateway is to be.

    Attributes:
        front: The releases in its configuration.
        configuration: The app file.
        files: More files by absolute path, such as certificates.
        keys: The keys of callers, one after the other with commas.
        token: Of the admin API.
    """

    image_id: str
    front: tuple[int, ...]
    configuration: str
    settings: GatewaySettings
    keys: str
    token: str
    files: Mapping[str, bytes]

    @property
    def fingerprint(self) -> str:
        """Follows from what a gateway takes up only when it starts."""
        settings = self.settings
        parts = (self.image_id, settings.host, settings.port, settings.admin_host, settings.admin_port, self.token)
        tls = settings.tls and (str(settings.tls.cert), str(settings.tls.key))
        text = json.dumps([*parts, tls, self.keys])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True)
class GatewayContainer:
    """The gateway of one environment."""

    engine: Engine
    names: Names
    _written: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """By container, the configuration that is in it: the engine takes 100 ms to look, and only we write it."""

    def all(self) -> list[Container]:
        """Its containers, the newest first: more than one while one hands over to the next."""
        found = self.engine.containers(self.names.labelled("gateway"))
        return sorted(found, key=gateway_sequence, reverse=True)

    def current(self) -> Container | None:
        return next(iter(self.all()), None)

    def front(self) -> tuple[int, ...]:
        """The releases in the configuration of the current one, as it was written last."""
        current = self.current()
        data = self._present(current)[_FRONT] if current is not None else b""
        return tuple(json.loads(data)["front"]) if data else ()

    def has_other(self, container: Container, files: Mapping[str, bytes]) -> bool:
        """Whether one of *files* is in *container* with another content; one that is not there is of another release."""
        present = ((self.engine.get_file(container.id, path), content) for path, content in files.items())
        return any(found is not None and found != content for found, content in present)

    def configure(self, wanted: Wanted, reload: Callable[[], None], say: Say) -> None:
        """Have a gateway run as *wanted*: a reload where that is enough, else a new container that takes over.

        Args:
            reload: Has the running gateway read its configuration now. Raises TrafficError, when it refuses it.

        Raises:
            PortTakenError: Somebody else listens on the gateway's port.
            NotReadyError: A new gateway did not come up; the old one goes on.
        """
        containers = self.all()
        current = containers[0] if containers else None
        if current is not None and current.is_running and label(current.labels, "fingerprint") == wanted.fingerprint:
            if len(containers) > 1:  # a hand-over that was broken off
                self.await_listening(current)
                self._end(containers[1:], wanted.settings, say)
            self._reconfigure(current, wanted, reload)
            return
        if not any(one.is_running for one in containers):
            for host, port in _listeners(wanted.settings):
                _refuse_taken(host, port)
        serving = [one for one in containers if one.is_running]
        self._end([one for one in containers if not one.is_running], wanted.settings, say)
        name = self.names.gateway(gateway_sequence(current) + 1 if current is not None else 1)
        self._start(name, wanted)
        fresh = self.engine.container(name)
        if fresh is None:
            raise TargetError(f"the gateway's container {name} is gone")
        try:
            self.await_listening(fresh)
        except BaseException:
            self.engine.remove(name)
            raise
        if serving:
            say("the new gateway has the port; the old one ends what it has")
        self._end(serving, wanted.settings, say)

    def remove(self, settings: GatewaySettings, say: Say) -> None:
        self._end(self.all(), settings, say)

    def _start(self, name: str, wanted: Wanted) -> None:
        settings = wanted.settings
        body = gateway_container(self.names, wanted.image_id, settings, patience_s(settings), wanted.fingerprint)
        self.engine.create(name, body)
        self.engine.put_files(name, self._files(wanted), owner=USER)
        self.engine.start(name)

    def _reconfigure(self, container: Container, wanted: Wanted, reload: Callable[[], None]) -> None:
        before = dict(self._present(container))
        self._write(container, self._files(wanted))
        try:
            reload()
        except BaseException:
            self._write(container, before)
            raise

    def _present(self, container: Container) -> dict[str, bytes]:
        if container.id not in self._written:
            found = self.engine.get_folder(container.id, CONFIGURATION_FOLDER)
            files = {path: found.get(path.rpartition("/")[2], b"") for path in (_CONFIGURATION, _FRONT)}
            self._written[container.id] = files
        return self._written[container.id]

    def _write(self, container: Container, files: Mapping[str, bytes]) -> None:
        self._written.pop(container.id, None)
        self.engine.put_files(container.id, files, owner=USER)
        self._written[container.id] = {path: files[path] for path in (_CONFIGURATION, _FRONT)}

    def _files(self, wanted: Wanted) -> dict[str, bytes]:
        texts = {
            _CONFIGURATION: wanted.configuration,
            _FRONT: json.dumps({"front": wanted.front}),
            f"{SECRETS_FOLDER}/SHIPWAY_API_KEYS": wanted.keys,
            f"{SECRETS_FOLDER}/SHIPWAY_ADMIN_TOKEN": wanted.token,
        }
        return {**{path: text.encode("utf-8", "surrogatepass") for path, text in texts.items()}, **wanted.files}

    def await_listening(self, container: Container) -> None:
        """Wait for its own word: while two share the port, asking it could reach either.

        Raises:
            PortTakenError, NotReadyError: It ended, or said nothing in time.
        """
        deadline_s = time.monotonic() + _START_S
        while True:
            now = self.engine.container(container.id)
            lines = self.engine.error_lines(container.id, now.started_at) if now is not None else []
            if now is not None and now.is_running and any(_LISTENS in line for line in lines):
                return
            ended = now is None or now.restarts > 0 or now.state in ("exited", "dead")
            if ended or time.monotonic() > deadline_s:
                lines = self.engine.last_lines(container.id, 200)
                taken = next((line for line in lines if "cannot be listened on" in line), None)
                if taken is not None:
                    raise PortTakenError(taken.removeprefix("error: "), "stop who listens there, or set gateway.port")
                raise NotReadyError(
                    "\n".join(["the gateway did not come up", *(f"  {line}" for line in lines[-_LAST_LINES:])]),
                    f"shipway logs {self.names.environment} gateway",
                )
            time.sleep(_POLL_S)

    def _end(self, containers: list[Container], settings: GatewaySettings, say: Say) -> None:
        for container in containers:
            self.engine.stop(container.id, patience_s(settings))
            self.engine.remove(container.id)


def patience_s(settings: GatewaySettings) -> float:
    """How long a gateway may take to end."""
    return settings.grace + settings.drain + 5


def _listeners(settings: GatewaySettings) -> list[tuple[str, int]]:
    return [(settings.host, settings.port), (settings.admin_host, settings.admin_port)]


def _refuse_taken(host: str, port: int) -> None:
    """Ask the host itself: a gateway that shares ports by intent would share one with another app's by mistake."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_STREAM)) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except PermissionError:
            return  # a low port, and we are not root; the gateway will be
        except OSError as error:
            raise PortTakenError(
                f"{host}:{port} cannot be listened on: {error.strerror}",
                "stop who listens there, or set gateway.port and gateway.admin_port",
            ) from error
