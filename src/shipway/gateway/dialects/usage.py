"""Tokens of one call in classes that do not overlap, so that they sum and each can have its price.

Providers count differently: OpenAI's and Gemini's details are part of their totals, Anthropic's and Bedrock's cached tokens
come on top of `input_tokens`, Gemini's thoughts come on top of its candidates. Their dialects convert; nobody else needs to
know.

A token that is of two kinds is in one class, the first of: read from a cache, written to one, audio, image, plain; for what
came out: reasoning, audio, image, plain. A cache comes first as its price replaces the other. Where a provider tells how many
of the cached tokens were audio, those are taken from the audio; where it does not, nobody knows and both counts stand, as far
as the total has room for them.

What a provider reports is not to be trusted: no number, a negative one or one beyond reason is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

MOST_TOKENS = 10**12
"""More than any call has. Larger numbers would one day not fit where they are added up."""
MOST_DIGITS = 12
"""Of a count that is said as text: always less than that."""


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """None is unknown, never zero. What is not told apart is in `input` and `output`."""

    input: int | None = None
    cached_read: int | None = None
    cached_write: int | None = None
    input_audio: int | None = None
    input_image: int | None = None
    output: int | None = None
    reasoning: int | None = None
    output_audio: int | None = None
    output_image: int | None = None

    @property
    def parts(self) -> TokenUsage | None:
        """Itself, where there is more to it than two totals."""
        told = (
            self.cached_read
            or self.cached_write
            or self.input_audio
            or self.input_image
            or self.reasoning
            or self.output_audio
            or self.output_image
        )
        return self if told else None

    @property
    def classes(self) -> TokenUsage:
        """Itself: the tokens in classes."""
        return self

    @property
    def prompt_tokens(self) -> int | None:
        """All that went in."""
        return _sum(self.input, self.cached_read, self.cached_write, self.input_audio, self.input_image)

    @property
    def completion_tokens(self) -> int | None:
        """All that came out."""
        return _sum(self.output, self.reasoning, self.output_audio, self.output_image)

    @property
    def total_tokens(self) -> int | None:
        return _sum(self.prompt_tokens, self.completion_tokens)

    def with_more_output(self, tokens: int) -> TokenUsage:
        """With *tokens* more that came out, of the plain kind."""
        return msgspec.structs.replace(self, output=(self.output or 0) + tokens)

    def updated(self, later: TokenUsage) -> TokenUsage:
        """With what *later* knows in its place: providers repeat their counts in a stream, they do not add up.

        What went in and what came out are each taken from one report: parts of two need not sum to the total of either.
        """
        if self is NOTHING:
            return later
        given, made = later, later
        if (
            later.input is None
            and later.cached_read is None
            and later.cached_write is None
            and later.input_audio is None
            and later.input_image is None
        ):
            given = self
        if (
            later.output is None
            and later.reasoning is None
            and later.output_audio is None
            and later.output_image is None
        ):
            made = self
        if given is made:
            return given
        return TokenUsage(
            given.input,
            given.cached_read,
            given.cached_write,
            given.input_audio,
            given.input_image,
            made.output,
            made.reasoning,
            made.output_audio,
            made.output_image,
        )


NOTHING = TokenUsage()


def _sum(*counts: int | None) -> int | None:
    total: int | None = None
    for count in counts:
        if count is not None:
            total = count if total is None else total + count
    return total


def counted(said: object) -> int | None:
    """A number of tokens as reported; None for what is none."""
    if type(said) is int:
        return said if 0 <= said <= MOST_TOKENS else None
    if type(said) is float and said.is_integer():  # some write 12.0
        return counted(int(said))
    return None


def members(said: object) -> Mapping[str, object]:
    """The members of an object as reported; none of what is no object."""
    return said if isinstance(said, dict) else {}


def repeated(earlier: Mapping[str, object], later: object) -> Mapping[str, object]:
    """A report of a stream with what *later* says anew, for providers that leave out what has not changed."""
    return {**earlier, **{name: said for name, said in members(later).items() if said is not None}}


def remainder(total: int | None, *parts: int | None) -> tuple[int | None, ...]:
    """Split *total* into what is in none of *parts*, and those.

    Parts that overlap (cached audio counts as both) are cut, the later first, so that all still sum to *total*.

    Returns:
        The remainder, then each part; a part stays unknown when it was, all do where the total is.
    """
    if total is None:
        return (None,) * (1 + len(parts))
    if not any(parts):  # as mostly
        return (total, *parts)
    left = total
    split: list[int | None] = []
    for part in parts:
        if part is None:
            split.append(None)
            continue
        part = max(0, min(part, left))
        left -= part
        split.append(part)
    return (left, *split)


def less(whole: int | None, part: int | None) -> int | None:
    """What is left of *whole* without *part*, if that is known; never below 0."""
    return whole if whole is None or part is None else max(0, whole - part)


def plus(first: int | None, second: int | None) -> int | None:
    """The sum of what is known."""
    return _sum(first, second)
