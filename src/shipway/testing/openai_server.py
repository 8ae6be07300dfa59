"""A fake OpenAI server, which can be any server that speaks OpenAI's API.

    async with FakeOpenAI(models=["chat"]) as fake:
        fake.script(Reply(text="Hello there."), Reply(status=503), Reply(text="cut off here", cut_after=2))
        client = openai.AsyncOpenAI(base_url=fake.base_url, api_key="any")
        ...
        assert fake.requests[0].json["messages"][0]["content"] == "Hi"

It speaks chat completions, completions, responses and models, streamed and not, and embeddings, audio, images and rerank.
The documents come from `openai_wire` and its neighbours, faults and connections from `fake_server`.
"""

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Final

from shipway.testing import openai_media, openai_request, openai_responses
from shipway.testing import openai_wire as wire
from shipway.testing.answers import Event, Streamed, Whole
from shipway.testing.fake_server import FakeServer
from shipway.testing.said import Said, pieces, said, told_apart, with_ids
from shipway.testing.script import Citation, ReceivedRequest, Reply, ToolCall, Usage

__all__ = ["Citation", "FakeOpenAI", "ReceivedRequest", "Reply", "ToolCall", "Usage"]

_JSON_OPERATIONS: Final = {
    "chat/completions",
    "completions",
    "responses",
    "embeddings",
    "audio/speech",
    "images/generations",
    "rerank",
}
_FORM_OPERATIONS: Final = {"audio/transcriptions", "audio/translations", "images/edits"}
_ERROR_TYPES: Final = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}


class FakeOpenAI(FakeServer):
    """The server; see `FakeServer` for its other arguments and what it notes down.

    Args:
        strict: Refuse requests of chat that OpenAI itself would refuse; most servers that speak its API do not.
    """

    def __init__(
        self,
        *,
        models: Iterable[str] | None = None,
        api_key: str | None = None,
        default: Reply | None = None,
        port: int = 0,
        strict: bool = False,
    ) -> None:
        super().__init__(models=models, api_key=api_key, default=default, port=port)
        self._strict = strict

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"

    def operation(self, request: ReceivedRequest) -> str | None:
        """What is asked for: the path below the base URL; None for a path elsewhere."""
        return request.path.removeprefix("/v1/") if request.path.startswith("/v1/") else None

    def body_of(self, request: ReceivedRequest) -> Any:
        """The request's fields. Raises: ValueError."""
        if self.operation(request) in _FORM_OPERATIONS:
            return {name: value.decode(errors="replace") for name, value in request.form.items() if name != "file"}
        return request.json

    def key_is_right(self, request: ReceivedRequest) -> bool:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        return self.api_key is None or hmac.compare_digest(given.encode(), self.api_key.encode())

    def wrong_key(self) -> wire.Json:
        return wire.error("Incorrect API key provided.", "invalid_request_error", "invalid_api_key")

    def unknown_model(self, name: str) -> wire.Json:
        message = f"The model `{name}` does not exist or you do not have access to it."
        return wire.error(message, "invalid_request_error", "model_not_found")

    def amended(self, document: wire.Json) -> wire.Json:
        """A document as it is sent; others than OpenAI add to it."""
        return document

    def opening(self, body: Mapping[str, Any]) -> list[wire.Json]:
        """Documents that a stream of chat begins with, before OpenAI's."""
        return []

    def refusal(self, request: ReceivedRequest) -> Whole | None:
        if not self.key_is_right(request):
            return _whole(401, self.wrong_key())
        operation = self.operation(request)
        if request.method == "GET" and operation is not None and operation.partition("/")[0] == "models":
            return self._unless_known(operation.partition("/")[2] or None)
        if request.method != "POST" or operation not in _JSON_OPERATIONS | _FORM_OPERATIONS:
            message = f"Invalid URL ({request.method} {request.path})"
            return _whole(404, wire.error(message, "invalid_request_error"))
        try:
            body = self.body_of(request)
        except ValueError:
            message = "We could not parse the JSON body of your request."
            return _whole(400, wire.error(message, "invalid_request_error"))
        if not isinstance(body, dict) or not isinstance(body.get("model"), str):
            return _whole(400, wire.error("you must provide a model parameter", "invalid_request_error"))
        if operation == "responses" and body.get("previous_response_id") not in (None, "resp_fake"):
            message = f"Previous response with id '{body['previous_response_id']}' not found."
            error = wire.error(message, "invalid_request_error", "previous_response_not_found", "previous_response_id")
            return _whole(400, error)
        fault = openai_request.fault(body) if self._strict and operation == "chat/completions" else None
        if fault is not None:
            return _whole(400, wire.error(fault, "invalid_request_error"))
        return self._unless_known(body["model"])

    def unscripted(self, request: ReceivedRequest) -> Whole | None:
        if request.method != "GET":
            return None
        name = (self.operation(request) or "").partition("/")[2]
        if name:
            return _whole(200, wire.model(name))
        return _whole(200, {"object": "list", "data": [wire.model(known) for known in self.models or ("fake",)]})

    def answer(self, request: ReceivedRequest, reply: Reply) -> Whole | Streamed:
        body, operation = self.body_of(request), self.operation(request)
        match operation:
            case "chat/completions" | "completions":
                return self._conversation(body, reply, operation)
            case "responses":
                return self._response(body, reply)
            case "audio/speech" if body.get("stream_format") == "sse":
                return _typed(*openai_media.speech_events(body))
            case "images/generations" if body.get("stream"):
                return _typed(*openai_media.image_events(body, "image_generation"))
            case "images/edits" if body.get("stream") == "true":
                return _typed(*openai_media.image_events(body, "image_edit"))
            case "audio/speech":
                sound, kind = openai_media.speech(body)
                return Whole(body=sound, content_type=kind)
            case "audio/transcriptions" | "audio/translations":
                return self._transcription(request, body, reply)
            case "embeddings":
                document, usage = openai_media.embeddings(body)
            case "rerank":
                document, usage = openai_media.rerank(body)
            case _:
                document, usage = openai_media.images({**body, "n": int(body.get("n") or 1)})
        return _whole(200, self.amended(document), usage)

    def error(self, reply: Reply) -> Whole:
        usual = "invalid_request_error" if reply.status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error"
        kind = reply.error_type or _ERROR_TYPES.get(reply.status, usual)
        message = reply.message(f"The fake was told to answer {reply.status}.")
        return _whole(reply.status, wire.error(message, kind))

    def _unless_known(self, name: str | None) -> Whole | None:
        if name is None or self.models is None or name in self.models:
            return None
        return _whole(404, self.unknown_model(name))

    def _conversation(self, body: wire.Json, reply: Reply, operation: str) -> Whole | Streamed:
        chat = operation == "chat/completions"
        limits: Any = {"limit": wire.token_limit(body), "stops": wire.stops(body), "json_mode": wire.wants_json(body)}
        heard = with_ids(said(reply, wire.prompt_text(body), **limits), "call_fake_")
        if not body.get("stream"):
            build = wire.chat_completion if chat else wire.completion
            return _whole(200, self.amended(build(body, heard)), heard.usage)
        documents = list(self.opening(body)) if chat else []
        documents += map(
            self.amended, (wire.chat_chunks if chat else wire.completion_chunks)(body, heard, reply.usage_on)
        )
        events = [Event(wire.event(document), heard.usage if document.get("usage") else None) for document in documents]
        if reply.done:
            events.append(Event(wire.event("[DONE]")))
        error = wire.error(reply.message("The server had an error."), reply.error_type or "server_error")
        return Streamed(events=events, error=wire.event(error), usage=heard.usage)

    def _response(self, body: wire.Json, reply: Reply) -> Whole | Streamed:
        limits: Any = {"limit": body.get("max_output_tokens"), "json_mode": openai_responses.wants_json(body)}
        heard = with_ids(said(reply, openai_responses.prompt_text(body), **limits), "call_fake_")
        heard = told_apart(heard, "cache_read", "cache_write", "reasoning")
        if not body.get("stream"):
            return _whole(200, openai_responses.response(body, heard), heard.usage)
        events = [
            Event(openai_responses.framed(event), _reported(event, heard))
            for event in openai_responses.events(body, heard)
        ]
        message = reply.message("The server had an error.")
        error = openai_responses.error_event(message, reply.error_type or "server_error")
        return Streamed(events=events, error=error, usage=heard.usage)

    def _transcription(self, request: ReceivedRequest, body: wire.Json, reply: Reply) -> Whole | Streamed:
        document, usage = openai_media.transcription(request.form, reply.text)
        if body.get("response_format") == "text":
            return Whole(body=f"{reply.text}\n".encode(), content_type="text/plain; charset=utf-8")
        if body.get("stream") != "true":
            return _whole(200, document, usage)
        deltas = [{"type": "transcript.text.delta", "delta": piece} for piece in pieces(reply.text)]
        return _typed([*deltas, {"type": "transcript.text.done", **document}], usage)


def _reported(event: wire.Json, heard: Said) -> Usage | None:
    return heard.usage if (event.get("response") or {}).get("usage") else None


def _typed(documents: list[wire.Json], usage: Usage) -> Streamed:
    """A stream of events that have a type; the last one tells the usage."""
    events = [Event(f"event: {one['type']}\n".encode() + wire.event(one)) for one in documents]
    events[-1] = replace(events[-1], usage=usage)
    error = wire.event(wire.error("The server had an error.", "server_error"))
    return Streamed(events=events, error=error, usage=usage)


def _whole(status: int, document: wire.Json, usage: Usage | None = None) -> Whole:
    return Whole(body=json.dumps(document).encode(), status=status, usage=usage)
