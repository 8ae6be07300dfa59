"""The reader of GGUF heads."""

import io
import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipway.local.gguf import GgufError, GgufHead, check_gguf, read_head

F32, Q4_1, UNKNOWN_TYPE = 0, 3, 99


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _entry(key: bytes, kind: int, value: bytes) -> bytes:
    return _string(key) + struct.pack("<I", kind) + value


def _tensor(name: bytes, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    extents = b"".join(struct.pack("<Q", extent) for extent in shape)
    return _string(name) + struct.pack("<I", len(shape)) + extents + struct.pack("<IQ", kind, offset)


def _file(entries: list[bytes], tensors: list[bytes], data_bytes: int, alignment: int = 32, version: int = 3) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries)) + b"".join(entries) + b"".join(tensors)
    return head + b"\0" * (-len(head) % alignment) + b"\1" * data_bytes


ARCHITECTURE = _entry(b"general.architecture", 8, _string(b"llama"))
VOCABULARY = _entry(b"tokens", 9, struct.pack("<IQ", 8, 3) + _string(b"a") + _string(b"") + _string(b"xyz"))
SCORES = _entry(b"scores", 9, struct.pack("<IQ", 6, 3) + struct.pack("<3f", 1, 2, 3))
NESTED = _entry(b"nested", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ", 0, 2) + b"\1\2")
TENSORS = [_tensor(b"first", (64, 2), Q4_1, 0), _tensor(b"second", (8,), F32, 96)]
GOOD = _file([ARCHITECTURE, VOCABULARY, SCORES, NESTED], TENSORS, 96 + 32)


def _check(tmp_path: Path, content: bytes) -> GgufHead:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    return check_gguf(file)


def test_a_complete_file_is_accepted(tmp_path: Path) -> None:
    head = _check(tmp_path, GOOD)

    assert head == GgufHead(
        version=3,
        tensors=2,
        alignment=32,
        data_offset=len(GOOD) - 128,
        needed_bytes=len(GOOD),
        architecture="llama",
    )


def test_another_alignment_is_honoured(tmp_path: Path) -> None:
    aligned = _entry(b"general.alignment", 4, struct.pack("<I", 64))

    assert _check(tmp_path, _file([aligned], [_tensor(b"t", (4,), F32, 64)], 80, alignment=64)).alignment == 64


def test_no_file_that_is_cut_off_anywhere_is_accepted(tmp_path: Path) -> None:
    for size in range(len(GOOD)):
        with pytest.raises(GgufError):
            _check(tmp_path, GOOD[:size])


def test_the_message_says_how_much_is_there(tmp_path: Path) -> None:
    whole = _file([], [_tensor(b"t", (1000,), F32, 0)], 4000)

    with pytest.raises(GgufError, match=r"is cut off: it has 2,064 bytes of at least 4,064 \(51%\)"):
        _check(tmp_path, whole[:2064])


def test_a_tensor_of_an_unknown_type_is_not_measured(tmp_path: Path) -> None:
    tensors = [_tensor(b"known", (8,), F32, 0), _tensor(b"new", (10**9,), UNKNOWN_TYPE, 32)]

    assert _check(tmp_path, _file([], tensors, 32)).tensors == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it ends within its head"),
        (b"<!DOCTYPE html>", "is not a GGUF file"),
        (b"version https://git-lfs.github.com/spec/v1", "is not a GGUF file"),
        (b"GGUF" + struct.pack(">I", 3) + bytes(100), "big-endian"),
        (b"GGUF" + struct.pack("<I", 1) + bytes(100), "version 1"),
        (b"GGUF" + struct.pack("<IQQ", 3, 2**60, 0) + bytes(100), "claims 1,152,921,504,606,846,976 tensors"),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 2**60) + bytes(100), "metadata entries"),
        (_file([_entry(b"k", 77, b"")], [], 99), "no type 77 of metadata"),
        (_file([_entry(b"k", 8, struct.pack("<Q", 2**63))], [], 99), "ends within its head"),
        (_file([_entry(b"general.alignment", 4, struct.pack("<I", 0))], [], 99), "its alignment is 0"),
        (_file([_entry(b"general.alignment", 4, struct.pack("<I", 48))], [], 99), "its alignment is 48"),
        (_file([], [_tensor(b"t", (1,) * 5, F32, 0)], 99), "5 dimensions"),
        (_file([], [_tensor(b"t", (2**40, 2**40), F32, 0)], 99), "too large"),
        (_file([], [_tensor(b"t", (33,), Q4_1, 0)], 99), "whole blocks"),
        (_file([], [_tensor(b"t", (8,), F32, 3)], 99), "not aligned"),
        (_file([], [_tensor(b"t" * 65, (8,), F32, 0)], 99), "a name has 65 bytes"),
    ],
)
def test_what_is_no_gguf_file_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(GgufError, match=message):
        _check(tmp_path, content)


def test_arrays_nested_without_end_are_refused(tmp_path: Path) -> None:
    deep = struct.pack("<IQ", 9, 1) * 1000

    with pytest.raises(GgufError, match="damaged"):
        _check(tmp_path, _file([_entry(b"k", 9, deep)], [], 0))


@given(st.binary(max_size=300))
def test_any_bytes_after_the_magic_are_read_or_refused(content: bytes) -> None:
    _read_or_refuse(b"GGUF\3\0\0\0" + content)


@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_any_damage_is_read_or_refused(place: int, damage: bytes) -> None:
    _read_or_refuse(GOOD[:place] + damage + GOOD[place + len(damage) :])


def _read_or_refuse(content: bytes) -> None:
    try:
        head = read_head(io.BytesIO(content), len(content))
    except GgufError:
        return
    assert head.data_offset >= 24
    assert head.needed_bytes >= head.data_offset


class _Counting(io.BytesIO):
    taken = 0

    def read(self, size: int | None = -1) -> bytes:
        self.taken += size or 0
        return super().read(size)


def test_the_weights_are_not_read() -> None:
    content = _file([ARCHITECTURE], [_tensor(b"t", (10**6,), F32, 0)], 4 * 10**6)
    file = _Counting(content)

    read_head(file, len(content))

    assert file.taken < 200


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.gguf")

    with pytest.raises(GgufError, match="is not a plain file"):
        check_gguf(tmp_path / "model.gguf")
