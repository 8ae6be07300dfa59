"""`[limits]`: what a caller may use in a time."""

from decimal import ROUND_CEILING
from typing import Annotated, Any

from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema

from shipway.spec.section import Section, mistake
from shipway.spec.units import COUNT_SUFFIXES, RATE_UNITS, Rate, parse_rate
from shipway.spec.wording import did_you_mean, found, quoted


def _rate(value: Any) -> Rate:
    if isinstance(value, Rate):
        return value
    if not isinstance(value, str):
        is_count = isinstance(value, (int, float)) and not isinstance(value, bool) and 0.001 <= value < 10**9
        write = f' (write "{found(value)}/min")' if is_count else ""
        raise mistake(f'expected a rate such as "60/min", found {found(value)}{write}')
    try:
        return parse_rate(value)
    except ValueError as error:
        raise mistake(str(error)) from None


_SUFFIXES = "".join(COUNT_SUFFIXES)
RequestRate = Annotated[
    Rate,
    PlainValidator(_rate),
    PlainSerializer(str, return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "title": "rate",
            "pattern": rf"^[0-9]{{1,15}}(?:\.[0-9]{{1,9}})?[{_SUFFIXES}]?/({'|'.join(RATE_UNITS)})$",
            "examples": ["60/min", "5/s", "100k/d"],
        }
    ),
]
"""A `Rate`; a count and a unit of time in the file."""


class Limit(Section):
    """What each caller (each API key) may use in a time; a request above it is answered with 429."""

    requests: RequestRate = Field(description="Requests in the long run.")
    burst: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        description="Requests that may come at once, after which they come at the rate; without it the rate's count.",
    )

    @property
    def burst_requests(self) -> int:
        """The burst that holds: at least one, as otherwise nothing would ever pass."""
        count = self.requests.count.to_integral_value(ROUND_CEILING)
        return self.burst or max(1, int(count))


class Limits(Section):
    """What callers may use, so that one of them cannot take everything from the others. Without it nothing is limited."""

    default: Limit | None = Field(default=None, description="The limit of each caller.")

    @classmethod
    def unknown_key(cls, key: str) -> tuple[str, str | None]:
        if key in Limit.file_keys():
            return f"unknown limit {quoted(key)}", f"{key} belongs into [limits.default]"
        nearest = did_you_mean(key, cls.file_keys()) or ': only "default" has a meaning yet'
        return f"unknown limit {quoted(key)}{nearest}", None
