"""The credentials that AWS's own tools would use here, found the way they find them.

Keys in the environment are read here; all other sources (shared files with profiles, SSO, assumed roles, web identity, a
container's endpoint, the instance's metadata) are botocore's, which comes with the extra `aws`: see docs/decisions/0013.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from shipway.errors import MissingExtraError
from shipway.gateway.providers.credentials import Fetched, FetchError, Held, held_forever
from shipway.gateway.providers.provider import Settings
from shipway.gateway.providers.sigv4 import AwsCredentials
from shipway.secret import Secret

WHAT = "AWS credentials"


def credentials_of(settings: Settings) -> Held[AwsCredentials]:
    """The credentials of a provider, to be kept fresh.

    Raises:
        MissingExtraError: they are not in the environment, and the extra `aws` is not installed.
    """
    profile = settings.options.get("profile")
    if profile is None:
        given = from_environment(settings.environ)
        if given is not None:
            return held_forever(WHAT, given)
    try:
        import botocore.session  # noqa: F401 - an extra, and 23 MB of memory
    except ImportError:
        raise MissingExtraError("the AWS credential chain", "aws") from None
    return Held(WHAT, lambda: asyncio.to_thread(from_chain, profile))


def from_environment(environ: Mapping[str, str]) -> AwsCredentials | None:
    """The keys in `AWS_ACCESS_KEY_ID` and its companions; None where there are none."""
    access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not access_key or not secret_key:
        return None
    token = environ.get("AWS_SESSION_TOKEN")
    return AwsCredentials(access_key, Secret(secret_key), Secret(token) if token else None)


def from_chain(profile: str | None) -> Fetched[AwsCredentials]:
    """Ask every source in turn, as if for the first time. Blocks; botocore reads the process's own environment.

    Raises:
        FetchError: no source has any, or one that should have failed.
    """
    import botocore.session

    try:
        # A new session each time, since one that is kept gives what it found first until shortly before that expires.
        found: Any = botocore.session.Session(profile=profile).get_credentials()
        frozen = None if found is None else found.get_frozen_credentials()
    except Exception as error:
        # Besides errors of two trees of its own, botocore lets TypeError, KeyError and others through where an answer makes
        # no sense. Any of them means that this source has failed, and none may end the renewal.
        raise FetchError(f"the AWS credential chain failed: {type(error).__name__}") from error
    if frozen is None:
        raise FetchError("no source of the AWS credential chain has credentials")
    expiry = getattr(found, "_expiry_time", None)  # no public name, in years
    token = Secret(frozen.token) if frozen.token else None
    credentials = AwsCredentials(frozen.access_key, Secret(frozen.secret_key), token)
    return Fetched(credentials, None if expiry is None else expiry.timestamp())
