"""What a request says and its target cannot be told: refused by the field's name, unless the app file allows its loss."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from typing import Generic, TypeVar

import msgspec
from msgspec import Raw

from shipway.gateway.dialects.conversation import Conversation, Part, Tool, ToolCall
from shipway.gateway.refusals import Refused, bad_field
from shipway.gateway.undecodable import UNDECODABLE

_INDEX = re.compile(r"\[\d+\]")
_FAULT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<at>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`$", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`$", re.DOTALL)
_INVALID = re.compile(r"Invalid (?:enum )?value '(.*)'$", re.DOTALL)
_STEP = re.compile(r"\[\d+\]|[^.\[]+")

HINTS = frozenset(
    (
        "cache_control",
        "system[].cache_control",
        "messages[].content[].cache_control",
        "messages[].content[].content[].cache_control",
        "tools[].cache_control",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "service_tier",
        "safety_identifier",
        "user",
        "metadata",
        "metadata.user_id",
        "store",
        "messages[].name",
        "messages[].content[].file.filename",
        "messages[].content[].image_url.detail",
        "messages[].content[].title",
        "input[].content[].detail",
        "input[].content[].filename",
    )
)
"""Fields without which an answer costs or is named differently, but is not another. Nothing is dropped unless it is allowed:
this is what an app file's `hints` may stand for."""

MAX_SHOWN = 200
"""Of a path that a caller made up."""

MAX_KINDS_DROPPED = 32
"""Each kind of field that is dropped has the body read once more."""


class Losses:
    """What may be lost, and what was.

    Attributes:
        dropped: Paths of fields in the caller's request that did not reach the target, for `x-shipway-dropped`.
    """

    __slots__ = ("_allowed", "_taken", "dropped")

    def __init__(self, allowed: Container[str] = frozenset(), dropped: tuple[str, ...] = ()) -> None:
        """*allowed* has paths without indices, e.g. `logit_bias` or `messages[].name`."""
        self._allowed = allowed
        self._taken: dict[str, list[int]] = {}
        """By list, the places of elements that were taken out of it: what follows is counted as it was sent."""
        self.dropped = list(dropped)

    def lose(self, at: str) -> None:
        """The field at *at* cannot be passed on. Raises: Refused, unless that is allowed."""
        at = self._as_sent(at)
        if _INDEX.sub("[]", at) not in self._allowed:
            shown = at[:MAX_SHOWN]
            raise Refused(bad_field(shown, f"The model behind this name cannot be told {shown!r}."))
        self.dropped.append(at)

    def note(self, at: str) -> None:
        """The field at *at* means nothing to the target, such as another provider's signature; it is only reported."""
        self.dropped.append(self._as_sent(at))

    def take_out(self, at: str) -> None:
        """The element at *at* is no more in its list."""
        array, bracket, index = self._as_sent(at).rpartition("[")
        if bracket and at.endswith("]"):
            self._taken[array] = sorted([*self._taken.get(array, ()), int(index[:-1])])

    def _as_sent(self, at: str) -> str:
        if not self._taken:
            return at
        path, end = "", 0
        for found in _INDEX.finditer(at):
            path += at[end : found.start()]
            index, end = int(found[0][1:-1]), found.end()
            for taken in self._taken.get(path, ()):
                index += taken <= index
            path += f"[{index}]"
        return path + at[end:]

    def header_value(self) -> bytes:
        """For `x-shipway-dropped`: each kind of field once, without indices, so that it stays short."""
        kinds = dict.fromkeys([_INDEX.sub("[]", at) for at in self.dropped])
        # A part of a path may be a name that the caller made up.
        return ", ".join([kind if kind.isascii() and kind.isprintable() else ascii(kind) for kind in kinds]).encode()

    def again(self) -> Losses:
        """For another target of the same request: what was lost in reading stays lost."""
        losses = Losses(self._allowed, tuple(self.dropped))
        losses._taken = self._taken
        return losses


def lose_sampling(conversation: Conversation, losses: Losses, *fields: str) -> None:
    """These fields of `Sampling` have no place in the target. Raises: Refused."""
    sampling = conversation.sampling
    for field in fields:
        if getattr(sampling, field) not in (None, ()):
            losses.lose(conversation.name(field))


def lose_cache(part: Part | Tool, conversation: Conversation, losses: Losses) -> None:
    """That all up to *part* shall be cached cannot be asked for. Raises: Refused."""
    at = part.at.rpartition(".")[0] if type(part) is ToolCall else part.at  # which is where its arguments are
    losses.lose(f"{at}.{conversation.name('cache')}")


def json_object(text: str, at: str) -> Raw:
    """*text* as it is, for a target that carries an object where the caller's dialect carries a string.

    Raises:
        Refused: it is no JSON object.
    """
    try:
        return object_text(text)
    except ValueError:
        raise Refused(bad_field(at, f"The field {at!r} must hold a JSON object.")) from None


def object_text(text: str) -> Raw:
    """*text* of a JSON object as a value; of nothing, an empty one. Raises: ValueError."""
    if not text.strip():
        return Raw(b"{}")
    encoded = text.encode()
    try:
        _decode_fields(encoded)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError("no JSON object") from error
    return Raw(encoded)


T = TypeVar("T")


class StrictReader(Generic[T]):
    """Reads requests into a wire type that forbids unknown fields, and names those that are at fault."""

    def __init__(
        self, wire: type[T], neutral: Mapping[str, frozenset[bytes]] | None = None, aside: Container[str] = ()
    ) -> None:
        """Args:
        neutral: The values (as JSON) of unknown fields that say nothing, by path without indices.
        aside: Unknown fields of an earlier answer that is sent back as it was, and which say nothing to a model: they are
            left out, and reported.
        """
        self._decode = msgspec.json.Decoder(wire).decode
        self._neutral = neutral or {}
        self._aside = aside

    def read(self, body: bytes, losses: Losses) -> T:
        """Raises: Refused."""
        try:
            try:
                return self._decode(body)
            except msgspec.ValidationError as error:
                return self._read_without_unknown(body, error, losses)
        except UNDECODABLE:  # also behind what is wrong with its types
            raise Refused(bad_field(None, "The body is not a JSON object.")) from None

    def _read_without_unknown(self, body: bytes, error: msgspec.ValidationError, losses: Losses) -> T:
        raw = Raw(body)
        for _ in range(MAX_KINDS_DROPPED):
            raw = self._without_fault(raw, str(error), losses)
            try:
                return self._decode(raw)
            except msgspec.ValidationError as next_error:
                error = next_error
        raise Refused(bad_field(None, "The body has too many fields that cannot be passed on."))

    def _without_fault(self, raw: Raw, error: str, losses: Losses) -> Raw:
        """*raw* without the fields that *error* is about, wherever they are alike."""
        match = _FAULT.match(error)
        what, at = (match["what"], match["at"] or "") if match else (error, "")
        if missing := _MISSING.match(what):
            path = (f"{at}.{missing[1]}" if at else missing[1])[:MAX_SHOWN]
            raise Refused(bad_field(path, f"The field {path!r} is missing."))
        if unknown := _UNKNOWN.match(what):
            steps = [*_STEP.findall(at), unknown[1]]
        elif what.startswith("Expected `null`"):
            steps = _STEP.findall(at)
        elif (invalid := _INVALID.match(what)) and at.endswith((".type", ".role")):
            # A kind of part that is not known: the whole part is at fault, by its kind's name.
            parent = at.rpartition(".")[0]
            losses.lose(f"{parent}.{invalid[1]}" if at.endswith(".type") else at)
            reduced = _without(raw, _STEP.findall(parent), "", lambda _value, _at: None, exact=True)
            losses.take_out(parent)
            return reduced
        else:
            at = at[:MAX_SHOWN]
            raise Refused(bad_field(at or None, f"{what[:MAX_SHOWN]}{f' in {at!r}' if at else ''}."))

        def drop(value: bytes, place: str) -> None:
            kind = _INDEX.sub("[]", place)
            if value == b"null" or value in self._neutral.get(kind, frozenset()):
                return
            if kind in self._aside:
                losses.note(place)
            else:
                losses.lose(place)

        return _without(raw, steps, "", drop)


def _without(raw: Raw, steps: list[str], at: str, drop: Callable[[bytes, str], None], *, exact: bool = False) -> Raw:
    """*raw* without what *steps* lead to, in every element of the lists on the way or in that of the index alone."""
    step, rest = steps[0], steps[1:]
    if step.startswith("["):
        if not bytes(raw).lstrip().startswith(b"["):
            return raw
        items = []
        for index, item in enumerate(_decode_items(raw)):
            if exact and step != f"[{index}]":
                items.append(item)
            elif rest:
                items.append(_without(item, rest, f"{at}[{index}]", drop, exact=exact))
            else:
                drop(bytes(item), f"{at}[{index}]")
        return Raw(_encode(items))
    if not bytes(raw).lstrip().startswith(b"{"):
        return raw
    fields = _decode_fields(raw)
    if step in fields:
        place = f"{at}.{step}" if at else step
        if rest:
            fields[step] = _without(fields[step], rest, place, drop, exact=exact)
        else:
            drop(bytes(fields.pop(step)), place)
    return Raw(_encode(fields))


_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_items = msgspec.json.Decoder(list[Raw]).decode
_encode = msgspec.json.Encoder().encode
