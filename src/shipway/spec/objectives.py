"""`[objectives]`: what counts as good, said once. A canary is judged by it."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from shipway.spec.section import Section, mistake
from shipway.spec.units import DURATION_UNITS, Percentage, format_percent, format_seconds, parse_percent, parse_seconds
from shipway.spec.wording import found

_WITHIN = re.compile(r"([0-9.]+%) under (\S+)")
_EXAMPLE = '"95% under 800ms"'


@dataclass(frozen=True, slots=True)
class Within:
    """At least *share* of all (0 to 1) take no more than *under_s*."""

    share: float
    under_s: float

    def __str__(self) -> str:
        return f"{format_percent(self.share)} under {format_seconds(self.under_s)}"


def parse_within(text: str) -> Within:
    """An objective from `95% under 800ms`. Raises: ValueError, with what to write instead."""
    match = _WITHIN.fullmatch(text)
    if match is None:
        raise ValueError(f"expected an objective such as {_EXAMPLE}, found {found(text)}")
    return Within(parse_percent(match[1]), parse_seconds(match[2]))


def _within(value: Any) -> Within:
    if isinstance(value, Within):
        return value
    if not isinstance(value, str):
        raise mistake(f"expected an objective such as {_EXAMPLE}, found {found(value)}")
    try:
        return parse_within(value)
    except ValueError as error:
        raise mistake(str(error)) from None


WithinTime = Annotated[
    Within,
    PlainValidator(_within),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "title": "share under a duration",
            "pattern": rf"^[0-9]{{1,2}}(\.[0-9]{{1,6}})?% under [0-9.]+({'|'.join(DURATION_UNITS)})$",
            "examples": [_EXAMPLE.strip('"')],
        }
    ),
]
"""A `Within`; a share and a duration in the file."""


class Objectives(Section):
    """What counts as good. Each answer is good or bad by each objective, and a canary must not have more bad ones.

    Times are judged at the bound of the metric's bucket that is nearest below; the reference of metrics has the bounds.
    """

    availability: Percentage = Field(
        default=0.99, description="Share of requests that are answered without a server's error."
    )
    first_token: WithinTime | None = Field(
        default=None, description="Time from a model call's arrival to the first token of its stream."
    )
    latency: WithinTime | None = Field(
        default=None, description="Time from a request's arrival to the end of its answer."
    )
