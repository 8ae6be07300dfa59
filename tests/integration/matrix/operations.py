"""What can be asked besides answers to conversations: how OpenAI's SDK asks it, and who does not offer it and why."""

import base64
import json
import warnings
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import openai

from tests.integration.sdks.questions import PIXEL

Client = openai.AsyncOpenAI
Counts = tuple[int | None, int | None]
"""Tokens that went in and came out, as the caller is told; None where nothing is said."""

SOUND = ("sound.wav", b"RIFF" + bytes(496))
PICTURE = ("a.png", base64.b64decode(PIXEL))
TEXTS = ["same one", "same one", "other"]


@dataclass(frozen=True)
class Told:
    """An answer as it came, and the tokens that it told."""

    answer: Any
    counts: Counts = (None, None)


@dataclass(frozen=True)
class Operation:
    """Attributes:
    call: Asks it of the model.
    lacking: Providers that do not offer it.
    """

    call: Callable[[Client, str], Awaitable[Told]]
    lacking: tuple[str, ...] = ("anthropic", "bedrock", "gemini")


def _counted(answer: Any, usage: Any) -> Told:
    if usage is None or usage.type == "duration":
        return Told(answer)
    return Told(answer, (usage.input_tokens, usage.output_tokens))


def _dumped(events: list[Any]) -> list[Any]:
    return [event.model_dump() for event in events]


async def transcription(client: Client, model: str) -> Told:
    heard: Any = await client.audio.transcriptions.create(model=model, file=SOUND)
    return _counted(heard.model_dump(), heard.usage)


async def plain_transcription(client: Client, model: str) -> Told:
    return Told(await client.audio.transcriptions.create(model=model, file=SOUND, response_format="text"))


async def streamed_transcription(client: Client, model: str) -> Told:
    stream = await client.audio.transcriptions.create(model=model, file=SOUND, stream=True)
    events: list[Any] = [event async for event in stream]
    return _counted(_dumped(events), events[-1].usage)


async def translation(client: Client, model: str) -> Told:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # of the SDK's method
        heard: Any = await client.audio.translations.create(model=model, file=SOUND)
    usage = heard.model_extra["usage"]
    return Told(heard.model_dump(), (usage["input_tokens"], usage["output_tokens"]))


async def speech(client: Client, model: str) -> Told:
    spoken = await client.audio.speech.create(model=model, voice="alloy", input="Hi there.")
    return Told(await spoken.aread())


async def streamed_speech(client: Client, model: str) -> Told:
    words: Any = {"model": model, "voice": "alloy", "input": "Hi there.", "stream_format": "sse"}
    async with client.audio.speech.with_streaming_response.create(**words) as spoken:
        lines = [line async for line in spoken.iter_lines()]
    usage = json.loads(lines[-2].removeprefix("data: "))["usage"]
    return Told(lines, (usage["input_tokens"], usage["output_tokens"]))


async def images(client: Client, model: str) -> Told:
    drawn: Any = await client.images.generate(model=model, prompt="A red dot.", n=2)
    return Told(drawn.model_dump(), (drawn.usage.input_tokens, drawn.usage.output_tokens))


async def streamed_images(client: Client, model: str) -> Told:
    stream = await client.images.generate(model=model, prompt="A red dot.", stream=True, partial_images=2)
    events: list[Any] = [event async for event in stream]
    return Told(_dumped(events), (events[-1].usage.input_tokens, events[-1].usage.output_tokens))


async def edits(client: Client, model: str) -> Told:
    drawn: Any = await client.images.edit(model=model, prompt="Blue.", image=PICTURE)
    return Told(drawn.model_dump(), (drawn.usage.input_tokens, drawn.usage.output_tokens))


async def streamed_edits(client: Client, model: str) -> Told:
    stream = await client.images.edit(model=model, prompt="Blue.", image=PICTURE, stream=True, partial_images=1)
    events: list[Any] = [event async for event in stream]
    return Told(_dumped(events), (events[-1].usage.input_tokens, events[-1].usage.output_tokens))


async def rerank(client: Client, model: str) -> Told:
    """Which the SDK has no method for, but its client can send."""
    body = {"model": model, "query": "red fox", "documents": ["a cat", "a red fox", "red"], "top_n": 2}
    ranked: Any = await client.post("/rerank", body=body, cast_to=object)
    return Told(ranked, (ranked["usage"]["prompt_tokens"], None))


OPERATIONS: Mapping[str, Operation] = {
    "transcription": Operation(transcription),
    "transcription as plain text": Operation(plain_transcription),
    "transcription, streamed": Operation(streamed_transcription),
    "translation of speech": Operation(translation),
    "speech": Operation(speech),
    "speech, streamed": Operation(streamed_speech),
    "images": Operation(images),
    "images, streamed": Operation(streamed_images),
    "edits of images": Operation(edits),
    "edits of images, streamed": Operation(streamed_edits),
    "rerank": Operation(rerank, ("azure", "azure deployments", "anthropic", "bedrock", "gemini")),
}

WHY: Mapping[str, str] = {
    "azure": "has OpenAI's operations, which rerank is not one of",
    "anthropic": "has no embeddings and no audio, makes no images and ranks nothing",
    "bedrock": "makes images and ranks in formats of each model and in APIs of their own, which are not translated",
    "gemini": "hears, speaks and draws inside conversations, which these operations are not translated to, and ranks nothing",
}
"""Why a provider does not offer what it lacks."""


@dataclass(frozen=True)
class Embedding:
    """A request for vectors.

    Attributes:
        sends: Arguments of the SDK, which replace those of a plain request.
        refused: Providers for which it is refused, by the field that the refusal names.
    """

    sends: Mapping[str, Any] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


_TITAN, _COHERE, _GEMINI = "bedrock, Titan", "bedrock, Cohere", "gemini"
_TRANSLATED = (_TITAN, _COHERE, _GEMINI)

EMBEDDINGS: Mapping[str, Embedding] = {
    "a text": Embedding(),
    "as numbers (`encoding_format`)": Embedding({"encoding_format": "float"}),
    "several texts": Embedding({"input": TEXTS}, {_TITAN: "input"}),
    "100 texts": Embedding({"input": ["x"] * 100}, dict.fromkeys((_TITAN, _COHERE), "input")),
    "`dimensions`": Embedding({"dimensions": 256}),
    "`dimensions` that the model does not have": Embedding(
        {"dimensions": 300}, dict.fromkeys((_TITAN, _COHERE), "dimensions")
    ),
    "what it is for (`input_type`)": Embedding({"extra_body": {"input_type": "search_query"}}, {_TITAN: "input_type"}),
    "tokens in place of text": Embedding({"input": [1, 2, 3]}, dict.fromkeys(_TRANSLATED, "input")),
    "`user`": Embedding({"user": "somebody"}, dict.fromkeys(_TRANSLATED, "user")),
}
NO_EMBEDDINGS = ("anthropic",)
"""Providers without any."""

FAULTS_OF_OPERATIONS = ("400", "429", "500", "closed")
"""Of what passes untouched the rest is as for conversations."""
