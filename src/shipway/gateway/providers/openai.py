"""OpenAI, and every server that speaks its API: the key as a bearer token, paths below a base URL that ends in the version."""

from __future__ import annotations

from shipway.errors import UsageError
from shipway.gateway.providers.provider import Framing, Operation, Outgoing, Route, Settings, field_lines

PATHS: dict[Operation, str] = {
    "chat_completions": "/chat/completions",
    "completions": "/completions",
    "embeddings": "/embeddings",
    "responses": "/responses",
    "transcriptions": "/audio/transcriptions",
    "translations": "/audio/translations",
    "speech": "/audio/speech",
    "images": "/images/generations",
    "image_edits": "/images/edits",
    "rerank": "/rerank",
}
"""OpenAI itself has no rerank; vLLM, llama.cpp and others serve it beside the rest."""


def framing_of(operation: Operation, *, stream: bool) -> Framing:
    """How OpenAI's API answers *operation*."""
    if stream:
        return "sse"
    return "bytes" if operation == "speech" else "json"


class OpenAi:
    """A provider of kind `openai` or `local`."""

    converses_in: Operation = "chat_completions"
    counts_in: Operation | None = None
    embeds_in: tuple[Operation, ...] = ()
    defaults = b""
    held = None
    request_id_fields = (b"x-request-id",)
    error_type_field = None

    def __init__(self, settings: Settings) -> None:
        """Raises: UsageError without a base URL, SecretError."""
        if not settings.base_urls:
            raise UsageError("a provider that speaks OpenAI's API needs base_url")
        self.base_urls = settings.base_urls
        key = settings.api_key
        bearer = () if key is None else (("Authorization", f"Bearer {key.reveal()}"),)
        self.fields = field_lines((*settings.headers, *bearer))

    def route(self, operation: Operation, model: str, *, stream: bool) -> Route | None:
        path = PATHS.get(operation)
        return None if path is None else Route(path.encode(), framing_of(operation, stream=stream))

    def sign(self, request: Outgoing) -> bytes:
        return b""
