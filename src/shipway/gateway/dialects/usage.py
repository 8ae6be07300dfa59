"""Tokens of one call in classes that do not overlap, so that they sum and each can have its price.

Providers count differently: OpenAI's and Gemini's details are part of their totals, Anthropic's and Bedrock's cached tokens
come on top of `input_tokens`, Gemini's thoughts come on top of its candidates. Their dialects convert; nobody else needs to
know.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec


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

    has_parts: ClassVar[bool] = True
    """Whether it is worth looking for parts of the totals."""

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

    def updated(self, later: TokenUsage) -> TokenUsage:
        """With what *later* knows in its place: providers repeat their counts in a stream, they do not add up."""
        if self is NOTHING:
            return later
        return TokenUsage(  # written out, since some say it with every token
            self.input if later.input is None else later.input,
            self.cached_read if later.cached_read is None else later.cached_read,
            self.cached_write if later.cached_write is None else later.cached_write,
            self.input_audio if later.input_audio is None else later.input_audio,
            self.input_image if later.input_image is None else later.input_image,
            self.output if later.output is None else later.output,
            self.reasoning if later.reasoning is None else later.reasoning,
            self.output_audio if later.output_audio is None else later.output_audio,
            self.output_image if later.output_image is None else later.output_image,
        )


NOTHING = TokenUsage()


def _sum(*counts: int | None) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def remainder(total: int | None, *parts: int | None) -> tuple[int | None, ...]:
    """Split *total* into what is in none of *parts*, and those.

    Parts that overlap (cached audio counts as both) are cut, the later first, so that all still sum to *total*.

    Returns:
        The remainder, then each part; a part stays unknown when it was, all do where the total is.
    """
    if total is None:
        return (None,) * (1 + len(parts))
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


def plus(first: int | None, second: int | None) -> int | None:
    """The sum of what is known."""
    return _sum(first, second)
