"""A call to a model as the gateway reads it.

Values of the request stay the bytes that the client sent; only the model's name is replaced. Re-encoding the top
level also settles repeated keys, which two parsers could otherwise read differently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from shipway.gateway.affinity import SEARCHED_BYTES, affinity_key
from shipway.gateway.refusals import Refused, bad_field
from shipway.gateway.undecodable import UNDECODABLE

if TYPE_CHECKING:
    from shipway.gateway.dialects.conversation import Conversation
    from shipway.gateway.dialects.embeddings import Request
    from shipway.gateway.dialects.losses import Losses

_decode_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
decode_text: Final = msgspec.json.Decoder(str).decode
_encode: Final = msgspec.json.Encoder().encode
_FLAGS: Final = {b"true": True, b"false": False, b"null": False}


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
        except UNDECODABLE:
            raise Refused(bad_field(None, "The body is not a JSON object.")) from None
        raw_model = fields.get("model")
        if raw_model is None:
            raise Refused(bad_field("model", "The field 'model' is missing."))
        try:
            self.model = decode_text(raw_model)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refused(bad_field("model", "The field 'model' must be a string.")) from None
        self.body = body
        self.read: tuple[Conversation | Request, Losses] | None = None
        self.stream = False
        raw_stream = fields.get("stream")
        if raw_stream is not None:
            stream = _FLAGS.get(bytes(raw_stream))
            if stream is None:
                raise Refused(bad_field("stream", "The field 'stream' must be true or false."))
            self.stream = stream
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
