"""From an app file to the release that it would be: images, versions of secrets, digests of weights."""

import hmac
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from shipway.deploy import records
from shipway.deploy.releases import Release
from shipway.deploy.state import Store
from shipway.deploy.targets import Say, Target
from shipway.errors import ConflictError, SecretError
from shipway.secret import Secret, SecretReference
from shipway.spec.app import App
from shipway.spec.load import resolved

GATEWAY_SECRETS = ("env:SHIPWAY_API_KEYS",)
"""What the gateway itself takes from its environment, where it is set."""

Reveal = Callable[[str], Secret]
"""The value of a reference such as `env:KEY`. Raises SecretError."""


@dataclass(frozen=True)
class Inputs:
    """What a release is made from, beside the app and the target.

    Attributes:
        source: The whole app file.
        secret: How to get at a secret's value.
        weights: Digest of the file of each local model.
        revision: See `git.revision`.
    """

    source: Mapping[str, object]
    secret: Reveal
    weights: Mapping[str, str]
    revision: str | None
    by: str
    at: str


def candidate(app: App, number: int, inputs: Inputs, target: Target, key: bytes, *, build: bool, say: Say) -> Release:
    """The release that *app* is now, under *number*; nothing is kept of it yet.

    Args:
        build: Make the images; without it they only have references.

    Raises:
        SecretError: A secret that the app needs is missing.
        ShipwayError: An image could not be built.
    """
    versions = secret_versions(
        app, inputs.secret, key
    )  # first: a missing secret is known in an instant, a build is not
    release = Release(
        number=number,
        app=app.name,
        environment=app.environment,
        images=target.images(build=build, say=say),
        source=dict(inputs.source),
        resolved=resolved(inputs.source, app.environment),
        secrets=versions,
        weights=dict(inputs.weights),
        revision=inputs.revision,
        by=inputs.by,
        at=inputs.at,
    )
    return rendered(release, target)


def rendered(release: Release, target: Target) -> Release:
    """*release* with what *target* makes of it."""
    return msgspec.structs.replace(release, rendered=target.render(release))


def secret_versions(app: App, secret: Reveal, key: bytes) -> dict[str, str]:
    """An opaque version for each secret that the app needs. Raises: SecretError, naming the first that is missing."""
    versions = {reference: secret_version(secret(reference), key) for reference in secret_references(app)}
    for reference in GATEWAY_SECRETS:
        try:
            versions[reference] = secret_version(secret(reference), key)
        except SecretError:
            continue  # optional: without keys the gateway answers 401 wherever one is wanted
    return versions


def secret_version(value: Secret, key: bytes) -> str:
    """What tells one value from another; without *key* nothing about a value can be guessed from it."""
    return hmac.digest(key, value.reveal().encode("utf-8", "surrogatepass"), "sha256").hex()[:16]


def secret_of_version(secret: Reveal, key: Callable[[], bytes]) -> Callable[[str, str], Secret]:
    """Gives the value of a reference if it still is the version that a release names.

    A release may be brought to its target long after it was made, by another person on another machine (`resume`).
    """

    def value(reference: str, version: str) -> Secret:
        found = secret(reference)
        if secret_version(found, key()) != version:
            raise SecretError(
                f"{reference} has another value here than the release was made with",
                "set it to that value, or give the release up: shipway abort ENV",
            )
        return found

    return value


def secret_references(app: App) -> list[str]:
    """The references of services that Shipway runs and of models with the providers that they use, each once."""
    return list(dict.fromkeys(str(one) for one in _values(app) if isinstance(one, SecretReference)))


def _values(app: App) -> Iterator[object]:
    for service in app.services.values():
        if not service.runs_elsewhere:
            yield from service.env.values()
    used = {upstream.provider for model in app.models.values() for upstream in model.upstreams_by_place.values()}
    for name, provider in app.providers.items():
        if name in used:
            yield from (provider.api_key, *provider.headers.values())
    for model in app.models.values():
        yield from model.references.values()


class _Key(msgspec.Struct, frozen=True):
    key: bytes


def version_key(store: Store, folder: str, *, make: bool) -> bytes:
    """The key that versions of secrets are made with in one environment. If it has none yet, a new one; *make* keeps it."""
    at = f"{folder}/version-key"
    while True:
        found = records.read(store, at, _Key)
        if found is not None:
            return found.value.key
        if not make:
            return secrets.token_bytes(32)
        try:
            records.write(store, at, _Key(secrets.token_bytes(32)), None)
        except ConflictError:
            continue
