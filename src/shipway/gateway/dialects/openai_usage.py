"""How OpenAI's APIs report tokens, and the servers that imitate them: chat, completions, embeddings, responses, images, audio.

They name the same things differently from API to API, so one reader takes all their names.

Sources: https://platform.openai.com/docs/api-reference (the usage objects of each), of which details are parts of the totals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shipway.gateway.dialects.usage import TokenUsage, counted, less, members, remainder

_INPUT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details", "output_token_details")


def read_usage(said: object) -> TokenUsage:
    """The classes of a report, which may be anything. One in seconds of audio (`type` is `duration`) has none."""
    usage = members(said)
    return classes_of(
        counted(_first(usage, _INPUT)),
        counted(_first(usage, _OUTPUT)),
        _first(usage, _INPUT_DETAILS),
        _first(usage, _OUTPUT_DETAILS),
    )


def read_image_usage(said: object) -> TokenUsage:
    """The same for images that were made: what came out is of them, unless it is told apart."""
    return _made_usage(said, lambda made: TokenUsage(output=0, output_image=made))


def read_speech_usage(said: object) -> TokenUsage:
    """The same for speech that was made: what came out is heard, unless it is told apart."""
    return _made_usage(said, lambda made: TokenUsage(output=0, output_audio=made))


def _made_usage(said: object, as_class: Callable[[int], TokenUsage]) -> TokenUsage:
    usage = read_usage(said)
    if usage.output is None or _first(members(said), _OUTPUT_DETAILS) is not None:
        return usage
    return usage.updated(as_class(usage.output))


def classes_of(prompt: int | None, completion: int | None, prompt_details: object, details: object) -> TokenUsage:
    """The classes of totals with their details."""
    given, made = members(prompt_details), members(details)
    cached = members(given.get("cached_tokens_details"))
    fresh, read, written, audio, image = remainder(
        prompt,
        counted(given.get("cached_tokens")),
        counted(given.get("cache_write_tokens")),
        less(counted(given.get("audio_tokens")), counted(cached.get("audio_tokens"))),
        less(counted(given.get("image_tokens")), counted(cached.get("image_tokens"))),
    )
    output, reasoning, output_audio, output_image = remainder(
        completion,
        counted(made.get("reasoning_tokens")),
        counted(made.get("audio_tokens")),
        counted(made.get("image_tokens")),
    )
    return TokenUsage(fresh, read, written, audio, image, output, reasoning, output_audio, output_image)


def _first(usage: Mapping[str, object], names: tuple[str, ...]) -> object:
    for name in names:
        said = usage.get(name)
        if said is not None:
            return said
    return None
