"""A fake of Anthropic's API: messages, whole and streamed, with thinking and tools, the counting of tokens, and every error.

    async with FakeAnthropic(models=["claude"]) as fake:
        fake.script(Reply(text="Hello there."), Reply(error_type="overloaded_error", status=529))
        client = anthropic.AsyncAnthropic(base_url=fake.url, api_key="any")

Requests are checked: a field that Anthropic does not know is an error, so a translation cannot invent one unnoticed.
"""

import hmac
import json
from typing import Any, Final

from shipway.testing import anthropic_request
from shipway.testing import anthropic_wire as wire
from shipway.testing.answers import Streamed, Whole
from shipway.testing.fake_server import FakeServer
from shipway.testing.said import pieces, said, told_apart, with_ids
from shipway.testing.script import ReceivedRequest, Reply

__all__ = ["FakeAnthropic"]

_MESSAGES: Final = "/v1/messages"
_COUNT: Final = "/v1/messages/count_tokens"
_TYPE_OF: Final = {status: kind for kind, status in wire.STATUS_OF.items()}


class FakeAnthropic(FakeServer):
    """The server; see `FakeServer` for its arguments and what it notes down."""

    request_id_field = "request-id"

    @property
    def base_url(self) -> str:
        """The base URL with the version. Anthropic's own client takes `url`, without it."""
        return f"{self.url}/v1"

    def refusal(self, request: ReceivedRequest) -> Whole | None:
        # The clients of today send the key as a bearer token, those before them in the other header.
        given = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        if self.api_key is not None and not hmac.compare_digest(given.encode(), self.api_key.encode()):
            return self._error("authentication_error", "invalid x-api-key")
        if "anthropic-version" not in request.headers:
            return self._error("invalid_request_error", "anthropic-version: header is required")
        if request.method != "POST" or request.path not in (_MESSAGES, _COUNT):
            return self._error("not_found_error", "Not found")
        try:
            body = request.json
        except ValueError:
            return self._error("invalid_request_error", "The request body is not valid JSON")
        fault = anthropic_request.fault(body, request.headers["anthropic-version"], counting=request.path == _COUNT)
        if fault is not None:
            return self._error("invalid_request_error", fault)
        if self.models is not None and body["model"] not in self.models:
            return self._error("not_found_error", f"model: {body['model']}")
        return None

    def unscripted(self, request: ReceivedRequest) -> Whole | None:
        if request.path != _COUNT:
            return None
        count = len(pieces(wire.prompt_text(request.json)))
        return Whole(body=json.dumps({"input_tokens": count}).encode())

    def answer(self, request: ReceivedRequest, reply: Reply) -> Whole | Streamed:
        body: Any = request.json
        heard = said(
            reply,
            wire.prompt_text(body),
            limit=body["max_tokens"],
            stops=body.get("stop_sequences", ()),
            json_mode=wire.wants_json(body),
        )
        heard = told_apart(with_ids(heard, "toolu_fake_"), "cache_read", "cache_write", "reasoning")
        if not body.get("stream"):
            return Whole(body=json.dumps(wire.message(body, heard)).encode(), usage=heard.usage)
        kind = reply.error_type or "overloaded_error"
        error = wire.framed(wire.error(kind, reply.message("Overloaded"))).data
        events = list(wire.events(body, heard))
        return Streamed(events=events, error=error, usage=heard.usage)

    def error(self, reply: Reply) -> Whole:
        """An error of `error_type`, or of the type that usually has the status."""
        kind = reply.error_type or _TYPE_OF.get(
            reply.status, "invalid_request_error" if reply.status < 500 else "api_error"
        )
        return self._error(kind, reply.message(f"The fake was told to answer {reply.status}."), reply.status)

    def _error(self, kind: str, text: str, status: int | None = None) -> Whole:
        document = wire.error(kind, text, f"req_fake_{len(self.requests)}")
        return Whole(body=json.dumps(document).encode(), status=status or wire.STATUS_OF[kind])
