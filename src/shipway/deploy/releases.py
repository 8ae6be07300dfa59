"""A release: the record of everything that runs in an environment. Numbered, written once, never changed.

A number means the same build in every environment of an app; `resolved`, `files` and `secrets` are what one environment
makes of it. `archive` keeps the records.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

SCHEMA = 1
"""Version of the record's form. A record of a later one is refused, never read in part."""

SECRETS_FOLDER = "/run/shipway/secrets"
"""Where containers find the secrets of releases, one file each."""


class Image(msgspec.Struct, frozen=True):
    """A container image.

    Attributes:
        reference: Its name with a tag that follows from what it is built from, known before it is built.
        digest: What an engine runs by, such as `sha256:…`; None while it is not built.
    """

    reference: str
    digest: str | None = None


class Images(msgspec.Struct, frozen=True):
    """What a release is built into: one image for each service that Shipway runs, and the gateway's."""

    services: dict[str, Image]
    gateway: Image

    @property
    def built(self) -> bool:
        return all(image.digest for image in (self.gateway, *self.services.values()))

    @property
    def digests(self) -> dict[str, str]:
        """Those that are known; the gateway's is under the empty name."""
        images = {"": self.gateway, **self.services}
        return {name: image.digest for name, image in images.items() if image.digest is not None}


class Rendered(msgspec.Struct, frozen=True):
    """What a target makes of a release before anything runs.

    Attributes:
        files: Text by path: what `shipway export` writes and what the target hands to its engine.
        addresses: Where each service of this release will answer, as seen by the gateway: `http://host:port`.
        gateway: Keys of `[gateway]` that the target decides, such as the address to listen on inside a container.
    """

    files: dict[str, str] = {}
    addresses: dict[str, str] = {}
    gateway: dict[str, Any] = {}


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """One release in one environment.

    Attributes:
        source: The whole app file as a table, with all environments: promotion starts from it.
        resolved: The same as this environment sees it, without the environments.
        secrets: For each reference of the app file an opaque version of the value; never the value.
        weights: For each local model the digest of its file.
        revision: The commit that it was made from, with `+changes` where the folder had others; None without git.
        at: When it was made, UTC, ISO 8601.
        promoted_from: The environment that it came from.
    """

    schema: int = SCHEMA
    number: int
    app: str
    environment: str
    images: Images
    source: dict[str, Any]
    resolved: dict[str, Any]
    rendered: Rendered = Rendered()
    secrets: dict[str, str] = {}
    weights: dict[str, str] = {}
    revision: str | None = None
    by: str = ""
    at: str = ""
    promoted_from: str | None = None

    @property
    def name(self) -> str:
        return release_name(self.number)

    @property
    def file_digests(self) -> dict[str, str]:
        return {path: digest_of(text) for path, text in self.rendered.files.items()}

    @property
    def content(self) -> str:
        """A digest of all that would make a difference to who calls the app, as far as it is known without a build."""
        return digest_of(self._decisive())

    def is_same_as(self, other: "Release") -> bool:
        """Whether *other* would serve just so: the same content and, where they are known, the same images.

        A tag that follows from what an image is built from is the same after a build anew, and a tag of the user's own may be
        moved; the digest tells.
        """
        ours, theirs = self.images.digests, other.images.digests
        return self.content == other.content and all(
            theirs.get(name, digest) == digest for name, digest in ours.items()
        )

    def _decisive(self) -> str:
        images = {name: image.reference for name, image in sorted(self.images.services.items())}
        parts = (images, self.images.gateway.reference, self.resolved, self.secrets, self.weights)
        return msgspec.json.encode(parts, order="sorted").decode()


def release_name(number: int) -> str:
    """What people and the gateway call a release: `v4`."""
    return f"v{number}"


def release_number(text: str) -> int | None:
    """4 from `v4`; None for anything else."""
    digits = text.removeprefix("v")
    return int(digits) if text.startswith("v") and digits.isascii() and digits.isdigit() and len(digits) < 10 else None


def secret_file_name(reference: str, version: str) -> str:
    """The file of one version of a secret below `SECRETS_FOLDER`; another version is another file, so both can be kept."""
    plain = "".join(c if c.isalnum() and c.isascii() else "-" for c in reference)
    return f"{plain}-{digest_of(reference)[7:13]}-{version}"


def digest_of(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def flat(table: Mapping[str, Any], at: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """The values of nested tables by their keys; lists count as values."""
    result: dict[tuple[str, ...], Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            result |= flat(value, (*at, key))
        else:
            result[(*at, key)] = value
    return result
