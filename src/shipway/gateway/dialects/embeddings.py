"""Embeddings: OpenAI's request and answer, and Gemini's batch of them.

Bedrock has no format of its own for embeddings, but one for each model, of which none is spoken here.
Source: https://platform.openai.com/docs/api-reference/embeddings and https://ai.google.dev/api/embeddings.
"""

from __future__ import annotations

import base64
import struct
from typing import Literal

import msgspec

from shipway.gateway.dialects.dialect import document_reader
from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.losses import Losses, StrictReader

_encode = msgspec.json.Encoder().encode


class Request(msgspec.Struct, forbid_unknown_fields=True):
    """What a caller asks for."""

    model: str
    input: str | list[str]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] = "float"
    user: str | None = None

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


_reader = StrictReader(Request)


def read_request(body: bytes, losses: Losses) -> Request:
    """Raises: Refused, also for tokens in place of text."""
    return _reader.read(body, losses)


def write_gemini_request(request: Request, model: str, losses: Losses) -> bytes:
    """For `models/MODEL:batchEmbedContents`. Raises: Refused."""
    if request.user is not None:
        losses.lose("user")
    one: dict[str, object] = {"model": f"models/{model}"}
    if request.dimensions is not None:
        one["outputDimensionality"] = request.dimensions
    return _encode({"requests": [one | {"content": {"parts": [{"text": text}]}} for text in request.texts]})


class _Embedding(msgspec.Struct):
    values: list[float]


class _Batch(msgspec.Struct):
    embeddings: list[_Embedding]


_read_batch = document_reader(_Batch)


def read_gemini_answer(body: bytes, request: Request) -> list[list[float]]:
    """Raises: ValueError, also where there is not one vector a text."""
    vectors = [one.values for one in _read_batch(body).embeddings]
    if len(vectors) != len(request.texts):
        raise ValueError("not as many vectors as texts")
    return vectors


def write_answer(vectors: list[list[float]], request: Request, envelope: Envelope) -> bytes:
    """Without usage, as Gemini does not say it."""
    data = [
        {"object": "embedding", "index": index, "embedding": _written(vector, request)}
        for index, vector in enumerate(vectors)
    ]
    return _encode({"object": "list", "data": data, "model": envelope.model})


def _written(vector: list[float], request: Request) -> list[float] | str:
    """OpenAI's own client asks for base64 unless told otherwise: floats of four bytes, the least byte first."""
    if request.encoding_format == "float":
        return vector
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
