"""The file in which live weights survive a restart: written whole or not at all, read without ever stopping a start.

What it says about a route or model outlives a change of the app file only where it still makes sense; the rest is
passed over with a reason, and the app file's weights hold.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from shipway.durable_file import replace_durably
from shipway.gateway.releases import MAX_PARTS, Split
from shipway.gateway.undecodable import UNDECODABLE

FORMAT = 1
MAX_FILE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class LiveWeights:
    """The splits that the admin API has set, by target (`models.chat`, `services.api`).

    Attributes:
        version: Rises with each change, so that of two files or replicas the later one is known.
    """

    version: int = 0
    splits: Mapping[str, Split] = field(default_factory=dict)

    def changed(self, target: str, split: Split) -> LiveWeights:
        return LiveWeights(self.version + 1, {**self.splits, target: split})


@dataclass(frozen=True, slots=True)
class Loaded:
    """What of a file can be used, and why the rest cannot, for the log."""

    weights: LiveWeights
    reasons: tuple[str, ...] = ()


class _Part(msgspec.Struct, array_like=True):
    end: float
    release: str


class _File(msgspec.Struct):
    format: int
    version: int
    splits: dict[str, msgspec.Raw]


_decode_file = msgspec.json.Decoder(_File).decode
_decode_parts = msgspec.json.Decoder(list[_Part]).decode


def save_weights(path: Path, weights: LiveWeights) -> None:
    """Replace the file at *path*: whoever reads it, after a crash too, sees the old or the new one whole.

    Raises:
        OSError: It cannot be written; the old one is untouched.
    """
    splits = {
        target: msgspec.Raw(
            msgspec.json.encode([[end, owner] for end, owner in zip(one.ends, one.owners, strict=True)])
        )
        for target, one in weights.splits.items()
    }
    data = msgspec.json.format(msgspec.json.encode(_File(FORMAT, weights.version, splits)), indent=1)
    replace_durably(path, data)


def load_weights(path: Path, known: Mapping[str, Collection[str]]) -> Loaded:
    """What the file at *path* says about targets and releases that are *known* (target → releases).

    No file is no reason to complain. Nothing is raised for what the file holds or lacks.
    """
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return Loaded(LiveWeights())
    except OSError as error:
        return _unusable(path, f"cannot be read: {error.strerror}")
    if len(data) > MAX_FILE_BYTES:
        return _unusable(path, f"is larger than {MAX_FILE_BYTES} bytes")
    try:
        file = _decode_file(data)
    except UNDECODABLE:
        return _unusable(path, "is damaged")
    if file.format != FORMAT or file.version < 0:
        return _unusable(path, f"has format {file.format}, known is {FORMAT}")
    splits: dict[str, Split] = {}
    reasons: list[str] = []
    for target, raw in file.splits.items():
        split = _split(raw, known.get(target))
        if isinstance(split, Split):
            splits[target] = split
        else:
            reasons.append(f"{path.name}: the weights of {target[:100]!r} are not used: {split}")
    return Loaded(LiveWeights(file.version, splits), tuple(reasons))


def _split(raw: msgspec.Raw, releases: Collection[str] | None) -> Split | str:
    """The split, or why there is none."""
    if releases is None:
        return "it has no releases now"
    try:
        parts = _decode_parts(raw)
        split = Split(tuple(part.end for part in parts), tuple(part.release for part in parts))
    except (*UNDECODABLE, ValueError):
        return "they are damaged"
    if len(parts) > MAX_PARTS:
        return "they are damaged"
    unknown = sorted({*split.owners} - {*releases})
    return f"the release {unknown[0][:100]!r} does not exist now" if unknown else split


def _unusable(path: Path, reason: str) -> Loaded:
    return Loaded(LiveWeights(), (f"{path.name}: no live weights are used: the file {reason}",))
