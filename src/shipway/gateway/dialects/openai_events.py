"""Events of OpenAI's streams as far as they are read while they pass, and what decodes them."""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.openai import ABSENT, Usage


class FlowingChoice(msgspec.Struct, gc=False):
    """As far as a choice is read once the first token was seen."""

    index: int | None = 0
    finish_reason: str | None = None


class Choice(FlowingChoice, gc=False):
    """As far as a choice is read until then: whether it has said something."""

    text: str | None = None
    delta: dict[str, msgspec.Raw] | None = None


class FlowingEvent(msgspec.Struct, gc=False):
    """An event after the first token."""

    choices: list[FlowingChoice] | None = None
    usage: Usage | None = None
    error: msgspec.Raw = ABSENT
    object: str | None = None


class Event(msgspec.Struct, gc=False):
    """An event until the first token."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: msgspec.Raw = ABSENT
    object: str | None = None


class OddEvent(msgspec.Struct, gc=False):
    """An event, at any time, whose usage has a form of its own."""

    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    object: str | None = None


decode_event = msgspec.json.Decoder(Event).decode
decode_flowing = msgspec.json.Decoder(FlowingEvent).decode
decode_odd_event = msgspec.json.Decoder(OddEvent).decode


class MediaEvent(msgspec.Struct, gc=False):
    """An event of a stream of sounds or pictures; without a type it is one of those above."""

    type: str | None = None
    usage: msgspec.Raw = ABSENT


decode_media_event = msgspec.json.Decoder(MediaEvent).decode
