"""Typed values in the store: JSON, with the version that the next change must name."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from shipway import __version__
from shipway.deploy.state import Store
from shipway.errors import ConflictError, NewerStateError, StateError

_T = TypeVar("_T", bound=msgspec.Struct)

SCHEMA = 1
"""Version of the form of all records. It rises when an older Shipway would misread a new one."""


class _Envelope(msgspec.Struct):
    """`shipway` is the version that wrote it, for the message of an older one."""

    schema: int
    value: msgspec.Raw
    shipway: str = ""


@dataclass(frozen=True, slots=True)
class Found(Generic[_T]):
    """A record and its version in the store."""

    value: _T
    version: str


def read(store: Store, key: str, kind: type[_T]) -> Found[_T] | None:
    """The record at *key*; None where there is none. Raises: StateError, NewerStateError."""
    entry = store.get(key)
    if entry is None:
        return None
    try:
        envelope = msgspec.json.decode(entry.value, type=_Envelope)
        if envelope.schema > SCHEMA:
            wanted = f"'shipway>={envelope.shipway}'" if envelope.shipway else "shipway"
            raise NewerStateError(
                f"{key} was written by a later Shipway{envelope.shipway and ' '}{envelope.shipway}: it has schema "
                f"{envelope.schema}, known to this one ({__version__}) is {SCHEMA}",
                f"pip install --upgrade {wanted}",
            )
        return Found(msgspec.json.decode(envelope.value, type=kind), entry.version)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(f"the record {key} makes no sense: {error}") from error


def write(store: Store, key: str, value: msgspec.Struct, version: str | None) -> str:
    """Replace the record that has *version*. Returns the new version. Raises: ConflictError, StateError."""
    envelope = _Envelope(SCHEMA, msgspec.Raw(msgspec.json.encode(value)), __version__)
    return store.put(key, msgspec.json.encode(envelope), version)


def append(store: Store, folder: str, value: msgspec.Struct) -> str:
    """Add a record to a folder of numbered ones. Returns its key."""
    number = len(store.keys(folder)) + 1
    while True:
        key = f"{folder}/{number:08d}"
        try:
            write(store, key, value, None)
        except ConflictError:
            number += 1
        else:
            return key
