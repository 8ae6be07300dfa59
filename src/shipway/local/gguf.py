"""A strict reader of the head of GGUF files, to find out before anything starts that a download stopped half-way.

It reads the head alone, bounds every count by what the file could hold, and computes where the last tensor ends.
Damage inside the weights is not found: the format has no checksums.

Source: the format's specification, ggml-org/ggml, docs/gguf.md.
"""

import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_ALIGNMENT = 1 << 20
_MAX_KEY_BYTES = 65_535
_MAX_NAME_BYTES = 64
_MAX_DIMENSIONS = 4
_MAX_NESTING = 4
_MAX_ELEMENTS = 1 << 62
_MIN_ENTRY_BYTES = 13
"""Shortest metadata entry: length of an empty key, type, one byte. A tensor's is longer."""

_SCALAR_BYTES: Mapping[int, int] = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING = 8
_ARRAY = 9

_BLOCKS: Mapping[int, tuple[int, int]] = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    15: (256, 292),  # Q8_K
    16: (256, 66),  # IQ2_XXS
    17: (256, 74),  # IQ2_XS
    18: (256, 98),  # IQ3_XXS
    19: (256, 50),  # IQ1_S
    20: (32, 18),  # IQ4_NL
    21: (256, 110),  # IQ3_S
    22: (256, 82),  # IQ2_S
    23: (256, 136),  # IQ4_XS
    24: (1, 1),  # I8
    25: (1, 2),  # I16
    26: (1, 4),  # I32
    27: (1, 8),  # I64
    28: (1, 8),  # F64
    29: (256, 56),  # IQ1_M
    30: (1, 2),  # BF16
    34: (256, 54),  # TQ1_0
    35: (256, 66),  # TQ2_0
    39: (32, 17),  # MXFP4
    40: (64, 36),  # NVFP4
}
"""Type → elements and bytes of one block. Types that are not here (new ones) have no size that we could check.

Source: ggml-org/llama.cpp, ggml/src/ggml-common.h (the structs) and gguf-py/gguf/constants.py (GGML_QUANT_SIZES).
"""


class GgufError(Exception):
    """The file is not a complete GGUF file, and why; worded to follow the file's name."""


@dataclass(frozen=True, slots=True)
class GgufHead:
    """What the head says.

    Attributes:
        data_offset: Where the tensors' data begins.
        needed_bytes: Smallest size of the complete file.
        architecture: As in `general.architecture`; None when it is not said.
    """

    version: int
    tensors: int
    alignment: int
    data_offset: int
    needed_bytes: int
    architecture: str | None


def check_gguf(path: Path) -> GgufHead:
    """Read the head of *path* and check that the file is as long as its tensors need.

    Raises:
        OSError: It cannot be read.
        GgufError: It is not a complete GGUF file.
    """
    # Without waiting, should it be a pipe that nobody writes to.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode):
            raise GgufError("is not a plain file")
        size_bytes = state.st_size
        head = read_head(file, size_bytes)
    if size_bytes < head.needed_bytes:
        raise GgufError(
            f"is cut off: it has {size_bytes:,} bytes of at least {head.needed_bytes:,} ({size_bytes / head.needed_bytes:.0%})"
        )
    return head


def read_head(file: BinaryIO, size_bytes: int) -> GgufHead:
    """Read the head from the start of *file*, of which *size_bytes* exist.

    Raises:
        GgufError: What is there is no GGUF head, or it ends early.
    """
    reader = _Reader(file, size_bytes)
    if (magic := reader.take(4)) != _MAGIC:
        raise GgufError(f"is not a GGUF file: it starts with {magic!r}")
    version = reader.number("<I", 4)
    if version not in _VERSIONS:
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big") in _VERSIONS
        raise GgufError("is a big-endian GGUF file" if swapped else f"has version {version} of GGUF; known are 2 and 3")
    tensors = reader.count(_MIN_ENTRY_BYTES, "tensors")
    entries = reader.count(_MIN_ENTRY_BYTES, "metadata entries")
    alignment, architecture = _read_metadata(reader, entries)
    data_bytes = max((_tensor_end(reader, alignment) for _ in range(tensors)), default=0)
    data_offset = -(-reader.position // alignment) * alignment
    return GgufHead(version, tensors, alignment, data_offset, data_offset + data_bytes, architecture)


def _read_metadata(reader: "_Reader", entries: int) -> tuple[int, str | None]:
    alignment, architecture = _DEFAULT_ALIGNMENT, None
    for _ in range(entries):
        key = reader.text(_MAX_KEY_BYTES)
        kind = reader.number("<I", 4)
        if key == b"general.alignment" and kind == 4:
            alignment = reader.number("<I", 4)
        elif key == b"general.architecture" and kind == _STRING:
            architecture = reader.text(_MAX_KEY_BYTES).decode("utf-8", "replace")
        else:
            _skip_value(reader, kind, _MAX_NESTING)
    if not 8 <= alignment <= _MAX_ALIGNMENT or alignment & (alignment - 1):
        raise GgufError(f"is damaged: its alignment is {alignment}")
    return alignment, architecture


def _skip_value(reader: "_Reader", kind: int, nesting: int) -> None:
    if kind in _SCALAR_BYTES:
        reader.skip(_SCALAR_BYTES[kind])
    elif kind == _STRING:
        reader.skip(reader.number("<Q", 8))
    elif kind == _ARRAY and nesting > 0:
        element = reader.number("<I", 4)
        element_bytes = _SCALAR_BYTES.get(element)
        if element_bytes is not None:
            reader.skip(reader.count(element_bytes, "elements") * element_bytes)
            return
        for _ in range(reader.count(8, "elements")):
            _skip_value(reader, element, nesting - 1)
    else:
        raise GgufError(f"is damaged: there is no type {kind} of metadata")


def _tensor_end(reader: "_Reader", alignment: int) -> int:
    """Read one tensor's description; returns where its data ends, from the beginning of all data."""
    name = reader.text(_MAX_NAME_BYTES)
    dimensions = reader.number("<I", 4)
    if dimensions > _MAX_DIMENSIONS:
        raise GgufError(f"is damaged: the tensor {name!r} has {dimensions} dimensions")
    shape = [reader.number("<Q", 8) for _ in range(dimensions)]
    kind = reader.number("<I", 4)
    offset = reader.number("<Q", 8)
    if offset % alignment:
        raise GgufError(f"is damaged: the tensor {name!r} is not aligned")
    elements = 1
    for extent in shape:
        elements *= extent
        if elements > _MAX_ELEMENTS:
            raise GgufError(f"is damaged: the tensor {name!r} is too large")
    if kind not in _BLOCKS:
        return offset
    block_elements, block_bytes = _BLOCKS[kind]
    if shape and shape[0] % block_elements:
        raise GgufError(f"is damaged: rows of the tensor {name!r} are not whole blocks")
    return offset + elements // block_elements * block_bytes


class _Reader:
    """Reads forward within the file's size, so that no count makes it allocate or loop beyond what is there."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self._size = size_bytes
        self.position = 0

    def take(self, size: int) -> bytes:
        self._advance(size)
        taken = self._file.read(size)
        if len(taken) < size:
            raise GgufError("is cut off: it ends within its head")
        return taken

    def skip(self, size: int) -> None:
        self._advance(size)
        # Seeking drops the buffer, which is dear for the hundred thousand short strings of a vocabulary.
        if size < 4096:
            self._file.read(size)
        else:
            self._file.seek(size, os.SEEK_CUR)

    def number(self, form: str, size: int) -> int:
        value: int = struct.unpack(form, self.take(size))[0]
        return value

    def count(self, element_bytes: int, what: str) -> int:
        """A count of things of at least *element_bytes* each, which therefore must fit into what is left."""
        count = self.number("<Q", 8)
        if count * element_bytes > self._size - self.position:
            raise GgufError(f"is damaged or cut off: it claims {count:,} {what}")
        return count

    def text(self, limit_bytes: int) -> bytes:
        size = self.number("<Q", 8)
        if size > limit_bytes:
            raise GgufError(f"is damaged: a name has {size:,} bytes")
        return self.take(size)

    def _advance(self, size: int) -> None:
        self.position += size
        if self.position > self._size:
            raise GgufError("is cut off: it ends within its head")
