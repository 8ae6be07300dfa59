"""Azure OpenAI: OpenAI's API at an address of the customer's own, in two forms of URL and with two kinds of credentials.

The v1 API (`https://NAME.openai.azure.com/openai/v1`) has OpenAI's own paths and the deployment in the body's `model`. With the
option `api_version` the older form is spoken: base URL `…/openai`, the deployment in the path, the version in the query.
"""

from __future__ import annotations

from shipway.errors import UsageError
from shipway.gateway.providers.credentials import Held
from shipway.gateway.providers.entra import token_of
from shipway.gateway.providers.openai import PATHS, framing_of
from shipway.gateway.providers.provider import Operation, Outgoing, Route, Settings, field_lines, segment
from shipway.secret import Secret

_BELOW_DEPLOYMENTS = frozenset(PATHS) - {"responses", "rerank"}


class Azure:
    """A provider of kind `azure`. Options: `api_version`. Without an `api_key` tokens of Entra are sent."""

    converses_in: Operation = "chat_completions"
    counts_in: Operation | None = None
    embeds_in: tuple[Operation, ...] = ()
    defaults = b""
    request_id_fields = (b"apim-request-id", b"x-ms-request-id", b"x-request-id")
    error_type_field = None

    def __init__(self, settings: Settings) -> None:
        """Raises: UsageError without a base URL, SecretError."""
        if not settings.base_urls:
            raise UsageError(
                "a provider of kind azure needs base_url", 'such as "https://NAME.openai.azure.com/openai/v1"'
            )
        self.base_urls = settings.base_urls
        self._api_version = settings.options.get("api_version")
        self.held: Held[Secret] | None = None
        if settings.api_key is None:
            self.fields = field_lines(settings.headers)
            self.held = token_of(settings.environ)
        else:
            self.fields = field_lines((*settings.headers, ("api-key", settings.api_key.reveal())))

    def route(self, operation: Operation, model: str, *, stream: bool) -> Route | None:
        path = PATHS.get(operation)
        if path is None or operation == "rerank":
            return None
        framing = framing_of(operation, stream=stream)
        if self._api_version is None:
            return Route(path.encode(), framing)
        if operation in _BELOW_DEPLOYMENTS:
            path = f"/deployments/{segment(model)}{path}"
        return Route(f"{path}?api-version={segment(self._api_version)}".encode(), framing)

    def sign(self, request: Outgoing) -> bytes:
        return b"" if self.held is None else f"Authorization: Bearer {self.held.current().reveal()}\r\n".encode()
