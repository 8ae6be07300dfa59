"""OpenAI's embeddings, asked of providers with other formats: what is sent, what comes back, and what cannot be asked."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from shipway.gateway.dialects import embeddings
from shipway.gateway.dialects.embeddings import Request, Vectors
from shipway.gateway.dialects.events import Envelope
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import EMBEDDINGS, open_embeddings
from shipway.gateway.refusals import Refused

ENVELOPE = Envelope("1", "m", 7)
GEMINI, TITAN, COHERE = EMBEDDINGS
TITAN_MODEL, COHERE_V3, COHERE_V4 = "amazon.titan-embed-text-v2:0", "cohere.embed-english-v3", "cohere.embed-v4:0"


def sent(operation: str, model: str, losses: Losses | None = None, **fields: Any) -> Any:
    """What the provider is asked for a caller's *fields*."""
    losses = losses or Losses()
    asked = embeddings.read_request(json.dumps({"model": "m", **fields}).encode(), losses)
    return json.loads(embeddings.write_request(asked, open_embeddings(operation), model, losses))


def test_gemini_is_asked_in_one_batch() -> None:
    common = {"model": "models/g", "outputDimensionality": 2, "taskType": "CLUSTERING"}
    assert sent(GEMINI, "g", input=["a", "b"], dimensions=2, input_type="clustering") == {
        "requests": [{**common, "content": {"parts": [{"text": text}]}} for text in ("a", "b")]
    }
    assert sent(GEMINI, "tunedModels/x", input="a")["requests"][0]["model"] == "tunedModels/x"


def test_titan_is_asked_for_one_text_and_cohere_for_what_it_is_for() -> None:
    assert sent(TITAN, TITAN_MODEL, input=["a"], dimensions=256) == {"inputText": "a", "dimensions": 256}
    assert sent(COHERE, COHERE_V3, input="a") == {"texts": ["a"], "input_type": "search_document"}
    assert sent(COHERE, COHERE_V4, input=["a", "b"], dimensions=256, input_type="search_query") == {
        "texts": ["a", "b"],
        "input_type": "search_query",
        "output_dimension": 256,
    }


@pytest.mark.parametrize("given", [[1, 2], [[1, 2], [3]], ["a", 1], [], "", ["a", ""]])
@pytest.mark.parametrize("operation", EMBEDDINGS)
def test_tokens_and_nothing_are_refused_in_place_of_text(operation: str, given: Any) -> None:
    with pytest.raises(Refused) as refused:
        sent(operation, "m", input=given)
    assert refused.value.refusal.param == "input"


MODEL = "The model behind this name"
VECTORS = f"{MODEL} has vectors of"
UNTOLD = f"{MODEL} cannot be told"


@pytest.mark.parametrize(
    ("operation", "model", "fields", "param", "message"),
    [
        (GEMINI, "g", {"input": ["a"] * 101}, "input", f"{MODEL} takes 100 texts at once; 'input' has 101."),
        (COHERE, COHERE_V4, {"input": ["a"] * 97}, "input", f"{MODEL} takes 96 texts at once; 'input' has 97."),
        (TITAN, TITAN_MODEL, {"input": ["a", "b"]}, "input", f"{MODEL} takes one text at once; 'input' has 2."),
        (TITAN, TITAN_MODEL, {"input": "a", "dimensions": 300}, "dimensions", f"{VECTORS} 256, 512, 1024 dimensions."),
        (
            COHERE,
            COHERE_V4,
            {"input": "a", "dimensions": 3},
            "dimensions",
            f"{VECTORS} 256, 512, 1024, 1536 dimensions.",
        ),
        (COHERE, COHERE_V3, {"input": "a", "dimensions": 256}, "dimensions", f"{UNTOLD} 'dimensions'."),
        (TITAN, TITAN_MODEL, {"input": "a", "input_type": "clustering"}, "input_type", f"{UNTOLD} 'input_type'."),
        (GEMINI, "g", {"input": "a", "user": "u"}, "user", f"{UNTOLD} 'user'."),
        (GEMINI, "g", {"input": "a", "stream": True}, "stream", f"{UNTOLD} 'stream'."),
        (GEMINI, "g", {"input": "a", "nonsense": 1}, "nonsense", f"{UNTOLD} 'nonsense'."),
        (
            GEMINI,
            "g",
            {"input": "a", "encoding_format": "int8"},
            "encoding_format",
            "Invalid enum value 'int8' in 'encoding_format'.",
        ),
        (GEMINI, "g", {"dimensions": 3}, "input", "The field 'input' is missing."),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(
    operation: str, model: str, fields: dict[str, Any], param: str, message: str
) -> None:
    with pytest.raises(Refused) as refused:
        sent(operation, model, **fields)
    assert (refused.value.refusal.param, refused.value.refusal.message) == (param, message)


def test_what_may_be_dropped_is_listed() -> None:
    losses = Losses({"user", "dimensions"})
    assert sent(COHERE, COHERE_V3, losses, input="a", user="u", dimensions=3)["texts"] == ["a"]
    assert losses.dropped == ["user", "dimensions"]


@pytest.mark.parametrize(
    ("operation", "answer", "tokens"),
    [
        (
            GEMINI,
            {"embeddings": [{"values": [0.5, 1]}, {"values": [2, 3]}], "usageMetadata": {"promptTokenCount": 3}},
            3,
        ),
        (GEMINI, {"embeddings": [{"values": [0.5, 1]}, {"values": [2, 3]}]}, None),
        (COHERE, {"embeddings": [[0.5, 1], [2, 3]], "response_type": "embeddings_floats"}, None),
        (COHERE, {"embeddings": {"float": [[0.5, 1], [2, 3]]}, "response_type": "embeddings_by_type"}, None),
    ],
)
def test_vectors_are_told_in_both_encodings_with_usage_where_it_is_known(
    operation: str, answer: Any, tokens: int | None
) -> None:
    asked = Request(["a", "b"])
    body = json.dumps(answer).encode()
    vectors = embeddings.read_answer(body, asked, open_embeddings(operation))
    assert vectors == Vectors([Raw(b"[0.5, 1]"), Raw(b"[2, 3]")], tokens)
    told = json.loads(embeddings.write_answer(vectors, asked, ENVELOPE))
    usage = {} if tokens is None else {"usage": {"prompt_tokens": tokens, "total_tokens": tokens}}
    data = [{"object": "embedding", "index": n, "embedding": one} for n, one in enumerate([[0.5, 1.0], [2.0, 3.0]])]
    assert told == {"object": "list", "data": data, "model": "m", **usage}
    asked = msgspec.structs.replace(asked, base64=True)
    vectors = embeddings.read_answer(body, asked, open_embeddings(operation))
    assert vectors == Vectors([[0.5, 1.0], [2.0, 3.0]], tokens)
    packed = embeddings.write_answer(vectors, asked, ENVELOPE)
    unpacked = [struct.unpack("<2f", base64.b64decode(one["embedding"])) for one in json.loads(packed)["data"]]
    assert unpacked == [(0.5, 1.0), (2.0, 3.0)]


def test_titan_counts_its_own_tokens() -> None:
    answer = b'{"embedding":[0.5],"embeddingsByType":{"float":[0.5]},"inputTextTokenCount":4}'
    assert embeddings.read_answer(answer, Request(["a"]), open_embeddings(TITAN)) == Vectors([Raw(b"[0.5]")], 4)


@pytest.mark.parametrize("count", ["-3", "1e300", '"3"', "[]", "9223372036854775808"])
@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        (TITAN, '{"embedding":[0.5],"inputTextTokenCount":%s}'),
        (GEMINI, '{"embeddings":[{"values":[0.5]}],"usageMetadata":{"promptTokenCount":%s}}'),
        (GEMINI, '{"embeddings":[{"values":[0.5]}],"usageMetadata":%s}'),
    ],
)
def test_tokens_that_make_no_sense_are_unknown_and_break_no_answer(operation: str, answer: str, count: str) -> None:
    body = (answer % count).encode()
    assert embeddings.read_answer(body, Request(["a"]), open_embeddings(operation)) == Vectors([Raw(b"[0.5]")], None)


@pytest.mark.parametrize(("operation", "body"), [(TITAN, b'{"embedding":[]}'), (COHERE, b'{"embeddings":[[ ]]}')])
@pytest.mark.parametrize("packed", [False, True])
def test_a_vector_without_numbers_is_none(operation: str, body: bytes, packed: bool) -> None:
    with pytest.raises(ValueError, match="than numbers"):
        embeddings.read_answer(body, Request(["a"], base64=packed), open_embeddings(operation))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("operation", EMBEDDINGS)
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"embeddings":[]}', b'{"embeddings":[{"values":["a"]}]}'])
def test_what_is_no_answer_is_none(operation: str, body: bytes, packed: bool) -> None:
    with pytest.raises(ValueError, match=r"document of this dialect|as many vectors"):
        embeddings.read_answer(body, Request(["a", "b"], base64=packed), open_embeddings(operation))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "vector", ["null", "0.5", '"a"', "{}", '["a"]', "[null]", "[0.5,true]", "[false]", "[[0.5]]", '[{"a":1}]', "[NaN]"]
)
def test_a_vector_of_something_else_than_numbers_is_no_answer(vector: str, packed: bool) -> None:
    body = b'{"embeddings":[{"values":%b}]}' % vector.encode()
    with pytest.raises(ValueError, match=r"numbers|dialect"):
        embeddings.read_answer(body, Request(["a"], base64=packed), open_embeddings(GEMINI))


def test_numbers_keep_their_digits() -> None:
    body = b'{"embeddings":[{"values":[-0.10,1E-05, 12345678901234567890]}]}'
    vectors = embeddings.read_answer(body, Request(["a"]), open_embeddings(GEMINI))
    assert b"[-0.10,1E-05, 12345678901234567890]" in embeddings.write_answer(vectors, Request(["a"]), ENVELOPE)


def test_a_number_that_four_bytes_cannot_hold_is_no_answer() -> None:
    with pytest.raises(ValueError, match="four bytes"):
        embeddings.write_answer(Vectors([[1e300]], None), Request(["a"], base64=True), ENVELOPE)
