"""Vectors of texts: read from what a model of embeddings answers, and compared. The one place that knows numpy.

Comparing one vector with a thousand of 384 numbers takes 10 ms in Python and 0.05 ms in numpy, during which nothing else runs;
that is why it is asked for (docs/decisions/0018).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import msgspec

from shipway.errors import MissingExtraError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]
    """Of length 1."""

MAX_NUMBERS = 8192
"""Of one vector. Those of today have up to 4096."""
ROUNDING = 1e-6
"""Two vectors that are the same have a cosine that is 1 but for this, in numbers of four bytes."""


class _Embedding(msgspec.Struct):
    embedding: list[float] | str
    index: int


class _Answer(msgspec.Struct):
    data: list[_Embedding]


_decode = msgspec.json.Decoder(_Answer).decode


class Vectors:
    """What is done with vectors, once numpy is there."""

    def __init__(self) -> None:
        """Raises: MissingExtraError."""
        self._np: Any = _numpy()

    def read(self, body: bytes, count: int) -> list[Vector]:
        """The *count* vectors of an answer, in order and made as long as 1 each.

        Raises:
            ValueError: there is not one for each text, they are of several dimensions, or one is none: empty, all zeros, or with
                a number that is none.
        """
        try:
            data = _decode(body).data
        except (msgspec.DecodeError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
            raise ValueError("not an answer with embeddings") from error
        by_index = {one.index: one.embedding for one in data}
        if len(data) != count or by_index.keys() != set(range(count)):
            raise ValueError("not one vector for each text")
        vectors = [self._unit(by_index[index]) for index in range(count)]
        if len({len(vector) for vector in vectors}) != 1:
            raise ValueError("vectors of several dimensions")
        return vectors

    def table(self, dimensions: int, max_rows: int) -> Table:
        return Table(self._np, dimensions, max_rows)

    def _unit(self, sent: list[float] | str) -> Vector:
        np = self._np
        if isinstance(sent, str):  # numbers of four bytes, the least byte first
            try:
                vector = np.frombuffer(base64.b64decode(sent, validate=True), dtype="<f4").astype(np.float64)
            except binascii.Error as error:
                raise ValueError("neither numbers nor base64") from error
        else:
            vector = np.array(sent, np.float64)
        if not 0 < len(vector) <= MAX_NUMBERS or not np.isfinite(vector).all():
            raise ValueError("not a vector")
        largest = np.abs(vector).max()
        if largest == 0.0:
            raise ValueError("a vector that points nowhere")
        vector = vector / largest  # or the sum of squares could be infinite, or nothing
        unit: Vector = (vector / np.sqrt((vector * vector).sum())).astype(np.float32)
        return unit


class Table:
    """Vectors by key, of one model and so many *dimensions*; up to *max_rows*, beyond which new ones replace old ones."""

    def __init__(self, np: Any, dimensions: int, max_rows: int) -> None:
        self._np = np
        self._max_rows = max_rows
        self._rows: NDArray[np.float32] = np.empty((1, dimensions), np.float32)
        self._keys: list[bytes] = []
        self._at: dict[bytes, int] = {}
        self._next = 0
        """Which row makes room: about the oldest."""

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: bytes) -> bool:
        return key in self._at

    @property
    def held_bytes(self) -> int:
        return self._rows.nbytes

    def put(self, key: bytes, vector: Vector, *, may_hold_bytes: int) -> bytes | None:
        """Keep *vector*, in at most so many bytes; gives the key that made room for it, if one did."""
        evicted: bytes | None = None
        at = self._at.get(key)
        if at is None:
            at = len(self._keys)
            if at == len(self._rows) and not self._grown(may_hold_bytes):
                at = self._next = self._next % len(self._keys)
                self._next += 1
                evicted = self._keys[at]
                del self._at[evicted]
                self._keys[at] = key
            else:
                self._keys.append(key)
            self._at[key] = at
        self._rows[at] = vector
        return evicted

    def remove(self, key: bytes) -> None:
        at = self._at.pop(key, None)
        if at is None:
            return
        last = self._keys.pop()
        if last != key:
            self._keys[at] = last
            self._at[last] = at
            self._rows[at] = self._rows[len(self._keys)]

    def nearest(self, vector: Vector, count: int) -> list[tuple[bytes, float]]:
        """The *count* keys with the largest cosines, largest first. Compares with every row."""
        if not self._keys:
            return []
        cosines = self._rows[: len(self._keys)] @ vector
        count = min(count, len(cosines))
        best = self._np.argpartition(cosines, len(cosines) - count)[-count:]
        best = best[self._np.argsort(-cosines[best], kind="stable")]
        return [(self._keys[at], min(1.0, float(cosines[at]))) for at in best.tolist()]

    def _grown(self, may_hold_bytes: int) -> bool:
        rows = min(2 * len(self._rows), self._max_rows)
        if rows == len(self._rows) or self._rows.nbytes // len(self._rows) * rows > may_hold_bytes:
            return False
        larger = self._np.empty((rows, self._rows.shape[1]), self._np.float32)
        larger[: len(self._rows)] = self._rows
        self._rows = larger
        return True


def _numpy() -> Any:
    try:
        import numpy
    except ImportError:
        raise MissingExtraError("a semantic cache", "semantic") from None
    return numpy
