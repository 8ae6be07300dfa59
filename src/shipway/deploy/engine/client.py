"""What Shipway asks of the engine, as typed calls and values. Knows nothing of apps or releases."""

import json
import os
import re
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from shipway.deploy.engine.credentials import HUB, Credentials, registry_of
from shipway.deploy.engine.faults import BusyError, MissingError
from shipway.deploy.engine.session import Session
from shipway.deploy.engine.streams import archive, frames
from shipway.deploy.engine.transport import TIMEOUT_S, Transport
from shipway.deploy.engine.values import Container, EngineVersion, Image, Network
from shipway.errors import BuildError, EngineError, RegistryError, ShipwayError

_BUILD_SILENCE_S = 600.0
_BUILD_S = 3600.0
_TAIL_LINES = 30
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


NO_CREDENTIALS = Credentials(Path(os.devnull))


class Engine:
    """One engine. Every call raises ShipwayError as `faults` translates what the engine says."""

    def __init__(self, transport: Transport, credentials: Credentials = NO_CREDENTIALS) -> None:
        self._http = transport
        self._credentials = credentials

    def version(self) -> EngineVersion:
        raw = self._http.json("GET", "/version", timeout_s=10)
        return EngineVersion(raw["Version"], raw["ApiVersion"], f"{raw['Os']}/{raw['Arch']}")

    def free_bytes(self) -> int | None:
        """What is left on the engine's disk, where that can be seen from here."""
        root = str(self._http.json("GET", "/info")["DockerRootDir"])
        try:
            status = os.statvfs(root)
        except OSError:
            return None
        return status.f_bavail * status.f_frsize

    # Images

    def image(self, reference: str) -> Image | None:
        """The image of that name or id, if the engine has it."""
        try:
            raw = self._http.json("GET", f"/images/{quote(reference, safe='/:@')}/json")
        except MissingError:
            return None
        return Image(
            id=raw["Id"],
            tags=tuple(raw.get("RepoTags") or ()),
            labels=(raw.get("Config") or {}).get("Labels") or {},
            digests=tuple(raw.get("RepoDigests") or ()),
            size_bytes=raw.get("Size", 0),
        )

    def pull(self, reference: str) -> Image:
        """Fetch an image from its registry.

        Raises:
            RegistryError: It refuses, is not reachable, or has no such image for this platform.
        """
        name, tag = name_and_tag(reference)
        query = {"fromImage": name, "tag": tag} if tag else {"fromImage": name}
        self._transfer("/images/create", query, reference)
        image = self.image(reference)
        if image is None:
            raise MissingError(f"the image {reference} is not there after it was pulled")
        return image

    def push(self, reference: str) -> None:
        """Bring an image to its registry. Raises: RegistryError, when that refuses or is not reachable."""
        name, tag = name_and_tag(reference)
        self._transfer(f"/images/{quote(name, safe='/:')}/push", {"tag": tag}, reference)

    def _transfer(self, path: str, query: Mapping[str, str], reference: str) -> None:
        headers = self._credentials.header_for(reference)
        try:
            for _ in self._http.events(path, query, None, 120.0, time.monotonic() + _BUILD_S, headers):
                pass
        except (RegistryError, MissingError) as error:
            host = registry_of(reference)
            login = "docker login" if host == HUB else f"docker login {host}"
            hint = (error.hint or "").replace("docker login REGISTRY", login)
            raise type(error)(f"{reference}: {error.message}", hint) from error

    def images(self, labels: Mapping[str, str]) -> list[Image]:
        raw = self._http.json("GET", "/images/json", {"filters": _filters(labels)})
        return [
            Image(one["Id"], tuple(one.get("RepoTags") or ()), one.get("Labels") or {}, (), one.get("Size", 0))
            for one in raw
        ]

    def tags(self, *repositories: str) -> dict[str, set[str]]:
        """The tags of images here, by repository; `*` stands for a part of a repository's name without a slash."""
        query = {"filters": json.dumps({"reference": [f"{one}:*" for one in repositories]})}
        found: dict[str, set[str]] = {}
        for image in self._http.json("GET", "/images/json", query):
            for name in image.get("RepoTags") or ():
                repository, _, tag = name.rpartition(":")
                found.setdefault(repository, set()).add(tag)
        return found

    def build(
        self, context: bytes, tag: str, network: str, labels: Mapping[str, str], bases: Iterable[str] = ()
    ) -> Iterator[str]:
        """Build the image of *context*, a tar archive with a Dockerfile, with the engine's own builder.

        Args:
            labels: Put on the image besides those in the Dockerfile.
            bases: Images that it starts from and the engine may have to pull.

        Yields:
            What the build prints, line by line.

        Raises:
            BuildError: A step failed. NoSpaceError, RegistryError: as they say.
        """
        query: dict[str, str | bool | Mapping[str, str]] = {
            **{"t": tag, "networkmode": network, "labels": dict(labels)},
            **{"rm": True, "forcerm": True},
        }
        headers = self._credentials.headers_for_build(bases)
        said: list[str] = []
        try:
            deadline_s = time.monotonic() + _BUILD_S
            for event in self._http.events("/build", query, context, _BUILD_SILENCE_S, deadline_s, headers):
                for line in _COLOUR.sub("", str(event.get("stream", event.get("status", "")))).splitlines():
                    if line.strip():
                        said = [*said[-_TAIL_LINES:], line]
                        yield line
        except ShipwayError as error:
            if error.code != "engine":
                raise
            raise BuildError(
                "\n".join([f"{tag} could not be built: {error}", *(f"  {line}" for line in said)]),
                "the last lines of the build say why",
            ) from error

    def tag(self, image_id: str, repository: str, tag: str) -> None:
        self._http.json("POST", f"/images/{image_id}/tag", {"repo": repository, "tag": tag})

    def remove_image(self, reference: str) -> None:
        """Remove it, unless it is gone or something uses it."""
        try:
            self._http.json("DELETE", f"/images/{quote(reference, safe='/:@')}", timeout_s=120)
        except (MissingError, BusyError):
            pass

    # Containers

    def containers(self, labels: Mapping[str, str]) -> list[Container]:
        """All with these labels, running or not, by name."""
        raw = self._http.json("GET", "/containers/json", {"all": True, "filters": _filters(labels)})
        found = (self.container(one["Id"]) for one in raw)
        return sorted((one for one in found if one is not None), key=lambda one: one.name)

    def container(self, name: str) -> Container | None:
        try:
            return Container.of(self._http.json("GET", f"/containers/{name}/json"))
        except MissingError:
            return None

    def create(self, name: str, specification: Mapping[str, Any]) -> str:
        """Make a container that does not run yet, without a *name* of ours if that is empty. Returns its id.

        Raises:
            BusyError: The name is taken.
        """
        query = {"name": name} if name else {}
        identity: str = self._http.json("POST", "/containers/create", query, specification, timeout_s=120)["Id"]
        return identity

    def run_once(self, specification: Mapping[str, Any]) -> None:
        """Run a container without a name to its end and remove it. Raises: EngineError, when it fails."""
        identity = self.create("", specification)
        try:
            self.start(identity)
            status = self.wait(identity, 60)
            if status != 0:
                said = " ".join(self.last_lines(identity, 5))
                raise EngineError(f"a container that does one thing ended with status {status}: {said}")
        finally:
            self.remove(identity)

    def wait(self, name: str, timeout_s: float) -> int:
        """The status that it ends with."""
        status: int = self._http.json("POST", f"/containers/{name}/wait", timeout_s=timeout_s)["StatusCode"]
        return status

    def start(self, name: str) -> None:
        """Start it; nothing happens when it runs."""
        self._http.json("POST", f"/containers/{name}/start", timeout_s=120)

    def stop(self, name: str, patience_s: float) -> None:
        """SIGTERM, and SIGKILL after *patience_s*; nothing happens when it does not run or is gone."""
        try:
            seconds = max(1, round(patience_s))
            self._http.json("POST", f"/containers/{name}/stop", {"t": seconds}, timeout_s=seconds + TIMEOUT_S)
        except MissingError:
            pass

    def restart(self, name: str, patience_s: float) -> None:
        seconds = max(1, round(patience_s))
        self._http.json("POST", f"/containers/{name}/restart", {"t": seconds}, timeout_s=seconds + TIMEOUT_S)

    def signal(self, name: str, number: str) -> None:
        """Send a signal; nothing happens when it does not run or is gone."""
        try:
            self._http.json("POST", f"/containers/{name}/kill", {"signal": number})
        except (MissingError, BusyError):
            pass

    def rename(self, name: str, new_name: str) -> None:
        self._http.json("POST", f"/containers/{name}/rename", {"name": new_name})

    def remove(self, name: str) -> None:
        """Remove the container with its anonymous volumes, running or not; nothing happens when it is gone."""
        try:
            self._http.json("DELETE", f"/containers/{name}", {"force": True, "v": True}, timeout_s=120)
        except MissingError:
            pass
        except BusyError as error:
            if "already in progress" not in str(error):
                raise

    def put_files(self, name: str, files: Mapping[str, bytes], *, owner: int, mode: int = 0o400) -> None:
        """Write files into a container, whether it runs or not; contents travel on the socket alone.

        Args:
            files: Content by absolute path; folders are made.
            owner: User and group that they belong to.
        """
        self._http.data(
            "PUT", f"/containers/{name}/archive", {"path": "/"}, archive(files, owner=owner, mode=mode), timeout_s=120
        )

    def get_file(self, name: str, path: str) -> bytes | None:
        """The content of one file of a container."""
        try:
            data = self._http.data("GET", f"/containers/{name}/archive", {"path": path})
        except MissingError:
            return None
        with tarfile.open(fileobj=BytesIO(data)) as tar:
            member = tar.next()
            content = tar.extractfile(member) if member is not None and member.isfile() else None
            return content.read() if content is not None else None

    def list_folder(self, name: str, path: str) -> list[str]:
        """The names of the files in a folder of a container, which must be a small one; none when it is not there."""
        return sorted(self.get_folder(name, path))

    def get_folder(self, name: str, path: str) -> dict[str, bytes]:
        """The files of a folder of a container by name, all in memory; none when it is not there."""
        try:
            data = self._http.data("GET", f"/containers/{name}/archive", {"path": path}, timeout_s=120)
        except MissingError:
            return {}
        with tarfile.open(fileobj=BytesIO(data)) as tar:
            files = ((member.name.partition("/")[2], tar.extractfile(member)) for member in tar if member.isfile())
            return {name: file.read() for name, file in files if file is not None}

    def logs(
        self, name: str, *, tail: int | None = None, follow: bool = False, timestamps: bool = False
    ) -> Iterator[tuple[int, bytes]]:
        """Pieces of what the container printed, with 1 for standard output and 2 for standard error.

        With *follow* it ends when the container does.
        """
        query: dict[str, str | int | bool] = {
            "stdout": True,
            "stderr": True,
            "follow": follow,
            "timestamps": timestamps,
        }
        query["tail"] = "all" if tail is None else tail
        silence_s = 365 * 86400.0 if follow else TIMEOUT_S
        with self._http.open("GET", f"/containers/{name}/logs", query, timeout_s=silence_s) as response:
            yield from frames(response)

    def last_lines(self, name: str, count: int) -> list[str]:
        """What the container printed last; nothing when it is gone."""
        try:
            data = b"".join(piece for _, piece in self.logs(name, tail=count))
        except MissingError:
            return []
        return data.decode(errors="replace").splitlines()[-count:]

    def error_lines(self, name: str, since: str) -> list[str]:
        """What the container wrote to standard error since the time *since*, RFC 3339; nothing when it is gone."""
        moment = datetime.fromisoformat(since[:19] + "+00:00").timestamp() if since[:4] > "0001" else 0.0
        query: dict[str, str | int | bool] = {"stderr": True, "since": int(moment)}
        try:
            with self._http.open("GET", f"/containers/{name}/logs", query) as response:
                data = b"".join(piece for _, piece in frames(response))
        except MissingError:
            return []
        return data.decode(errors="replace").splitlines()

    @contextmanager
    def run_inside(self, name: str, command: tuple[str, ...], *, reads: bool, terminal: bool) -> Iterator[Session]:
        """Run a command in a running container.

        Args:
            reads: Whether it gets an input.
            terminal: Whether it gets a terminal, where it has an input.
        """
        specification = {
            "Cmd": list(command),
            "AttachStdin": reads,
            "AttachStdout": True,
            "AttachStderr": True,
            "Tty": terminal,
        }
        identity = self._http.json("POST", f"/containers/{name}/exec", body=specification)["Id"]
        with self._http.taken_over(f"/exec/{identity}/start", {"Detach": False, "Tty": terminal}) as (out, into):
            yield Session(self._http, identity, out, into, terminal)

    # Networks and volumes

    def network(self, name: str) -> Network | None:
        try:
            raw = self._http.json("GET", f"/networks/{name}")
        except MissingError:
            return None
        addresses = (raw["IPAM"]["Config"] or [{}])[0]
        return Network(
            raw["Id"], raw["Name"], raw["Labels"] or {}, addresses.get("Subnet", ""), addresses.get("Gateway", "")
        )

    def create_network(self, name: str, labels: Mapping[str, str], subnet: str = "", gateway: str = "") -> None:
        """Make a bridge; the engine chooses an unused *subnet*, and the host's address in it, when none are given."""
        body: dict[str, Any] = {"Name": name, "Driver": "bridge", "CheckDuplicate": True, "Labels": dict(labels)}
        if subnet:
            body["IPAM"] = {"Driver": "default", "Config": [{"Subnet": subnet, "Gateway": gateway}]}
        self._http.json("POST", "/networks/create", body=body)

    def networks(self, labels: Mapping[str, str]) -> list[str]:
        return [one["Name"] for one in self._http.json("GET", "/networks", {"filters": _filters(labels)})]

    def remove_network(self, name: str) -> None:
        try:
            self._http.json("DELETE", f"/networks/{name}")
        except MissingError:
            pass

    def create_volume(self, name: str, labels: Mapping[str, str]) -> None:
        """Make it; nothing happens when it exists."""
        self._http.json("POST", "/volumes/create", body={"Name": name, "Labels": dict(labels)})

    def volumes(self, labels: Mapping[str, str]) -> list[str]:
        raw = self._http.json("GET", "/volumes", {"filters": _filters(labels)})
        return [one["Name"] for one in raw["Volumes"] or ()]

    def remove_volume(self, name: str) -> None:
        try:
            self._http.json("DELETE", f"/volumes/{name}", timeout_s=60)
        except MissingError:
            pass


def name_and_tag(reference: str) -> tuple[str, str]:
    """The two parts of an image's name; a reference by digest has no tag."""
    if "@" in reference:
        return reference, ""
    name, colon, tag = reference.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (reference, "latest")


def _filters(labels: Mapping[str, str]) -> str:
    return json.dumps({"label": [f"{key}={value}" if value else key for key, value in labels.items()]})
