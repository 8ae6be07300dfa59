"""Fields of requests that not every provider can be told, and who refuses them by which name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.integration.matrix.callers import DATA_URL, WEATHER
from tests.integration.sdks.questions import SCHEMA

_TRANSLATED = ("anthropic", "bedrock", "gemini")
_OPENAI = ("openai", "azure", "azure deployments", "local")
_ALL_BUT_ANTHROPIC = (*_OPENAI, "bedrock", "gemini")


@dataclass(frozen=True)
class Field:
    """Attributes:
    sends: Arguments of the caller's SDK, which replace those of a plain question.
    name: What the refusal names, and `x-shipway-dropped` where `may_drop` allows it.
    refused: Providers for which it is refused. Others are told it, by the same name or another.
    may_drop: Whether the app file can allow its loss; without it nothing would be asked.
    """

    sends: Mapping[str, Any]
    name: str
    refused: tuple[str, ...] = _TRANSLATED
    may_drop: bool = True

    @property
    def path(self) -> str:
        """As `may_drop` has it."""
        return self.name.replace("[0]", "[]").replace("[1]", "[]")


def _chat_part(part: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hello."}, part]}]}


_CHAT_TOOLS = [{"type": "function", "function": {**WEATHER, "parameters": SCHEMA}}]
_RESPONSE_TOOLS = [{"type": "function", **WEATHER, "parameters": SCHEMA, "strict": False}]
_MESSAGE_TOOLS = [{**WEATHER, "input_schema": SCHEMA}]
_MARKED = {"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}
_IMAGE = "https://example.com/image.png"

FIELDS: dict[str, dict[str, Field]] = {
    "chat": {
        "`n`": Field({"n": 2}, "n"),
        "`logit_bias`": Field({"logit_bias": {"5": 1}}, "logit_bias"),
        "`logprobs`": Field({"logprobs": True}, "logprobs"),
        "`top_logprobs`": Field({"top_logprobs": 3}, "top_logprobs"),
        "`seed`": Field({"seed": 7}, "seed", ("anthropic", "bedrock")),
        "`presence_penalty`": Field({"presence_penalty": 0.5}, "presence_penalty", ("anthropic", "bedrock")),
        "`frequency_penalty`": Field({"frequency_penalty": 0.5}, "frequency_penalty", ("anthropic", "bedrock")),
        "`user`": Field({"user": "somebody"}, "user", ("bedrock", "gemini")),
        "`metadata`": Field({"metadata": {"team": "search"}}, "metadata", ("anthropic", "gemini")),
        "`parallel_tool_calls = false`": Field(
            {"tools": _CHAT_TOOLS, "parallel_tool_calls": False}, "parallel_tool_calls", ("bedrock", "gemini")
        ),
        "a message's `name`": Field(
            {"messages": [{"role": "user", "content": "Hello.", "name": "ann"}]}, "messages[0].name"
        ),
        "image by its address": Field(
            _chat_part({"type": "image_url", "image_url": {"url": _IMAGE}}),
            "messages[0].content[1].image_url",
            ("bedrock",),
        ),
        "an image's `detail`": Field(
            _chat_part({"type": "image_url", "image_url": {"url": DATA_URL, "detail": "high"}}),
            "messages[0].content[1].image_url.detail",
        ),
        "audio": Field(
            _chat_part({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}),
            "messages[0].content[1].input_audio",
            ("anthropic",),
        ),
        "a field that nobody knows": Field({"extra_body": {"nonsense": 1}}, "nonsense"),
    },
    "completions": {
        "one prompt in a list": Field({"prompt": ["Say three words."]}, "prompt", ()),
        "several prompts": Field({"prompt": ["Say three words.", "Say four."]}, "prompt", may_drop=False),
        "tokens in place of text": Field({"prompt": [1, 2, 3]}, "prompt", may_drop=False),
        "`suffix`": Field({"suffix": "The end."}, "suffix"),
        "`echo`": Field({"echo": True}, "echo"),
        "`logprobs`": Field({"logprobs": 1}, "logprobs"),
        "`n`": Field({"n": 2}, "n"),
        "`best_of`": Field({"best_of": 2}, "best_of"),
        "`logit_bias`": Field({"logit_bias": {"5": 1}}, "logit_bias"),
        "`seed`": Field({"seed": 7}, "seed", ("anthropic", "bedrock")),
        "`presence_penalty`": Field({"presence_penalty": 0.5}, "presence_penalty", ("anthropic", "bedrock")),
        "`user`": Field({"user": "somebody"}, "user", ("bedrock", "gemini")),
    },
    "responses": {
        "`top_logprobs`": Field({"top_logprobs": 3}, "top_logprobs"),
        "`previous_response_id`": Field({"previous_response_id": "resp_fake"}, "previous_response_id"),
        '`truncation = "auto"`': Field({"truncation": "auto"}, "truncation"),
        "`include`": Field({"include": ["message.output_text.logprobs"]}, "include"),
        "`metadata`": Field({"metadata": {"team": "search"}}, "metadata", ("anthropic", "gemini")),
        "`parallel_tool_calls = false`": Field(
            {"tools": _RESPONSE_TOOLS, "parallel_tool_calls": False}, "parallel_tool_calls", ("bedrock", "gemini")
        ),
        "a tool that OpenAI runs": Field({"tools": [{"type": "web_search"}]}, "tools[0].web_search"),
    },
    "messages": {
        "`top_k`": Field(
            {"extra_body": {"top_k": 5}, "extra_headers": {"anthropic-version": "2023-06-01"}},
            "top_k",
            (*_OPENAI, "bedrock"),
        ),
        '`service_tier = "standard_only"`': Field(
            {"service_tier": "standard_only"}, "service_tier", _ALL_BUT_ANTHROPIC
        ),
        "`cache_control`": Field({"system": [_MARKED]}, "system[0].cache_control", (*_OPENAI, "gemini")),
        "`metadata.user_id`": Field({"metadata": {"user_id": "somebody"}}, "metadata.user_id", ("bedrock", "gemini")),
        "`disable_parallel_tool_use`": Field(
            {"tools": _MESSAGE_TOOLS, "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            "tool_choice.disable_parallel_tool_use",
            ("bedrock", "gemini"),
        ),
        "how many tokens to think": Field(
            {"thinking": {"type": "enabled", "budget_tokens": 1024}}, "thinking.budget_tokens", (*_OPENAI, "bedrock")
        ),
    },
}
