"""Looking after one environment on the engine of this machine, by hand."""

import os
import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager

from shipway.deploy.build import PORT
from shipway.deploy.engine.client import Engine
from shipway.deploy.engine.transport import Transport, socket_of
from shipway.deploy.engine.values import Container
from shipway.deploy.image_builder import REPOSITORY
from shipway.deploy.releases import release_name
from shipway.deploy.targets.docker.gateway import GatewayContainer, patience_s
from shipway.deploy.targets.docker.names import Names, gateway_sequence, replica_of, role_of
from shipway.deploy.targets.docker.probe import ill_because
from shipway.deploy.targets.operations import GATEWAY, Line, Part, Session
from shipway.errors import NotReadyError, TargetError
from shipway.spec.app import App

_POLL_S = 0.1


class DockerOperations:
    """One environment of one app."""

    def __init__(self, app: App, environ: Mapping[str, str] = os.environ) -> None:
        self._app = app
        self._names = Names(app.name, app.environment)
        self._engine = Engine(Transport(socket_of(environ.get("DOCKER_HOST", ""))))

    def parts(self) -> list[Part]:
        found = self._engine.containers(self._names.labels)
        parts = [part for container in sorted(found, key=_place) if (part := self._part(container)) is not None]
        return sorted(parts, key=lambda part: (part.service != GATEWAY, part.service))

    def logs(self, parts: list[Part], *, tail: int, follow: bool) -> Iterator[Line]:
        if not follow:
            for part in parts:
                yield from self._lines(part, tail=tail, follow=False)
            return
        lines: queue.Queue[Line | None] = queue.Queue()
        for part in parts:
            threading.Thread(target=self._follow, args=(part, tail, lines), daemon=True).start()
        left = len(parts)
        while left:
            line = lines.get()
            if line is None:
                left -= 1
            else:
                yield line

    def run_inside(
        self, part: Part, command: tuple[str, ...], *, reads: bool, terminal: bool
    ) -> AbstractContextManager[Session]:
        return self._engine.run_inside(part.name, command, reads=reads, terminal=terminal)

    def restart(self, part: Part) -> None:
        self._engine.restart(part.name, self._patience_s(part))
        if part.service == GATEWAY:
            container = self._engine.container(part.name)
            if container is not None:
                GatewayContainer(self._engine, self._names).await_listening(container)
            return
        service = self._app.services.get(part.service)
        deadline_s = time.monotonic() + (service.health.start if service else 60.0)
        while service is not None:
            container = self._engine.container(part.name)
            address = container.addresses.get(self._names.network) if container is not None else None
            reason = ill_because(address, PORT, service.health) if address else "it does not run"
            if reason is None:
                return
            if time.monotonic() > deadline_s:
                lines = self._engine.last_lines(part.name, 20)
                raise NotReadyError(
                    "\n".join([f"{part.name} did not become healthy: {reason}", *(f"  {line}" for line in lines)]),
                    f"shipway logs {self._app.environment} {part.service}",
                )
            time.sleep(_POLL_S)

    def stop(self, part: Part) -> None:
        self._engine.stop(part.name, self._patience_s(part))

    def destroy(self) -> Iterator[str]:
        engine, labels = self._engine, self._names.labels
        # The gateway first: it ends what it has, which needs the services.
        containers = sorted(engine.containers(labels), key=lambda one: role_of(one.labels) != GATEWAY)
        for container in containers:
            if container.is_running:
                part = self._part(container)
                engine.stop(container.id, self._patience_s(part) if part else 1.0)
            engine.remove(container.id)
            yield f"container {container.name}"
        for network in engine.networks(labels):
            engine.remove_network(network)
            yield f"network {network}"
        for volume in engine.volumes(labels):
            engine.remove_volume(volume)
            yield f"volume {volume}"
        for repository, tags in engine.tags(*self._names.all_installed).items():
            for tag in sorted(tags):
                yield from self._remove_image(f"{repository}:{tag}")

    def _remove_image(self, kept: str) -> Iterator[str]:
        """Remove the name of an image that is *kept* for a release, and that it was built under unless another environment
        needs it. The gateway's stays: it is of no app, and the next one is spared making it."""
        image = self._engine.image(kept)
        names = {*image.tags} - {kept} if image is not None else set()
        own = f"{REPOSITORY}/{self._app.name}/"
        built = sorted(names) if all(name.startswith(own) for name in names) else []
        for name in (kept, *built):
            self._engine.remove_image(name)
            yield f"image {name}"

    def _part(self, container: Container) -> Part | None:
        replica = replica_of(container)
        if replica is None and role_of(container.labels) != GATEWAY:
            return None
        state = container.state
        if state in ("exited", "dead"):
            state = f"{state} ({container.exit_code})"
        return Part(
            name=container.name,
            service=replica.service if replica else GATEWAY,
            release=release_name(replica.release) if replica else "",
            state=state,
            health=container.health if container.is_running else "",
            address="host" if container.host_network else container.addresses.get(self._names.network, ""),
            since="" if container.started_at.startswith("0001") else container.started_at,
            restarts=container.restarts,
        )

    def _lines(self, part: Part, *, tail: int, follow: bool) -> Iterator[Line]:
        rest = {1: b"", 2: b""}
        for stream, piece in self._engine.logs(part.name, tail=tail, follow=follow):
            *lines, rest[stream] = (rest[stream] + piece).split(b"\n")
            yield from (Line(part.name, line.decode(errors="replace"), stream == 2) for line in lines)
        for stream, left in rest.items():
            if left:
                yield Line(part.name, left.decode(errors="replace"), stream == 2)

    def _follow(self, part: Part, tail: int, lines: "queue.Queue[Line | None]") -> None:
        try:
            for line in self._lines(part, tail=tail, follow=True):
                lines.put(line)
        except TargetError as error:
            lines.put(Line(part.name, f"({error})", is_error=True))
        finally:
            lines.put(None)

    def _patience_s(self, part: Part) -> float:
        if part.service == GATEWAY:
            return patience_s(self._app.gateway)
        service = self._app.services.get(part.service)
        return service.drain if service is not None else 30.0


def _place(container: Container) -> tuple[int, int, int]:
    """By number, so that v10 comes after v9."""
    replica = replica_of(container)
    return (replica.release, replica.index, 0) if replica else (0, 0, gateway_sequence(container))
