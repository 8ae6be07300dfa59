"""Embeddings: OpenAI's request and answer, for callers, and what the format of a provider is to the data path.

Source: https://platform.openai.com/docs/api-reference/embeddings.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.losses import Losses, StrictReader
from shipway.gateway.refusals import Refused, bad_field

_encode = msgspec.json.Encoder().encode

InputType = Literal["search_document", "search_query", "classification", "clustering"]
"""What the vectors are for, in Cohere's words. OpenAI's models do not ask; servers of others read it under this name."""


class Request(msgspec.Struct, frozen=True):
    """What a caller asks for.

    Attributes:
        texts: One or more, none of them empty.
    """

    texts: list[str]
    dimensions: int | None = None
    base64: bool = False
    user: str | None = None
    input_type: InputType | None = None


Vector = Raw | list[float]
"""The JSON text of a list of numbers, which passes as it is, or those numbers, of which many take milliseconds to read."""


class Vectors(NamedTuple):
    """One a text, in their order. *tokens* is how many went in; None is unknown."""

    values: Sequence[Vector]
    tokens: int | None


@dataclass(frozen=True, slots=True)
class EmbeddingsFormat:
    """How one provider (at Bedrock, one family of models) is asked for vectors.

    Attributes:
        write_request: A body for the named model. Raises Refused, naming the field in the caller's request.
        read_answer: Its vectors as text, or else (True) as numbers. Raises ValueError for what is no answer.
        max_texts: How many it takes at once.
        tokens_field: The response header that says how many tokens went in, in lower case; b"" where the answer does.
    """

    write_request: Callable[[Request, str, Losses], bytes]
    read_answer: Callable[[bytes, bool], Vectors]
    max_texts: int
    tokens_field: bytes = b""


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    model: str
    input: str | list[str | int | list[int]]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None
    input_type: InputType | None = None


_reader = StrictReader(_Request, neutral={"stream": frozenset((b"false",))})


def read_request(body: bytes, losses: Losses) -> Request:
    """Raises: Refused, also for tokens in place of text: each provider has its own."""
    sent = _reader.read(body, losses)
    given = [sent.input] if isinstance(sent.input, str) else sent.input
    texts = [text for text in given if isinstance(text, str)]
    if len(texts) != len(given):
        raise Refused(bad_field("input", "The model behind this name takes text in 'input', not tokens."))
    if not texts or not all(texts):
        raise Refused(bad_field("input", "The field 'input' must have a text, and none that is empty."))
    return Request(texts, sent.dimensions, sent.encoding_format == "base64", sent.user, sent.input_type)


def write_request(asked: Request, target: EmbeddingsFormat, model: str, losses: Losses) -> bytes:
    """A body for *model* of a provider that speaks *target*. Raises: Refused."""
    count = len(asked.texts)
    if count > target.max_texts:
        most = "one text" if target.max_texts == 1 else f"{target.max_texts} texts"
        raise Refused(bad_field("input", f"The model behind this name takes {most} at once; 'input' has {count}."))
    if asked.user is not None:
        losses.lose("user")
    return target.write_request(asked, model, losses)


def read_answer(body: bytes, asked: Request, target: EmbeddingsFormat) -> Vectors:
    """Raises: ValueError, also where there is not one vector a text, or one without numbers."""
    vectors = target.read_answer(body, asked.base64)
    if len(vectors.values) != len(asked.texts):
        raise ValueError("not as many vectors as texts")
    if not all(vector if isinstance(vector, list) else _has_numbers_alone(bytes(vector)) for vector in vectors.values):
        raise ValueError("a vector of something else than numbers")
    return vectors


def _has_numbers_alone(text: bytes) -> bool:
    """Whether *text*, JSON that is in order, is a list of numbers: what else could be in it begins with one of `_OTHERS`."""
    if not text.startswith(b"[") or text.rfind(b"[") or any(first in text for first in _OTHERS):
        return False
    return text[1:-1].strip() != b""


_OTHERS = (b'"', b"{", b"n", b"t", b"f")


def write_answer(vectors: Vectors, asked: Request, envelope: Envelope) -> bytes:
    """Without usage where that is unknown. Raises: ValueError, for a number too large for the encoding."""
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if isinstance(vector, list) else vector}
        for index, vector in enumerate(vectors.values)
    ]
    document: dict[str, object] = {"object": "list", "data": data, "model": envelope.model}
    if vectors.tokens is not None:
        document["usage"] = {"prompt_tokens": vectors.tokens, "total_tokens": vectors.tokens}
    return _encode(document)


def _packed(vector: list[float]) -> str:
    """As base64: floats of four bytes, the least byte first. OpenAI's own client asks for it unless told otherwise."""
    try:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
    except (OverflowError, struct.error) as error:
        raise ValueError("a number that four bytes cannot hold") from error


def check_dimensions(asked: Request, known: frozenset[int]) -> None:
    """Raises: Refused, for a length of vectors that the model does not have."""
    if asked.dimensions is not None and asked.dimensions not in known:
        raise Refused(
            bad_field(
                "dimensions",
                f"The model behind this name has vectors of {', '.join(map(str, sorted(known)))} dimensions.",
            )
        )
