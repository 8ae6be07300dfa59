"""Anthropic's Messages API: the key in a header of its own, and the version of the wire format beside it.

A client that speaks this dialect says its version itself. What is translated goes out in the older one of the two that there
are: the newer (2026-10-21) refuses `temperature`, `top_p` and `top_k`, which all other dialects have.
"""

from __future__ import annotations

from shipway.gateway.providers.provider import Operation, Outgoing, Route, Settings, field_lines

BASE_URL = "https://api.anthropic.com/v1"
VERSION = "2023-06-01"

PATHS: dict[Operation, bytes] = {"messages": b"/messages", "count_tokens": b"/messages/count_tokens"}


class Anthropic:
    """A provider of kind `anthropic`."""

    converses_in: Operation = "messages"
    counts_in: Operation | None = "count_tokens"
    embeds_in: tuple[Operation, ...] = ()
    held = None
    request_id_fields = (b"request-id",)
    error_type_field = None

    def __init__(self, settings: Settings) -> None:
        """Raises: SecretError."""
        self.base_urls = settings.base_urls or (BASE_URL,)
        key = settings.api_key
        self.fields = field_lines((*settings.headers, *(() if key is None else (("x-api-key", key.reveal()),))))
        given = any(name.lower() == "anthropic-version" for name, _ in settings.headers)
        self.defaults = b"" if given else field_lines((("anthropic-version", VERSION),))

    def route(self, operation: Operation, model: str, *, stream: bool) -> Route | None:
        path = PATHS.get(operation)
        return None if path is None else Route(path, "sse" if stream else "json")

    def sign(self, request: Outgoing) -> bytes:
        return b""
