"""Events of OpenAI's streams as far as they are read while they pass, and what decodes them."""

from __future__ import annotations

import msgspec

from shipway.gateway.dialects.openai import ABSENT, Usage


class FlowingChoice(msgspec.Struct, gc=False):
    """What is read of a choice once it has said something."""

    index: int | None = 0
    finish_reason: str | None = None


class Choice(FlowingChoice, gc=False):
    text: str | None = None
    delta: dict[str, msgspec.Raw] | None = None


class FlowingEvent(msgspec.Struct, gc=False):
    choices: list[FlowingChoice] | None = None
    usage: Usage | None = None
    error: msgspec.Raw = ABSENT
    object: str | None = None


class Event(msgspec.Struct, gc=False):
    choices: list[Choice] | None = None
    usage: Usage | None = None
    error: msgspec.Raw = ABSENT
    object: str | None = None


class OddEvent(msgspec.Struct, gc=False):
    choices: list[Choice] | None = None
    usage: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT
    object: str | None = None


decode_event = msgspec.json.Decoder(Event).decode
decode_flowing = msgspec.json.Decoder(FlowingEvent).decode
decode_odd_event = msgspec.json.Decoder(OddEvent).decode


class MediaEvent(msgspec.Struct, gc=False):
    type: str | None = None
    usage: msgspec.Raw = ABSENT


decode_media_event = msgspec.json.Decoder(MediaEvent).decode
