"""The OpenAI dialect: what the gateway reads of a request, and its errors.

Values of the request stay the bytes that the client sent; only the model's name is replaced. Re-encoding the top
level also settles repeated keys, which two parsers could otherwise read differently.
"""

from __future__ import annotations

import msgspec

from shipway.gateway.refusals import JSON_FIELD, Refusal, Refused, bad_field, extra_fields

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

OPERATIONS = {
    b"/v1/chat/completions": b"/chat/completions",
    b"/v1/completions": b"/completions",
    b"/v1/embeddings": b"/embeddings",
}
"""Paths that name a model in their body, with the path below a provider's base URL."""

STREAM_CONTENT_TYPE = b"text/event-stream"


class ModelRequest:
    """A model call: its model and whether a stream is wanted, over the untouched rest."""

    __slots__ = ("fields", "model", "stream")

    def __init__(self, body: bytes) -> None:
        """Raises: Refused, when the body is not a JSON object with a model."""
        try:
            fields = _decode_fields(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refused(bad_field(None, "The body is not a JSON object.")) from None
        raw_model = fields.get("model")
        if raw_model is None:
            raise Refused(bad_field("model", "The field 'model' is missing."))
        try:
            self.model = _decode_text(raw_model)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused(bad_field("model", "The field 'model' must be a string.")) from None
        raw_stream = bytes(fields.get("stream", b"false"))
        if raw_stream not in {b"true", b"false", b"null"}:
            raise Refused(bad_field("stream", "The field 'stream' must be true or false."))
        self.stream = raw_stream == b"true"
        self.fields = fields

    def body_for(self, model_json: msgspec.Raw) -> bytes:
        """The body to send upstream, with *model_json* (a JSON string) in the model's place."""
        self.fields["model"] = model_json
        return _encode(self.fields)


def as_openai_error(refusal: Refusal, request_id: str) -> tuple[bytes, bytes]:
    """The error shape that the official SDKs raise from, as header lines and a body."""
    return JSON_FIELD + extra_fields(refusal), error_json(refusal)


def error_json(refusal: Refusal) -> bytes:
    error = {"message": refusal.message, "type": refusal.kind, "param": refusal.param, "code": refusal.code}
    return _encode({"error": error})


def stream_error(refusal: Refusal) -> bytes:
    """The in-band error that ends a stream whose status is spent; the SDKs raise on it and no `[DONE]` follows."""
    return b"data: %b\n\n" % error_json(refusal)


def model_list(names: tuple[str, ...], created_s: int) -> bytes:
    """The answer to `GET /v1/models`."""
    data = [{"id": name, "object": "model", "created": created_s, "owned_by": "shipway"} for name in names]
    return _encode({"object": "list", "data": data})


def model_entry(name: str, created_s: int) -> bytes:
    return _encode({"id": name, "object": "model", "created": created_s, "owned_by": "shipway"})
