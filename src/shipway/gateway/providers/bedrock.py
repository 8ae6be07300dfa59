"""Amazon Bedrock's runtime: the model in the path, requests signed with SigV4 or sent with a Bedrock API key as bearer token."""

from __future__ import annotations

import re

from shipway.errors import UsageError
from shipway.gateway.providers.aws_credentials import credentials_of
from shipway.gateway.providers.credentials import Held
from shipway.gateway.providers.event_stream import CONTENT_TYPE
from shipway.gateway.providers.provider import Operation, Outgoing, Route, Settings, field_lines, segment
from shipway.gateway.providers.sigv4 import AwsCredentials, Scope, Signer

METHODS: dict[Operation, str] = {"converse": "converse", "converse_count_tokens": "count-tokens"}
EMBEDDERS: dict[Operation, re.Pattern[str]] = {
    "titan_embeddings": re.compile(r"(?:.*/|[a-z]+\.)?amazon\.titan-embed-text-v2\b.*"),
    "cohere_embeddings": re.compile(r"(?:.*/|[a-z]+\.)?cohere\.embed-.*"),
}
"""Models that embed texts, by their ids: alone, behind a region, or at the end of a foundation model's ARN. The ARN of a
profile of one's own does not say which model it is."""


class Bedrock:
    """A provider of kind `bedrock`. Options: `region`, and `profile` of the shared configuration files."""

    converses_in: Operation = "converse"
    counts_in: Operation | None = "converse_count_tokens"
    embeds_in: tuple[Operation, ...] = ("titan_embeddings", "cohere_embeddings")
    defaults = b""
    request_id_fields = (b"x-amzn-requestid",)
    error_type_field = b"x-amzn-errortype"

    def __init__(self, settings: Settings) -> None:
        """Raises: UsageError without a region, SecretError, MissingExtraError."""
        environ = settings.environ
        region = settings.options.get("region") or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        if not region:
            raise UsageError("a provider of kind bedrock needs a region", 'set region = "eu-central-1" or AWS_REGION')
        self.base_urls = settings.base_urls or (f"https://bedrock-runtime.{region}.{_suffix(region)}",)
        key = settings.api_key.reveal() if settings.api_key else environ.get("AWS_BEARER_TOKEN_BEDROCK")
        self._signer = Signer(Scope(region, "bedrock"))
        self.held: Held[AwsCredentials] | None = None
        if key:
            self.fields = field_lines((*settings.headers, ("Authorization", f"Bearer {key}")))
        else:
            self.fields = field_lines(settings.headers)
            self.held = credentials_of(settings)

    def route(self, operation: Operation, model: str, *, stream: bool) -> Route | None:
        method = METHODS.get(operation)
        if operation in EMBEDDERS and EMBEDDERS[operation].fullmatch(model):
            method = "invoke"
        if method is None:
            return None
        # A model may be an ARN, with slashes and colons that belong to its name.
        target = f"/model/{segment(model)}/{method}"
        if operation == "converse" and stream:
            return Route(f"{target}-stream".encode(), "event-stream", b"Accept: %b\r\n" % CONTENT_TYPE)
        return Route(target.encode(), "json", b"Accept: application/json\r\n")

    def sign(self, request: Outgoing) -> bytes:
        if self.held is None:
            return b""
        # Of the headers only the host is signed: proxies may change others.
        host = [("host", request.authority)]
        added = self._signer.sign(
            request.method, request.target, host, request.body, self.held.current(), request.now_s
        )
        return "".join(f"{name}: {value}\r\n" for name, value in added).encode()


def _suffix(region: str) -> str:
    return "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
