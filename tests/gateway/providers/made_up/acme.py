"""Acme, which does not exist: OpenAI's chat below a path of its own, and the key in a header of its own."""

from shipway.gateway.providers.openai import OpenAi
from shipway.gateway.providers.provider import Operation, Route, Settings, field_lines

BASE_URL = "https://api.acme.example"


class Acme(OpenAi):
    """A provider of kind `acme`."""

    request_id_fields = (b"x-acme-trace",)

    def __init__(self, settings: Settings) -> None:
        self.base_urls = settings.base_urls or (BASE_URL,)
        key = settings.api_key
        own = () if key is None else (("X-Acme-Key", key.reveal()),)
        self.fields = field_lines((*settings.headers, *own))

    def route(self, operation: Operation, model: str, *, stream: bool) -> Route | None:
        if operation != "chat_completions":
            return None
        return Route(b"/inference/openai/chat/completions", "sse" if stream else "json")
