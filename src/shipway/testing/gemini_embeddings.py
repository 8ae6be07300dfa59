"""Embeddings of Google's Gemini API as the fake speaks them: what is accepted, and the vectors that come of it.

Source: https://ai.google.dev/api/embeddings. The limit of a batch is not in it, but in the error that the API gives.
"""

from typing import Any, Final

import msgspec

from shipway.testing.gemini_request import Content
from shipway.testing.openai_media import vector
from shipway.testing.said import pieces
from shipway.testing.script import Usage

Json = dict[str, Any]

METHODS: Final = {"embedContent", "batchEmbedContents"}
MAX_BATCH: Final = 100
_DEFAULT_DIMENSIONS: Final = 8


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class Config(_Strict):
    title: str | None = None
    task_type: str | None = None
    output_dimensionality: int | None = None
    auto_truncate: bool | None = None


class EmbedContent(_Strict):
    content: Content
    model: str | None = None
    title: str | None = None
    task_type: str | None = None
    output_dimensionality: int | None = None
    embed_content_config: Config | None = None


class BatchEmbedContents(_Strict):
    requests: list[EmbedContent]


def fault(body: Any, method: str, model: str) -> str | None:
    """What is wrong with a request to *model*, given in camel case, in words; None where nothing is."""
    try:
        requests = _requests(body, method)
    except msgspec.ValidationError as error:
        return f"Invalid JSON payload received. {error}"
    if len(requests) > MAX_BATCH:
        return f"* BatchEmbedContentsRequest.requests: at most {MAX_BATCH} requests can be in one batch"
    if not requests:
        return "* BatchEmbedContentsRequest.requests: requests is not specified"
    for number, one in enumerate(requests):
        if one.model not in (f"models/{model}", None if method == "embedContent" else ""):
            return f"* BatchEmbedContentsRequest.requests[{number}].model: must match the model of the batch"
        if not _text(one):
            return "* EmbedContentRequest.content: content is empty"
    return None


def answer(body: Any, method: str) -> tuple[Json, Usage]:
    """The vectors for a request without a fault: the same for the same text."""
    requests = _requests(body, method)
    embeddings = [{"values": vector(_text(one), _dimensions(one))} for one in requests]
    count = sum(len(pieces(_text(one))) for one in requests)
    usage = {"promptTokenCount": count, "promptTokenDetails": [{"modality": "TEXT", "tokenCount": count}]}
    found: Json = {"embedding": embeddings[0]} if method == "embedContent" else {"embeddings": embeddings}
    return {**found, "usageMetadata": usage}, Usage(input=count)


def _requests(body: Any, method: str) -> list[EmbedContent]:
    if method == "embedContent":
        return [msgspec.convert(body, EmbedContent)]
    return msgspec.convert(body, BatchEmbedContents).requests


def _text(request: EmbedContent) -> str:
    return " ".join(part.text for part in request.content.parts if part.text)


def _dimensions(request: EmbedContent) -> int:
    config = request.embed_content_config
    return request.output_dimensionality or (config and config.output_dimensionality) or _DEFAULT_DIMENSIONS
