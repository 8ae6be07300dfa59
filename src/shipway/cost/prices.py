"""Prices of tokens and what a call costs by them. Pure, and exact: money is whole pico-dollars.

Token classes do not overlap, so that nothing is billed twice: cached tokens are not in `input`, reasoning is not in `output`.
Unknown is unknown, never zero: of a call without usage, of a class without a price.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Protocol

from shipway.spec.prices import Price as StatedPrice

CLASSES = (
    *("input", "cached_read", "cached_write", "input_audio", "input_image"),
    *("output", "reasoning", "output_audio", "output_image"),
)
"""Names of the classes: of what went in, and of what came out."""


class TokenClasses(Protocol):
    """The tokens of one call in classes that do not overlap; None is unknown, never zero."""

    @property
    def input(self) -> int | None: ...
    @property
    def cached_read(self) -> int | None: ...
    @property
    def cached_write(self) -> int | None: ...
    @property
    def input_audio(self) -> int | None: ...
    @property
    def input_image(self) -> int | None: ...
    @property
    def output(self) -> int | None: ...
    @property
    def reasoning(self) -> int | None: ...
    @property
    def output_audio(self) -> int | None: ...
    @property
    def output_image(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Rates:
    """Pico-dollars a token, by class; None is unknown."""

    input: int
    output: int | None = None
    cached_read: int | None = None
    cached_write: int | None = None
    input_audio: int | None = None
    input_image: int | None = None
    reasoning: int | None = None
    output_audio: int | None = None
    output_image: int | None = None

    @classmethod
    def of(cls, stated: Mapping[str, int]) -> Rates:
        """Of the classes that are stated; the others get what they fall back on.

        Providers bill what they have no other price for as plain tokens: cached ones, reasoning, images that they see. Audio
        and images that are made cost several times as much, so where their price is missing it is unknown.
        """
        fallen_back = dict.fromkeys(("cached_read", "cached_write", "input_image"), stated["input"])
        if "output" in stated:
            fallen_back["reasoning"] = stated["output"]
        return cls(**{**fallen_back, **stated})

    def plain(self, input_tokens: int | None, output_tokens: int | None) -> int | None:
        """What tokens cost that are not told apart, in pico-dollars."""
        if input_tokens is None:
            return None
        if self.output is None:
            return None if output_tokens else input_tokens * self.input
        return None if output_tokens is None else input_tokens * self.input + output_tokens * self.output

    def cost(self, tokens: TokenClasses) -> int | None:
        """What *tokens* cost in pico-dollars; None where a class in use has no price, or a side was not reported."""
        total = 0
        for side in (
            (
                (tokens.input, self.input),
                (tokens.cached_read, self.cached_read),
                (tokens.cached_write, self.cached_write),
                (tokens.input_audio, self.input_audio),
                (tokens.input_image, self.input_image),
            ),
            (
                (tokens.output, self.output),
                (tokens.reasoning, self.reasoning),
                (tokens.output_audio, self.output_audio),
                (tokens.output_image, self.output_image),
            ),
        ):
            reported = False
            for count, rate in side:
                if count is None:
                    continue
                reported = True
                if count:
                    if rate is None:
                        return None
                    total += count * rate
            # What has no price for text that comes out makes none (embeddings): nothing is missing then.
            if not reported and side[0][1] is not None:
                return None
        return total


@dataclass(frozen=True, slots=True)
class Price:
    """Rates by how much goes in.

    Attributes:
        tiers: Rates for *all* tokens of a call of which more than so many go in, the highest first.
    """

    rates: Rates
    tiers: tuple[tuple[int, Rates], ...] = ()

    def for_input(self, input_tokens: int | None) -> Rates:
        for above, rates in self.tiers:
            if input_tokens is not None and input_tokens > above:
                return rates
        return self.rates


@dataclass(frozen=True, slots=True)
class Period:
    """A price and when it holds: from a moment on, and perhaps at some hours of each day only.

    Attributes:
        from_s: Seconds since 1970.
        hours: Beginning and end in seconds of the day, UTC; the end may come before the beginning, on the next day.
    """

    price: Price
    from_s: float = -math.inf
    hours: tuple[int, int] | None = None

    def holds(self, wall_s: float) -> bool:
        if wall_s < self.from_s or self.hours is None:
            return wall_s >= self.from_s
        begins, ends = self.hours
        second = int(wall_s) % 86400
        return begins <= second < ends if begins <= ends else second >= begins or second < ends


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of one model over time. Of periods that hold at the same time the last counts; of none, the first."""

    periods: tuple[Period, ...]

    def at(self, wall_s: float) -> Price:
        """The price at *wall_s*, in seconds since 1970."""
        periods = self.periods
        if len(periods) > 1:
            for period in reversed(periods):
                if period.holds(wall_s):
                    return period.price
        return periods[0].price

    def since(self, wall_s: float) -> Prices:
        """Without what is over by *wall_s*: most models have a single price then, which costs nothing to find."""
        lasting = [index for index, one in enumerate(self.periods) if one.hours is None and one.from_s <= wall_s]
        kept = self.periods[lasting[-1] :] if lasting else self.periods
        return Prices(kept)


def stated_prices(stated: StatedPrice) -> Prices:
    """What the app file says."""
    named = {name: getattr(stated, name) for name in StatedPrice.model_fields}
    return Prices((Period(Price(Rates.of({name: rate for name, rate in named.items() if rate is not None}))),))


def day_s(date: str) -> float:
    """When a day such as `2026-01-05` begins in UTC, in seconds since 1970."""
    return datetime.fromisoformat(date).replace(tzinfo=UTC).timestamp()


def second_of_day(text: str) -> int:
    """From `16:30` or `16:30:00`."""
    at = time.fromisoformat(text)
    return at.hour * 3600 + at.minute * 60 + at.second
