"""The target `docker`: one host, whose engine runs the gateway and the releases behind it."""

import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from shipway.deploy.build import PORT
from shipway.deploy.build_images import Context, gateway_context, service_context
from shipway.deploy.capabilities import BY_THE_GATEWAY
from shipway.deploy.clock import Clock
from shipway.deploy.engine.client import Engine
from shipway.deploy.engine.credentials import Credentials
from shipway.deploy.engine.transport import Transport, socket_of
from shipway.deploy.engine.values import Image as EngineImage
from shipway.deploy.front import as_toml, front_table
from shipway.deploy.gateway_admin import AdminAddress, GatewayAdmin
from shipway.deploy.git import revision
from shipway.deploy.image_builder import REPOSITORY, ImageBuilder
from shipway.deploy.layout import Layout
from shipway.deploy.plan import Needs
from shipway.deploy.releases import Image, Images, Release, Rendered, release_name, release_number, secret_file_name
from shipway.deploy.steps import Gateway, Install, Remove, Start, Stop, TargetStep, Verify
from shipway.deploy.targets import Capabilities, Say, Surroundings
from shipway.deploy.targets.docker.gateway import GatewayContainer, Wanted
from shipway.deploy.targets.docker.names import GATEWAY_PART, Names, label
from shipway.deploy.targets.docker.replicas import Replicas
from shipway.deploy.targets.docker.specification import CONFIGURATION_FOLDER
from shipway.deploy.targets.docker.store import ADMIN_TOKEN, APP_KEY, SecretStore
from shipway.deploy.traffic import Traffic
from shipway.errors import TargetError, TrafficError, UnknownReleaseError, UnsupportedError
from shipway.secret import Secret
from shipway.spec.app import Sections
from shipway.spec.gateway import Gateway as GatewaySettings
from shipway.spec.load import validated

API_KEYS = "env:SHIPWAY_API_KEYS"
_AT_ONCE = 3
_LINE_LENGTH = 74
"""Of what a build is told to do, so that it stays one line of a terminal."""

_REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - it is replaced

CAPABILITIES = Capabilities(
    honours=BY_THE_GATEWAY - {"providers.*.profile"}
    | {
        *("services.*.app", "services.*.command", "services.*.image", "services.*.dockerfile", "services.*.factory"),
        *("services.*.replicas", "services.*.env", "services.*.cwd", "services.*.health", "services.*.drain"),
        "services.*.resources",
        *("gateway.host", "gateway.port", "gateway.admin_host", "gateway.admin_port", "gateway.tls"),
        *("providers.*.context", "providers.*.slots"),
    },
    because={
        "providers.*.tls": "the gateway's container has no such files",
        "providers.*.profile": "the gateway's container has no shared AWS configuration",
    },
)


class DockerTarget:
    """One environment of one app on the engine of this machine."""

    capabilities = CAPABILITIES

    def __init__(self, surroundings: Surroundings, environ: Mapping[str, str] = os.environ) -> None:
        app = surroundings.app
        self._around = surroundings
        self._names = Names(app.name, app.environment)
        self._engine = Engine(Transport(socket_of(environ.get("DOCKER_HOST", ""))), Credentials.of(environ))
        self._store = SecretStore(self._engine, self._names)
        self._replicas = Replicas(self._engine, self._names, self._store)
        self._gateway = GatewayContainer(self._engine, self._names)
        self._traffic = GatewayAdmin(self._admin_address, self._front, self._endpoints, app.objectives)
        self._token: Secret | None = None

    def images(self, *, build: bool, say: Say) -> Images:
        app = self._around.app
        made = app.build
        builder = ImageBuilder(
            engine=self._engine,
            network=made.network,
            registry=made.registry,
            created=Clock().stamp(),
            revision=revision(app.root) if build else None,
            pip_config=self._around.reveal(str(made.pip_config)) if build and made.pip_config else None,
        )
        services = {}
        for name, service in app.services.items():
            if service.image is not None:
                services[name] = self._pulled(service.image, build=build, say=say)
            elif not service.runs_elsewhere:
                services[name] = self._built(builder, service_context(app, name), build=build, say=say)
        # The gateway's files are not of the app's commit.
        builder = dataclasses.replace(builder, revision=None)
        return Images(services, self._built(builder, gateway_context(app), build=build, say=say))

    def render(self, release: Release) -> Rendered:
        # Symbolic: which addresses replicas have is known when they are there (`_front`).
        addresses = {name: f"http://{Names.alias(name, release.number)}:{PORT}" for name in release.images.services}
        gateway = {} if "host" in release.resolved.get("gateway", {}) else {"host": "0.0.0.0"}  # noqa: S104
        return Rendered(addresses=addresses, gateway=gateway)

    def observe(self) -> Layout:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            # Whoever looks asks the gateway next, and an answer about files takes the engine its time.
            pool.submit(self._store.read, ADMIN_TOKEN)
            front, installed = pool.submit(self._gateway.front), pool.submit(lambda: list(self._installed()))
            return self._layout(front.result(), [release.number for release in installed.result()])

    def _layout(self, front: tuple[int, ...], installed: Sequence[int]) -> Layout:
        current = self._gateway.current()
        running: dict[int, dict[str, int]] = {}
        for replica, container in self._replicas.all():
            count = int(container.is_running and container.health != "unhealthy")
            services = running.setdefault(replica.release, {})
            services[replica.service] = services.get(replica.service, 0) + count
        return Layout(
            gateway=current.image_id if current is not None and current.is_running else None,
            front=front,
            running=running,
            installed=tuple(installed),
            is_stale=current is not None and self._gateway.has_other(current, self._present_certificates()),
        )

    def apply(self, step: TargetStep, say: Say) -> None:
        match step:
            case Install(release):
                self._install(self._around.release(release), say)
            case Start(release, service, replicas):
                record = self._around.release(release)
                sections = _sections(record)
                self._replicas.start(record, sections, service, replicas, self._models_url(record, sections))
            case Verify(release, within_s):
                record = self._around.release(release)
                self._replicas.verify(record, _sections(record), within_s)
            case Gateway(None, _):
                self._gateway.remove(self._around.app.gateway, say)
            case Gateway(str() as image, front):
                self._gateway.configure(self._wanted(image, front), self._traffic.reload, say)
            case Stop(release, service):
                self._replicas.stop(release, service, self._drain_s(release, service))
            case Remove(release):
                self._remove(release)

    def traffic(self) -> Traffic:
        return self._traffic

    def _pulled(self, reference: str, *, build: bool, say: Say) -> Image:
        image = self._engine.image(reference)
        if image is None and build:
            say(f"pulling {reference}")
            image = self._engine.pull(reference)
        return Image(reference, image.id if image else None)

    def _built(self, builder: ImageBuilder, context: Context, *, build: bool, say: Say) -> Image:
        if build:
            for line in builder.build(context):
                if line.startswith(
                    ("Step ", "pulling ", "building ", "pushing ", "fetching ")
                ):  # what a step prints is shown when it fails
                    say(line if len(line) <= _LINE_LENGTH else f"{line[: _LINE_LENGTH - 1]}…")
        image = builder.built(context)
        return Image(builder.reference(context), image.id if image else None)

    def _install(self, release: Release, say: Say) -> None:
        """Secrets first, images last: a release whose images have their names has everything."""
        gateway_image = release.images.gateway
        self._store.open(gateway_image.digest or gateway_image.reference)
        present = set(self._store.names())
        wanted = {secret_file_name(*item): item for item in release.secrets.items()}
        new = {file: item for file, item in wanted.items() if file not in present}
        self._store.write({file: self._around.secret(*item).reveal() for file, item in new.items()})
        for part, image in {**release.images.services, GATEWAY_PART: gateway_image}.items():
            found = self._engine.image(image.digest or image.reference) or self._fetched(image, part, release, say)
            self._engine.tag(found.id, *self._names.installed(part, release.number))

    def _fetched(self, image: Image, part: str, release: Release, say: Say) -> EngineImage:
        """An image that was built on another machine, or removed here. Raises: TargetError, RegistryError."""
        if image.reference.startswith(f"{REPOSITORY}/"):
            raise TargetError(
                f"the image of {part} in {release.name} is not on this engine: {image.reference}",
                "set build.registry to share images between machines, or deploy anew on this one",
            )
        say(f"pulling {image.reference}")
        found = self._engine.pull(image.reference)
        if image.digest is not None and found.id != image.digest:
            raise TargetError(
                f"{image.reference} is another image now than the one of {release.name}",
                f"shipway deploy {release.environment}, to make a release with it",
            )
        return found

    def _installed(self) -> Iterator[Release]:
        """The releases all of whose images are here under their names. One without a record cannot be returned to."""
        tags = self._engine.tags(*self._names.all_installed)
        gateways = self._names.installed(GATEWAY_PART, 0)[0]
        for number in sorted(filter(None, map(release_number, tags.get(gateways, ())))):
            release = self._record(number)
            parts = release.images.services if release is not None else ()
            names = [self._names.installed(part, number) for part in parts]
            if release is not None and all(tag in tags.get(repository, ()) for repository, tag in names):
                yield release

    def _remove(self, number: int) -> None:
        """Its names first: what is left half removed is not installed."""
        tags = self._engine.tags(*self._names.all_installed)
        tag = release_name(number)
        for repository in (name for name, known in tags.items() if tag in known):
            self._engine.remove_image(f"{repository}:{tag}")
        release, kept = self._record(number), list(self._installed())
        if release is not None:
            needed = {reference for other in kept for reference in _built_references(other)}
            for reference in _built_references(release) - needed:
                image = self._engine.image(reference)
                # Another environment or app on this engine may have the same image, such as the gateway's.
                if image is not None and not {*image.tags} - {reference}:
                    self._engine.remove_image(reference)
        self._store.keep_only({secret_file_name(*item) for other in kept for item in other.secrets.items()})

    def _record(self, number: int) -> Release | None:
        try:
            return self._around.release(number)
        except UnknownReleaseError:
            return None

    def _drain_s(self, number: int, service: str) -> float:
        release = self._record(number)
        return _sections(release).services[service].drain if release is not None else Needs().drain_s

    def _wanted(self, image: str, front: tuple[int, ...]) -> Wanted:
        releases = [self._around.release(number) for number in front]
        table = with_addresses(
            front_table(releases), self._replicas.addresses, {one.name: one.number for one in releases}
        )
        sections, findings = validated(table)
        if sections is None:
            raise TargetError(f"the gateway's configuration would be wrong: {findings[0].message}")
        version = releases[0].secrets.get(API_KEYS)
        own = self._store.needed(secret_file_name(API_KEYS, version)) if version else ""
        keys = [*filter(None, [own]), self._store.needed(APP_KEY)]
        token = self._store.needed(ADMIN_TOKEN)
        files = dict(_certificates(sections.gateway, self._around.root))
        return Wanted(image, front, as_toml(table), sections.gateway, ",".join(keys), token, files)

    def _present_certificates(self) -> dict[str, bytes]:
        """Those of the app file; none where they cannot be read, as not everybody who deploys has them."""
        try:
            return dict(_certificates(self._around.app.gateway, self._around.root))
        except TargetError:
            return {}

    def _models_url(self, release: Release, sections: Sections) -> str:
        """Where services of *release* ask for models: the gateway, at the host's end of the environment's network."""
        if not sections.models:
            return ""
        host = sections.gateway.host if "host" in release.resolved.get("gateway", {}) else ""
        if host.startswith("127.") or host in ("::1", "localhost"):
            raise UnsupportedError(
                f"services in containers cannot reach models at a gateway that listens on {host} alone",
                f'set gateway.host = "0.0.0.0" in [environments.{release.environment}]',
            )
        scheme = "https" if sections.gateway.tls else "http"
        return f"{scheme}://{self._replicas.network().gateway}:{sections.gateway.port}/v1"

    def _admin_address(self) -> AdminAddress:
        current = self._gateway.current()
        if current is None:
            raise TrafficError("there is no gateway", f"shipway deploy {self._names.environment}")
        host, _, port = label(current.labels, "admin").rpartition(":")
        if self._token is None:
            self._token = Secret(self._store.needed(ADMIN_TOKEN))
        return AdminAddress(_REACHABLE.get(host, host), int(port), self._token)

    def _front(self) -> list[Release]:
        return [self._around.release(number) for number in self._gateway.front()]

    def _endpoints(self, release: int) -> list[str]:
        services = self._around.release(release).images.services
        urls = [url for service in services for url in self._replicas.addresses(release, service)]
        return [url.removeprefix("http://") for url in urls]


def with_addresses(
    table: Mapping[str, Any], addresses: Callable[[int, str], list[str]], numbers: Mapping[str, int]
) -> dict[str, Any]:
    """The front *table* in which every release of a service has the addresses of its replicas.

    Raises:
        TargetError: A release has none.
    """
    services = dict(table.get("services", {}))
    for service, part in services.items():
        releases = dict(part.get("releases", {}))
        for name, settings in releases.items():
            if name not in numbers:
                continue  # releases that the user declared, elsewhere
            urls = addresses(numbers[name], service)
            if not urls:
                raise TargetError(
                    f"{service} {name} has no container that the gateway could send requests to",
                    "docker ps shows what runs; shipway resume starts it again",
                )
            releases[name] = {**settings, "url": urls}
        if releases:
            services[service] = {**part, "releases": releases}
    return {**table, "services": services} if services else dict(table)


def _built_references(release: Release) -> set[str]:
    """The names of its images that were built here; others are not ours to remove."""
    images = (*release.images.services.values(), release.images.gateway)
    registry = release.resolved.get("build", {}).get("registry")
    prefixes = tuple(f"{one}/" for one in (REPOSITORY, registry) if one)
    given = {service.get("image") for service in release.resolved.get("services", {}).values()}
    return {image.reference for image in images if image.reference.startswith(prefixes)} - given


def _certificates(settings: GatewaySettings, root: Path) -> Iterator[tuple[str, bytes]]:
    for path in (settings.tls.cert, settings.tls.key) if settings.tls else ():
        try:
            yield str(Path(CONFIGURATION_FOLDER) / path), (root / path).read_bytes()
        except OSError as error:
            raise TargetError(f"the certificate's file {root / path} cannot be read: {error.strerror}") from error


def _sections(release: Release) -> Sections:
    sections, findings = validated(release.resolved)
    if sections is None:
        raise TargetError(f"the app file of {release.name} is not valid any more: {findings[0].message}")
    return sections
