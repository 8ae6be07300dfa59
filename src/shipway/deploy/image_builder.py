"""Has images exist: on the engine, and in a registry where one is set. What is there already is not made again."""

from collections.abc import Iterator
from dataclasses import dataclass

from shipway.deploy.build_context import archive_of
from shipway.deploy.build_fetch import fetched_wheels
from shipway.deploy.build_images import Context
from shipway.deploy.engine.client import Engine, name_and_tag
from shipway.deploy.engine.faults import MissingError
from shipway.deploy.engine.values import Image
from shipway.errors import BuildError, NoSpaceError, RegistryError
from shipway.secret import Secret

REPOSITORY = "shipway-build"
"""Images that were built here are called `shipway-build/APP/SERVICE:KEY`, or, where a registry is set, begin with that."""

_FULL_BYTES = 64 << 20
"""A build that failed with so little left failed for want of more."""


@dataclass(frozen=True)
class ImageBuilder:
    """Builds contexts on one engine, each only once.

    Attributes:
        network: Of the steps of a build.
        registry: Where images go to and may come from; None for the engine alone.
        created: Now, UTC, RFC 3339, for a label.
        revision: The commit that the files are at, for another one.
        pip_config: For packages that have to be fetched before a build.
    """

    engine: Engine
    network: str
    registry: str | None
    created: str
    revision: str | None
    pip_config: Secret | None = None

    def reference(self, context: Context) -> str:
        base = self.engine.image(context.base) if context.base else None
        return f"{self.registry or REPOSITORY}/{context.name}:{context.tag(base.id if base else '')}"

    def built(self, context: Context) -> Image | None:
        return self.engine.image(self.reference(context))

    def build(self, context: Context) -> Iterator[str]:
        """Have the image exist. Yields what the build prints; nothing when it exists already.

        Raises:
            BuildError: A step failed. RegistryError: the base image cannot be had, or the result not be pushed.
            NoSpaceError: the disk is full.
        """
        if context.base and self.engine.image(context.base) is None:
            yield f"pulling {context.base}"
            self.engine.pull(context.base)
        if self.built(context) is None and not self._is_fetched(context):
            entries = dict(context.entries)
            if self.pip_config is not None and context.fetches:
                yield f"fetching the packages of {context.name}"
                entries |= fetched_wheels(self.engine, context, self.network, self.pip_config)
            yield f"building {context.name}"
            yield from self._build(context, archive_of(entries))
        if self.registry is not None and not self._is_pushed(context):
            yield f"pushing {self.reference(context)}"
            self.engine.push(self.reference(context))

    def _build(self, context: Context, archive: bytes) -> Iterator[str]:
        # Of the build that made this content: the same content is not built again for another commit or day.
        labels = {"org.opencontainers.image.created": self.created}
        if self.revision is not None:
            labels["org.opencontainers.image.revision"] = self.revision
        try:
            yield from self.engine.build(archive, self.reference(context), self.network, labels, context.bases)
        except BuildError as error:
            # Installers have their own words for a full disk, or none at all.
            free = self.engine.free_bytes()
            if free is not None and free < _FULL_BYTES:
                raise NoSpaceError(
                    f"the engine has no space left on its disk ({free >> 20} MiB): {error}",
                    "docker system df; then docker image prune, or a larger disk",
                ) from error
            raise

    def _is_fetched(self, context: Context) -> bool:
        """Whether the registry had what somebody else has built of the same content."""
        if self.registry is None:
            return False
        try:
            self.engine.pull(self.reference(context))
        except (RegistryError, MissingError):
            return False  # a refusal or a wrong address is said when it is pushed
        return True

    def _is_pushed(self, context: Context) -> bool:
        """Whether the engine knows the image to be in the registry."""
        reference = self.reference(context)
        image = self.engine.image(reference)
        name, _ = name_and_tag(reference)
        return image is not None and any(one.startswith(f"{name}@") for one in image.digests)
