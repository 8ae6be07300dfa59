"""Gemini's embeddings: always as a batch, which may be of one.

Source: https://ai.google.dev/api/embeddings. That a batch has at most 100 texts is said by its error alone.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.dialect import document_reader
from shipway.gateway.dialects.embeddings import EmbeddingsFormat, Request, Vectors
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.usage import counted, members

_encode = msgspec.json.Encoder().encode

_TASKS = {
    "search_document": "RETRIEVAL_DOCUMENT",
    "search_query": "RETRIEVAL_QUERY",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


def write_request(asked: Request, model: str, losses: Losses) -> bytes:
    """For `models/MODEL:batchEmbedContents`."""
    one: dict[str, object] = {"model": model if "/" in model else f"models/{model}"}
    if asked.dimensions is not None:
        one["outputDimensionality"] = asked.dimensions
    if asked.input_type is not None:
        one["taskType"] = _TASKS[asked.input_type]
    return _encode({"requests": [one | {"content": {"parts": [{"text": text}]}} for text in asked.texts]})


V = TypeVar("V")


class _Embedding(msgspec.Struct, Generic[V]):
    values: V


class _Batch(msgspec.Struct, Generic[V]):
    embeddings: list[_Embedding[V]]
    usageMetadata: Any = None


_read_text = document_reader(_Batch[Raw])
_read_numbers = document_reader(_Batch[list[float]])


def read_answer(body: bytes, numbers: bool) -> Vectors:
    """Older models do not say how many tokens went in. Raises: ValueError."""
    batch: _Batch[Any] = _read_numbers(body) if numbers else _read_text(body)
    tokens = members(batch.usageMetadata).get("promptTokenCount")
    return Vectors([one.values for one in batch.embeddings], counted(tokens))


BATCH = EmbeddingsFormat(write_request, read_answer, max_texts=100)
