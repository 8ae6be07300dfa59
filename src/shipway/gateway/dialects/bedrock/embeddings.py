"""Embeddings at Bedrock, where each family of models has a format of its own: Titan's and Cohere's.

How many tokens went in is in Titan's answer. Cohere's does not say it, but the response has it in a header, as that of each
model has.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html and …-embed.html.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.dialect import document_reader
from shipway.gateway.dialects.embeddings import EmbeddingsFormat, Request, Vectors, check_dimensions
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.usage import counted

_encode = msgspec.json.Encoder().encode

TITAN_DIMENSIONS = frozenset((256, 512, 1024))
COHERE_V4_DIMENSIONS = frozenset((256, 512, 1024, 1536))
_TOKENS_FIELD = b"x-amzn-bedrock-input-token-count"


def write_titan_request(asked: Request, model: str, losses: Losses) -> bytes:
    """Raises: Refused."""
    if asked.input_type is not None:
        losses.lose("input_type")
    check_dimensions(asked, TITAN_DIMENSIONS)
    body: dict[str, object] = {"inputText": asked.texts[0]}
    if asked.dimensions is not None:
        body["dimensions"] = asked.dimensions
    return _encode(body)


V = TypeVar("V")


class _Titan(msgspec.Struct, Generic[V]):
    embedding: V
    inputTextTokenCount: Any = None


_read_titan_text = document_reader(_Titan[Raw])
_read_titan_numbers = document_reader(_Titan[list[float]])


def read_titan_answer(body: bytes, numbers: bool) -> Vectors:
    """Raises: ValueError."""
    answer: _Titan[Any] = _read_titan_numbers(body) if numbers else _read_titan_text(body)
    return Vectors([answer.embedding], counted(answer.inputTextTokenCount))


def write_cohere_request(asked: Request, model: str, losses: Losses) -> bytes:
    """Cohere's models want to know what the vectors are for: unless the caller says it, for documents to be searched.

    Raises:
        Refused: it names the field.
    """
    body: dict[str, object] = {"texts": asked.texts, "input_type": asked.input_type or "search_document"}
    if asked.dimensions is not None:
        if "embed-v4" in model:
            check_dimensions(asked, COHERE_V4_DIMENSIONS)
            body["output_dimension"] = asked.dimensions
        else:
            losses.lose("dimensions")
    return _encode(body)


class _ByType(msgspec.Struct, Generic[V], rename={"floats": "float"}):
    floats: list[V]


class _Cohere(msgspec.Struct, Generic[V]):
    embeddings: list[V] | _ByType[V]


_read_cohere_text = document_reader(_Cohere[Raw])
_read_cohere_numbers = document_reader(_Cohere[list[float]])


def read_cohere_answer(body: bytes, numbers: bool) -> Vectors:
    """Raises: ValueError."""
    answer: _Cohere[Any] = _read_cohere_numbers(body) if numbers else _read_cohere_text(body)
    found = answer.embeddings
    return Vectors(found.floats if isinstance(found, _ByType) else found, None)


TITAN = EmbeddingsFormat(write_titan_request, read_titan_answer, max_texts=1)
COHERE = EmbeddingsFormat(write_cohere_request, read_cohere_answer, max_texts=96, tokens_field=_TOKENS_FIELD)
