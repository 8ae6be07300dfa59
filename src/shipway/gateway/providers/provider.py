"""What a provider is to the data path: where a request to one of its models goes, and with which headers.

A provider knows addresses, headers and credentials. What bodies mean is the dialects' business, connections the pool's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from urllib.parse import quote

from shipway.errors import SecretError
from shipway.gateway.providers.credentials import Held
from shipway.secret import Secret

Operation = Literal[
    "chat_completions",
    "completions",
    "embeddings",
    "responses",
    "messages",
    "count_tokens",
    "converse",
    "converse_count_tokens",
    "generate_content",
    "generate_content_count_tokens",
    "batch_embed_contents",
    "titan_embeddings",
    "cohere_embeddings",
    "transcriptions",
    "translations",
    "speech",
    "images",
    "image_edits",
    "rerank",
]
"""What can be asked of a model, each in the one dialect that has it: `messages` and `count_tokens` are Anthropic's, `converse`
and the embeddings of a family of models are Bedrock's, `generate_content` and `batch_embed_contents` Gemini's, the others
OpenAI's or of its kind."""

Framing = Literal["json", "sse", "event-stream", "bytes"]
"""How a good answer comes: a document, server-sent events, AWS event-stream messages, or a file."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes, below the base URL, and how its answer comes."""

    target: bytes
    """Path and query, encoded as they are sent."""
    framing: Framing
    fields: bytes = b""
    """Header lines of this operation, besides the provider's own."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request as it is about to be sent, for providers that sign."""

    method: str
    target: str
    """With the base URL's path in front."""
    authority: str
    body: bytes
    now_s: float
    """Wall time in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A provider's section of the app file, with its secrets resolved.

    Attributes:
        base_urls: As declared; may be empty where the provider has an address of its own.
        options: Settings that only some kinds take and that are text: `api_version`, `region`, `profile`.
        environ: Where standard variables of the provider's own tools are looked for.
    """

    base_urls: tuple[str, ...] = ()
    api_key: Secret | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    options: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)


class Provider(Protocol):
    """One provider of an app, made once for each snapshot from its `Settings`.

    Attributes:
        base_urls: Where its servers are; never empty.
        converses_in: The operation, and with it the dialect, that conversations of other dialects are translated to.
        counts_in: The same for counting a conversation's tokens; None where it cannot be asked.
        embeds_in: Operations that OpenAI's embeddings are translated to: the first that `route` has for the model.
        fields: Complete header lines that each request carries, credentials that never change included. They replace
            what a client sent under the same names.
        defaults: Header lines that a request carries where the client sent none of the same names, or its request was
            translated.
        held: The credential that changes, if there is one; whoever made the provider keeps it fresh.
        request_id_fields: Response headers, in lower case, in which the request's id there is looked for, in order.
        error_type_field: Response header that says what kind of error it is; None where the body does.
    """

    @property
    def base_urls(self) -> tuple[str, ...]: ...
    @property
    def converses_in(self) -> Operation: ...
    @property
    def counts_in(self) -> Operation | None: ...
    @property
    def embeds_in(self) -> tuple[Operation, ...]: ...
    @property
    def fields(self) -> bytes: ...
    @property
    def defaults(self) -> bytes: ...
    @property
    def held(self) -> Held[Any] | None: ...
    @property
    def request_id_fields(self) -> tuple[bytes, ...]: ...
    @property
    def error_type_field(self) -> bytes | None: ...

    def route(self, operation: Operation, model: str, *, stream: bool) -> Route | None:
        """Where *operation* on *model* goes; None where the provider does not offer it. The same each time: keep it."""

    def sign(self, request: Outgoing) -> bytes:
        """Header lines that depend on the request or the time; b"" from providers whose `held` is None. Never waits.

        Raises:
            NoCredentialError: there is nothing to sign with at present.
        """


def field_lines(fields: tuple[tuple[str, str], ...]) -> bytes:
    """Headers as lines. Raises: SecretError, where a value would break out of its line."""
    for name, value in fields:
        if not value.isprintable():
            raise SecretError(f"the header {name} of a provider holds a line break or another control character")
    return "".join(f"{name}: {value}\r\n" for name, value in fields).encode()


def segment(text: str) -> str:
    """*text* as one segment of a path."""
    return quote(text, safe="")


def field_value(lines: bytes, names: tuple[bytes, ...]) -> bytes | None:
    """The value of the first of *names* (in lower case) that is among header *lines*, as `ResponseHead.lines` has them."""
    found = {name.lower(): value for name, _, value in (line.partition(b":") for line in lines.split(b"\r\n"))}
    return next((found[name].strip() for name in names if name in found), None)
