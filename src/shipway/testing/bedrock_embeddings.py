"""Embeddings by Bedrock's InvokeModel as the fake speaks them: Titan's format and Cohere's, told apart by the model's name.

How many tokens went in is in Titan's document, and for each model in a header of the response.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html and …-embed.html.
"""

from typing import Any, Final, Literal

import msgspec

from shipway.testing.openai_media import vector
from shipway.testing.said import pieces
from shipway.testing.script import Usage

Json = dict[str, Any]

TOKENS_FIELD: Final = "x-amzn-bedrock-input-token-count"
_EmbeddingType = Literal["float", "int8", "uint8", "binary", "ubinary"]


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    pass


class Titan(_Strict):
    input_text: str
    dimensions: Literal[256, 512, 1024] = 1024
    normalize: bool = True
    embedding_types: tuple[Literal["float", "binary"], ...] = ("float",)


class Cohere(msgspec.Struct, forbid_unknown_fields=True):
    texts: list[str]
    input_type: Literal["search_document", "search_query", "classification", "clustering"]
    truncate: Literal["NONE", "START", "END", "LEFT", "RIGHT"] = "NONE"
    embedding_types: list[_EmbeddingType] | None = None


class CohereV4(Cohere, forbid_unknown_fields=True):
    output_dimension: Literal[256, 512, 1024, 1536] = 1536
    max_tokens: int | None = None


def wire(model: str) -> type[Titan] | type[Cohere] | None:
    """The format of a model; None for one that makes no embeddings."""
    if "amazon.titan-embed-text-v2" in model:
        return Titan
    if "cohere.embed-v4" in model:
        return CohereV4
    return Cohere if "cohere.embed-" in model else None


def _read(body: Any, model: str) -> Titan | Cohere:
    """Raises: ValueError, with what is wrong in words."""
    kind = wire(model)
    if kind is None:
        raise ValueError("The provided model does not support this operation.")
    try:
        return msgspec.convert(body, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"Malformed input request: {error}, please reformat your input and try again.") from error


def fault(body: Any, model: str) -> str | None:
    """What is wrong with a request, in words; None where nothing is."""
    try:
        request = _read(body, model)
    except ValueError as error:
        return str(error)
    if isinstance(request, Cohere) and not 0 < len(request.texts) <= 96:
        return "Malformed input request: #/texts: expected minimum item count: 1, maximum: 96"
    if isinstance(request, Titan) and not request.input_text:
        return "Malformed input request: expected minLength: 1, actual: 0, please reformat your input and try again."
    return None


def answer(body: Any, model: str) -> tuple[Json, Usage]:
    """The vectors for a request without a fault: the same for the same text."""
    request = _read(body, model)
    if isinstance(request, Titan):
        values = vector(request.input_text, request.dimensions)
        count = len(pieces(request.input_text))
        return {"embedding": values, "embeddingsByType": {"float": values}, "inputTextTokenCount": count}, Usage(
            input=count
        )
    dimensions = request.output_dimension if isinstance(request, CohereV4) else 1024
    vectors = [vector(text, dimensions) for text in request.texts]
    by_type: Json = {"embeddings": vectors, "response_type": "embeddings_floats"}
    if request.embedding_types is not None:
        named = dict.fromkeys(request.embedding_types, vectors)
        by_type = {"embeddings": named, "response_type": "embeddings_by_type"}
    count = sum(len(pieces(text)) for text in request.texts)
    return {"id": "fake", "texts": request.texts, **by_type}, Usage(input=count)
