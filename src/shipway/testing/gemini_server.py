"""A fake of Google's Gemini API: content generated whole and streamed in both framings, functions called, tokens counted, texts
embedded.

    async with FakeGemini(models=["gemini-x"]) as fake:
        fake.script(Reply(text="Hello there."), Reply(status=503))
        client = genai.Client(api_key="any", http_options={"base_url": fake.url})

Requests are checked: a field that Gemini does not know is an error, so a translation cannot invent one unnoticed.
"""

import hmac
import json
import re
from typing import Any, Final

from shipway.testing import gemini_embeddings, gemini_request
from shipway.testing import gemini_wire as wire
from shipway.testing.answers import Streamed, Whole
from shipway.testing.fake_server import FakeServer
from shipway.testing.said import pieces, said, told_apart
from shipway.testing.script import ReceivedRequest, Reply

__all__ = ["FakeGemini"]

_PATH: Final = re.compile(r"/v1(?:beta)?/(?:models|tunedModels)/([^/:]+):(\w+)")
_METHODS: Final = {"generateContent", "streamGenerateContent", "countTokens", *gemini_embeddings.METHODS}
_NAME_OF: Final = {status: name for name, status in wire.STATUS_OF.items()}
_RETRY: Final = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}
_BAD_KEY: Final = {
    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
    "reason": "API_KEY_INVALID",
    "domain": "googleapis.com",
}


class FakeGemini(FakeServer):
    """The server; see `FakeServer` for its arguments and what it notes down."""

    request_id_field = "x-goog-request-id"

    @property
    def base_url(self) -> str:
        """The base URL with the version. Google's own client takes `url`, without it."""
        return f"{self.url}/v1beta"

    def refusal(self, request: ReceivedRequest) -> Whole | None:
        given = request.headers.get("x-goog-api-key") or request.query.get("key", "")
        if self.api_key is not None and not hmac.compare_digest(given.encode(), self.api_key.encode()):
            # As there: no 401.
            return _error("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", details=[_BAD_KEY])
        match = _PATH.fullmatch(request.path)
        if request.method != "POST" or match is None or match[2] not in _METHODS:
            return _error("NOT_FOUND", "Requested entity was not found.")
        try:
            body = gemini_request.camel(request.json)
        except ValueError:
            return _error("INVALID_ARGUMENT", "Invalid JSON payload received.")
        if self.models is not None and match[1] not in self.models:
            return _error("NOT_FOUND", f"models/{match[1]} is not found for API version v1beta.")
        if match[2] in gemini_embeddings.METHODS:
            fault = gemini_embeddings.fault(body, match[2], match[1])
        else:
            fault = gemini_request.fault(body, counting=match[2] == "countTokens")
        return None if fault is None else _error("INVALID_ARGUMENT", fault)

    def unscripted(self, request: ReceivedRequest) -> Whole | None:
        if not request.path.endswith(":countTokens"):
            return None
        body = gemini_request.camel(request.json)
        count = len(pieces(wire.prompt_text(body.get("generateContentRequest") or body)))
        details = [{"modality": "TEXT", "tokenCount": count}]
        return Whole(body=json.dumps({"totalTokens": count, "promptTokensDetails": details}).encode())

    def answer(self, request: ReceivedRequest, reply: Reply) -> Whole | Streamed:
        body: Any = gemini_request.camel(request.json)
        match = _PATH.fullmatch(request.path)
        model, method = match.groups() if match else ("", "")
        if method in gemini_embeddings.METHODS:
            document, usage = gemini_embeddings.answer(body, method)
            return Whole(body=json.dumps(document).encode(), usage=usage)
        config: Any = body.get("generationConfig") or {}
        heard = said(
            reply,
            wire.prompt_text(body),
            limit=config.get("maxOutputTokens"),
            stops=config.get("stopSequences", ()),
            json_mode=config.get("responseMimeType") == "application/json",
        )
        heard = told_apart(
            heard, "cache_read", "audio_input", "image_input", "reasoning", "audio_output", "image_output"
        )
        if method == "generateContent":
            return Whole(body=json.dumps(wire.response(body, heard, model)).encode(), usage=heard.usage)
        name = reply.error_type or "UNAVAILABLE"
        error = wire.error(name, reply.message("The model is overloaded."), wire.STATUS_OF[name])
        documents = wire.chunks(body, heard, model)
        if request.query.get("alt") == "sse":
            events = list(wire.as_events(documents))
            return Streamed(events=events, error=wire.sse(error), content_type="text/event-stream", usage=heard.usage)
        return Streamed(
            events=list(wire.as_array(documents)),
            error=b",\r\n" + json.dumps(error).encode() + b"\n]",
            content_type="application/json; charset=UTF-8",
            usage=heard.usage,
        )

    def error(self, reply: Reply) -> Whole:
        """An error named `error_type`, or as the status usually is. When to try again is in a 429's details."""
        name = reply.error_type or _NAME_OF.get(reply.status, "INVALID_ARGUMENT" if reply.status < 500 else "INTERNAL")
        details = [_RETRY] if name == "RESOURCE_EXHAUSTED" else None
        return _error(name, reply.message(f"The fake was told to answer {reply.status}."), reply.status, details)


def _error(name: str, text: str, status: int | None = None, details: list[wire.Json] | None = None) -> Whole:
    code = status or wire.STATUS_OF[name]
    return Whole(body=json.dumps(wire.error(name, text, code, details), indent=2).encode(), status=code)
