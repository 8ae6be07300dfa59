"""Google's Gemini API: the model and the method are in the path, the key is in a header and never in the query, where logs
would have it."""

from __future__ import annotations

from urllib.parse import quote

from shipway.gateway.providers.provider import Operation, Outgoing, Route, Settings, field_lines

BASE_URL = "https://generativelanguage.googleapis.com/v1beta"

METHODS: dict[Operation, bytes] = {
    "generate_content": b"generateContent",
    "generate_content_count_tokens": b"countTokens",
    "batch_embed_contents": b"batchEmbedContents",
}


class Gemini:
    """A provider of kind `gemini`."""

    converses_in: Operation = "generate_content"
    counts_in: Operation | None = "generate_content_count_tokens"
    embeds_in: tuple[Operation, ...] = ("batch_embed_contents",)
    defaults = b""
    held = None
    request_id_fields = (b"x-request-id", b"x-goog-request-id")
    error_type_field = None

    def __init__(self, settings: Settings) -> None:
        """Raises: SecretError."""
        self.base_urls = settings.base_urls or (BASE_URL,)
        key = settings.api_key
        own = () if key is None else (("x-goog-api-key", key.reveal()),)
        self.fields = field_lines((*settings.headers, *own))

    def route(self, operation: Operation, model: str, *, stream: bool) -> Route | None:
        # "tunedModels/mine" names its collection itself.
        name = quote(model if "/" in model else f"models/{model}", safe="/").encode()
        if operation == "generate_content" and stream:
            return Route(b"/%b:streamGenerateContent?alt=sse" % name, "sse")
        method = METHODS.get(operation)
        return None if method is None else Route(b"/%b:%b" % (name, method), "json")

    def sign(self, request: Outgoing) -> bytes:
        return b""
