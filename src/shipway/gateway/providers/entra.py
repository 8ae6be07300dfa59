"""Tokens of Microsoft Entra for Azure's services: with a client's secret, a workload's identity, or a managed identity.

Which of them follows from the same environment variables that Azure's own libraries read. Each is one small HTTP request, made
in a thread in the background; `Held` says when.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

import msgspec

from shipway.gateway.providers.credentials import Fetched, FetchError, Held
from shipway.secret import Secret

WHAT = "Entra token"
RESOURCE = "https://cognitiveservices.azure.com"
"""What the tokens are for: Azure OpenAI, also where it is called Foundry."""

TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 64 * 1024
_JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """An HTTP request that is answered with a token."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    """Posted; a request without one is a GET."""
    through_proxy: bool = True
    """Whether the environment's proxy is used; what is on the machine itself is never behind one."""


class _Answer(msgspec.Struct):
    access_token: str
    expires_in: int | str | None = None
    expires_on: int | str | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def token_of(environ: Mapping[str, str], now_s: Callable[[], float] = time.time) -> Held[Secret]:
    """The token of whoever the environment says we are, to be kept fresh."""

    async def fetch() -> Fetched[Secret]:
        return await asyncio.to_thread(lambda: fetch_token(request_from(environ), now_s))

    return Held(WHAT, fetch, now_s=now_s)


def request_from(environ: Mapping[str, str]) -> TokenRequest:
    """How to ask for a token here: by secret, else by workload identity, else by managed identity.

    Raises:
        FetchError: the workload's own token cannot be read.
    """
    tenant, client = environ.get("AZURE_TENANT_ID"), environ.get("AZURE_CLIENT_ID")
    secret, token_file = environ.get("AZURE_CLIENT_SECRET"), environ.get("AZURE_FEDERATED_TOKEN_FILE")
    if tenant and client and (secret or token_file):
        authority = environ.get("AZURE_AUTHORITY_HOST") or "https://login.microsoftonline.com"
        proof = (
            {"client_secret": secret}
            if secret
            # Read each time: Kubernetes replaces it every hour.
            else {"client_assertion_type": _JWT_BEARER, "client_assertion": _read(token_file or "")}
        )
        form = {"grant_type": "client_credentials", "client_id": client, "scope": f"{RESOURCE}/.default", **proof}
        return TokenRequest(f"{authority.rstrip('/')}/{tenant}/oauth2/v2.0/token", form=form)
    return _managed_identity(environ, client)


def _managed_identity(environ: Mapping[str, str], client: str | None) -> TokenRequest:
    """App Service and Container Apps name an endpoint of their own; virtual machines and AKS have the metadata service."""
    query = {"resource": RESOURCE, **({"client_id": client} if client else {})}
    endpoint, header = environ.get("IDENTITY_ENDPOINT"), environ.get("IDENTITY_HEADER")
    if endpoint and header:
        url = f"{endpoint}?{urlencode({'api-version': '2019-08-01', **query})}"
        return TokenRequest(url, {"X-IDENTITY-HEADER": header}, through_proxy=False)
    host = environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST") or "http://169.254.169.254"
    url = f"{host.rstrip('/')}/metadata/identity/oauth2/token?{urlencode({'api-version': '2018-02-01', **query})}"
    return TokenRequest(url, {"Metadata": "true"}, through_proxy=False)


def fetch_token(request: TokenRequest, now_s: Callable[[], float] = time.time) -> Fetched[Secret]:
    """Ask for a token. Blocks. Raises: FetchError, which never says what was sent or answered."""
    data = None if request.form is None else urlencode(request.form).encode()
    opener = build_opener() if request.through_proxy else build_opener(ProxyHandler({}))
    asked_s = now_s()
    try:
        # The URL is Microsoft's or from the machine's own environment, never from a caller.
        with opener.open(Request(request.url, data, dict(request.headers)), timeout=TIMEOUT_S) as response:  # noqa: S310
            answer = _decode(response.read(MAX_ANSWER_BYTES))
        return Fetched(Secret(answer.access_token), _expiry_s(answer, asked_s))
    except HTTPError as error:
        error.close()  # it is the response too
        raise FetchError(f"the {WHAT} was refused: {error.code}") from None
    except (OSError, HTTPException, ValueError) as error:
        raise FetchError(f"the {WHAT} cannot be asked for: {type(error).__name__}") from None


def _expiry_s(answer: _Answer, asked_s: float) -> float:
    """Managed identities say when, as text; the others say how long."""
    if answer.expires_on is not None:
        return float(answer.expires_on)
    return asked_s + float(answer.expires_in or 0)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FetchError(f"the workload's token {path} cannot be read: {type(error).__name__}") from None
