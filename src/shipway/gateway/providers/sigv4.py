"""AWS Signature Version 4, as headers of one request: pure functions over what is sent, the time and the credentials.

The path is taken as it goes on the wire and encoded once more, as every service but S3 wants it.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

from shipway.secret import Secret

ALGORITHM = "AWS4-HMAC-SHA256"

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class AwsCredentials:
    """Keys of an AWS account; *token* comes with temporary ones."""

    access_key: str
    secret_key: Secret
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What a signature is good for, besides its day."""

    region: str
    service: str


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key derived for one day and scope, which is four of the five hashes of a signature."""

    access_key: str
    scope: str
    key: bytes = field(repr=False)

    @classmethod
    def derive(cls, credentials: AwsCredentials, scope: Scope, day: str) -> SigningKey:
        """*day* is in UTC, as in "20150830"."""
        key = b"AWS4" + credentials.secret_key.reveal().encode()
        for part in (day, scope.region, scope.service, "aws4_request"):
            key = _hmac(key, part)
        return cls(credentials.access_key, f"{day}/{scope.region}/{scope.service}/aws4_request", key)


class Signer:
    """Signs requests of one scope; keeps the day's key for as long as the credentials are the same."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._kept: tuple[AwsCredentials, str, SigningKey] | None = None

    def sign(
        self, method: str, target: str, headers: Headers, body: bytes, credentials: AwsCredentials, now_s: float
    ) -> list[tuple[str, str]]:
        """The headers to add to a request; all of *headers*, `host` among them, are signed.

        Args:
            target: Path and query as they are sent.
            now_s: Seconds since 1970; the service accepts five minutes of difference.
        """
        stamp = amz_date(now_s)
        added = [("x-amz-date", stamp)]
        if credentials.token is not None:
            added.append(("x-amz-security-token", credentials.token.reveal()))
        key = self._key(credentials, stamp[:8])
        payload = hashlib.sha256(body).hexdigest()
        added.append(("authorization", authorization(method, target, [*headers, *added], payload, key, stamp)))
        return added

    def _key(self, credentials: AwsCredentials, day: str) -> SigningKey:
        kept = self._kept
        if kept is not None and kept[0] is credentials and kept[1] == day:
            return kept[2]
        key = SigningKey.derive(credentials, self._scope, day)
        self._kept = (credentials, day, key)
        return key


def amz_date(now_s: float) -> str:
    """A time as the header `x-amz-date` has it."""
    return datetime.fromtimestamp(now_s, UTC).strftime("%Y%m%dT%H%M%SZ")


def authorization(method: str, target: str, headers: Headers, payload_sha256: str, key: SigningKey, stamp: str) -> str:
    """The value of `authorization`. *headers* are all that are signed, with `x-amz-date` of the same *stamp*."""
    lines, names = canonical_headers(headers)
    path, _, query = target.partition("?")
    canonical = "\n".join(
        (method, canonical_path(path), canonical_query(query), *lines, "", ";".join(names), payload_sha256)
    )
    to_sign = "\n".join((ALGORITHM, stamp, key.scope, hashlib.sha256(canonical.encode()).hexdigest()))
    signature = _hmac(key.key, to_sign).hex()
    return (
        f"{ALGORITHM} Credential={key.access_key}/{key.scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )


def canonical_headers(headers: Headers) -> tuple[list[str], list[str]]:
    """Lines of the headers as they are signed, and their names; both sorted, values of a repeated name joined."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    names = sorted(values)
    return [f"{name}:{','.join(values[name])}" for name in names], names


def canonical_path(path: str) -> str:
    """*path* without empty and dotted segments, and encoded."""
    segments: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            segments = segments[:-1]
        elif segment not in {"", "."}:
            segments.append(segment)
    ends_open = path.endswith("/") and segments
    return quote("/" + "/".join(segments) + ("/" if ends_open else ""), safe="/~")


def canonical_query(query: str) -> str:
    """*query*, which is encoded already, with its pairs in order."""
    pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if pair)
    return "&".join(f"{name}={value}" for name, value in pairs)


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
