"""The OpenAI dialect: what the gateway reads of a request, and its errors.

Values of the request stay the bytes that the client sent; only the model's name is replaced. Re-encoding the top
level also settles repeated keys, which two parsers could otherwise read differently.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING

import msgspec

from shipway.gateway.affinity import SEARCHED_BYTES, affinity_key
from shipway.gateway.dialects.errors import CONTEXT_LENGTH, TOO_LONG
from shipway.gateway.refusals import JSON_FIELD, Refusal, Refused, bad_field, extra_fields

if TYPE_CHECKING:
    from shipway.gateway.dialects.conversation import Conversation
    from shipway.gateway.dialects.embeddings import Request
    from shipway.gateway.dialects.losses import Losses

_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

STREAM_CONTENT_TYPE = b"text/event-stream"
STREAM_FIELDS = b"Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"


ABSENT = msgspec.Raw(b"")
"""`Raw | None` would be read as null alone, so absence has a value of its own."""


class _Details(msgspec.Struct, gc=False):
    """Parts of a total."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


_decode_details = msgspec.json.Decoder(_Details | None).decode


class Usage(msgspec.Struct, gc=False):
    """Tokens of one call as reported; None is unknown, never zero.

    The details are read when they are asked for: their form differs from server to server, and the totals count without them.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: msgspec.Raw = ABSENT
    completion_tokens_details: msgspec.Raw = ABSENT

    @property
    def has_parts(self) -> bool:
        return self.prompt_tokens_details is not ABSENT or self.completion_tokens_details is not ABSENT

    @property
    def cached_read(self) -> int | None:
        return _details(self.prompt_tokens_details).cached_tokens

    @property
    def cached_write(self) -> int | None:
        return _details(self.prompt_tokens_details).cache_write_tokens

    @property
    def reasoning(self) -> int | None:
        return _details(self.completion_tokens_details).reasoning_tokens


def _details(raw: msgspec.Raw) -> _Details:
    try:
        return (_decode_details(raw) if raw is not ABSENT else None) or _NO_DETAILS
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _NO_DETAILS


_NO_DETAILS = _Details()
_decode_usage = msgspec.json.Decoder(Usage | None).decode


class ModelRequest:
    """A model call: its model and whether a stream is wanted, over the untouched rest.

    Attributes:
        read: What it asks (a conversation, texts to be embedded), with what was lost in reading it, once that had to be known.
    """

    __slots__ = ("body", "fields", "model", "read", "stream")

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
        self.body = body
        self.read: tuple[Conversation | Request, Losses] | None = None
        self.stream = False
        raw_stream = fields.get("stream")
        if raw_stream is not None:
            stream = bytes(raw_stream)
            if stream not in {b"true", b"false", b"null"}:
                raise Refused(bad_field("stream", "The field 'stream' must be true or false."))
            self.stream = stream == b"true"
        self.fields = fields

    def conversation(self) -> bytes:
        """The beginning of the raw JSON that grows with each turn of a conversation, as far as `affinity_key` reads it."""
        for name in ("messages", "prompt", "input"):
            raw = self.fields.get(name)
            if raw is not None:
                return bytes(memoryview(raw)[:SEARCHED_BYTES])
        return b""

    def beginning(self) -> bytes:
        """What identifies the conversation where nothing names it: its beginning, which stays as it was sent."""
        return b"%x" % affinity_key(self.model, self.conversation())

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


class _Item(msgspec.Struct, gc=False):
    """A choice or an embedding, of which nothing is read."""


class _Bare(msgspec.Struct, gc=False):
    choices: list[_Item] | None = None
    data: list[_Item] | None = None
    error: msgspec.Raw = ABSENT


class _Answer(_Bare, gc=False):
    usage: Usage | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_bare = msgspec.json.Decoder(_Bare).decode


def answer_usage(body: bytes, embeddings: bool = False) -> Usage | None:
    """The usage that a whole answer reports; None when it says nothing of it.

    Raises:
        ValueError: it is not an answer: no JSON object, one without choices (or else embeddings), or an error under a good
            status.
    """
    usage = None
    answer: _Bare
    try:
        try:
            answer = whole = _decode_answer(body)
            usage = whole.usage
        except msgspec.ValidationError:  # usage in a form of its own makes no answer worthless
            answer = _decode_bare(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("not an answer of this dialect") from error
    if answer.error is not ABSENT and bytes(answer.error) != b"null":
        raise ValueError("an error with a good status")
    if (answer.data if embeddings else answer.choices) is None:
        raise ValueError("an answer to something else")
    return usage


def any_usage(body: bytes, saying: str = "") -> Usage | None:
    """The usage of a document of which no more is known than that it has the field *saying*.

    Raises:
        ValueError: it is no JSON object, an error, or lacks that field.
    """
    try:
        fields = _decode_fields(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError("not an answer of this dialect") from error
    if bytes(fields.get("error", b"null")) != b"null" or (saying and saying not in fields):
        raise ValueError("an error with a good status, or no answer")
    try:
        return _decode_usage(fields["usage"]) if "usage" in fields else None
    except msgspec.ValidationError:
        return None


def transcript_usage(body: bytes) -> Usage | None:
    """The usage of a transcript, which may be plain text. Raises: ValueError, for an error or a page of HTML."""
    begins = body.lstrip()[:1]
    if begins == b"{":
        return any_usage(body)
    if begins == b"<":
        raise ValueError("a page, not a transcript")
    return None


class _ErrorDetail(msgspec.Struct, gc=False):
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


class _ErrorBody(msgspec.Struct, gc=False):
    error: _ErrorDetail | None = None


_decode_error = msgspec.json.Decoder(_ErrorBody).decode
_IDENTIFIER = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


def refused_by_model(status: int, body: bytes) -> Refusal:
    """The refusal that passes on an upstream's 4xx: its class, code and parameter, but not its text."""
    try:
        detail = _decode_error(body).error or _ErrorDetail()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = _ErrorDetail()
    code = _identifier(detail.code) or "refused_by_model"
    param = _identifier(detail.param)
    place = f" The field at fault is {param!r}." if param else ""
    text = TOO_LONG if code == CONTEXT_LENGTH else f"The model does not take this request ({code}).{place}"
    return Refusal(
        HTTPStatus(status) if status in _KNOWN_STATUSES else HTTPStatus.BAD_REQUEST,
        code,
        text,
        kind=_identifier(detail.type) or "invalid_request_error",
        param=param,
    )


_KNOWN_STATUSES = frozenset(HTTPStatus)


def _identifier(value: str | int | None) -> str | None:
    text = None if value is None else str(value)
    return text if text is not None and _IDENTIFIER.fullmatch(text) else None
