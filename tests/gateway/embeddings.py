"""A model of embeddings whose vectors a test says."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence

from shipway.testing.answers import Streamed, Whole
from shipway.testing.openai_server import FakeOpenAI, ReceivedRequest, Reply


class FakeEmbeddings(FakeOpenAI):
    """Answers with the vectors that it is told, by text; with the same one for all others."""

    def __init__(self) -> None:
        super().__init__()
        self.vectors: dict[str, Sequence[float]] = {}
        self.base64 = False

    def answer(self, request: ReceivedRequest, reply: Reply) -> Whole | Streamed:
        texts = request.json["input"]
        vectors = [self.vectors.get(text, (1.0, 0.0, 0.0)) for text in texts]
        data = [{"object": "embedding", "index": at, "embedding": self._coded(one)} for at, one in enumerate(vectors)]
        usage = {"prompt_tokens": 7 * len(texts), "total_tokens": 7 * len(texts)}
        document = {"object": "list", "data": data[::-1], "model": "e", "usage": usage}
        return Whole(body=json.dumps(document).encode())

    @property
    def asked(self) -> list[list[str]]:
        return [request.json["input"] for request in self.requests]

    def _coded(self, vector: Sequence[float]) -> Sequence[float] | str:
        return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode() if self.base64 else vector
