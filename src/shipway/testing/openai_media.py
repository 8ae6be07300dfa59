"""The rest of OpenAI's wire format as the fake speaks it: embeddings, audio, images, and the rerank of those who added it.

Vectors, sounds and pictures are made from a hash of what was sent: the same for the same.
"""

import base64
import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any, Final

from shipway.testing.openai_wire import CREATED_S, Json
from shipway.testing.said import pieces
from shipway.testing.script import Usage

DEFAULT_DIMENSIONS: Final = 8
AUDIO_TYPES: Final = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}


def embeddings(body: Mapping[str, Any]) -> tuple[Json, Usage]:
    """Build the answer to `/v1/embeddings`: unit-free vectors, in the encoding that was asked for."""
    texts = body.get("input", "")
    batch = texts if isinstance(texts, list) and not all(isinstance(token, int) for token in texts) else [texts]
    dimensions = body.get("dimensions") or DEFAULT_DIMENSIONS
    vectors = [vector(json.dumps(text), dimensions) for text in batch]
    encoded = [_base64(vector) if body.get("encoding_format") == "base64" else vector for vector in vectors]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(encoded)]
    count = sum(len(pieces(text)) if isinstance(text, str) else len(text) for text in batch)
    usage = {"prompt_tokens": count, "total_tokens": count}
    return {"object": "list", "data": data, "model": body.get("model"), "usage": usage}, Usage(input=count)


def transcription(form: Mapping[str, bytes], text: str) -> tuple[Json, Usage]:
    """Build the answer to an upload of audio: *text*, and a token of audio for each 100 bytes."""
    heard = Usage(audio_input=len(form.get("file", b"")) // 100, output=len(pieces(text)))
    usage = {
        "type": "tokens",
        "input_tokens": heard.all_input,
        "input_token_details": {"audio_tokens": heard.audio_input, "text_tokens": 0},
        "output_tokens": heard.output,
        "total_tokens": heard.total,
    }
    return {"text": text, "usage": usage}, heard


def speech(body: Mapping[str, Any]) -> tuple[bytes, str]:
    """Build a sound and its media type."""
    sound = hashlib.shake_128(str(body.get("input")).encode()).digest(1000)
    return sound, AUDIO_TYPES.get(body.get("response_format", "mp3"), "audio/mpeg")


def speech_events(body: Mapping[str, Any]) -> tuple[list[Json], Usage]:
    """Build the events of speech with `stream_format` of `sse`; the last has the usage, a token of audio for 100 bytes."""
    sound, _ = speech(body)
    spoken = Usage(input=len(pieces(str(body.get("input", "")))), audio_output=len(sound) // 100)
    parts = [base64.b64encode(sound[at : at + 300]).decode() for at in range(0, len(sound), 300)]
    usage = {"input_tokens": spoken.input, "output_tokens": spoken.audio_output, "total_tokens": spoken.total}
    events: list[Json] = [{"type": "speech.audio.delta", "audio": part} for part in parts]
    return [*events, {"type": "speech.audio.done", "usage": usage}], spoken


def image_events(body: Mapping[str, Any], kind: str) -> tuple[list[Json], Usage]:
    """Build the events of a picture that is shown while it is drawn; *kind* begins their types."""
    whole, drawn = images({**body, "n": 1})
    common = {
        "b64_json": whole["data"][0]["b64_json"],
        "created_at": CREATED_S,
        "background": "opaque",
        "output_format": "png",
        "quality": "low",
        "size": "1024x1024",
    }
    partial = [
        {"type": f"{kind}.partial_image", "partial_image_index": index, **common}
        for index in range(int(body.get("partial_images") or 0))
    ]
    return [*partial, {"type": f"{kind}.completed", "usage": whole["usage"], **common}], drawn


def images(body: Mapping[str, Any]) -> tuple[Json, Usage]:
    """Build as many pictures as were asked for: PNG files of one pixel."""
    count = body.get("n") or 1
    prompt = str(body.get("prompt", ""))
    drawn = Usage(input=len(pieces(prompt)), image_output=100 * count)
    usage = {
        "input_tokens": drawn.input,
        "input_tokens_details": {"text_tokens": drawn.input, "image_tokens": 0},
        "output_tokens": drawn.image_output,
        "total_tokens": drawn.total,
    }
    picture = base64.b64encode(png(hashlib.sha256(prompt.encode()).digest()[:3])).decode()
    return {"created": CREATED_S, "data": [{"b64_json": picture}] * count, "usage": usage}, drawn


def rerank(body: Mapping[str, Any]) -> tuple[Json, Usage]:
    """Build the answer to `/v1/rerank`, as Cohere, Jina and vLLM have it: more words of the query first."""
    query = set(str(body.get("query", "")).lower().split())
    documents = [one if isinstance(one, str) else str(one.get("text")) for one in body.get("documents", ())]
    scores = [len(query & set(text.lower().split())) / max(1, len(query)) for text in documents]
    order = sorted(range(len(documents)), key=lambda index: (-scores[index], index))[: body.get("top_n")]
    count = sum(len(pieces(text)) for text in (str(body.get("query", "")), *documents))
    results = [{"index": index, "relevance_score": scores[index]} for index in order]
    usage = {"total_tokens": count, "prompt_tokens": count}
    return {"id": "rerank-fake", "model": body.get("model"), "results": results, "usage": usage}, Usage(input=count)


def png(colour: bytes) -> bytes:
    """A picture of one pixel."""

    def part(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(b"\0" + colour)) + part(b"IEND", b"")
    )


def vector(text: str, dimensions: int) -> list[float]:
    """Numbers from -1 to 1, each of which four bytes hold exactly."""
    digest = hashlib.shake_128(text.encode()).digest(dimensions)
    return [byte / 128 - 1 for byte in digest]


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
