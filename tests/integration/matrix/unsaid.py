"""Documented values that make no difference to what another provider is sent, and why that is no loss.

`docs/reference/fields.md` lists them; a test finds every other value that would be lost in silence, and every line here that is
not needed any more.
"""

import re
from collections.abc import Mapping
from typing import Any

_TEXT = r"\[\{.*'(text|refusal)': 'first'.*\}\]"
_ANY = ".*"

WHY: Mapping[str, Mapping[str, str]] = {
    "the app file says which model answers": {"model": _ANY},
    "another way to write the same": {
        r"(messages\[\]<\w+>|input\[\]<message>)\.content(\[\]<tool_result>\.content)?": _TEXT,
        r"input\[\]<function_call_output>\.output": _TEXT,
        "messages": r".*'role': 'system'.*",
        r"input\[\]<message>\.role": "developer",
        r"input\[\]<message>\.type": "message",
        "system": _TEXT,
        "stop": r"\['(first|second)'\]",
        "prompt": r"\['(first|second)'\]",
        "input": r"\['(first|second)'\]|\[\{.*'role': 'user'.*\}\]",
        r"tools\[\]\.type": "custom",
        r".*(citations|stream_options|metadata|output_config|reasoning|text)": r"\{\}",
    },
    "what happens without it too": {
        r".*\.image_url\.detail|.*<input_image>\.detail": "auto",
        "logprobs|store|echo|background": "False",
        "modalities": r"\['text'\]",
        "parallel_tool_calls": "True",
        r"response_format|text\.format": r"\{'type': 'text'\}",
        "service_tier": "auto|default",
        "speed": "standard",
        r"verbosity|text\.verbosity": "medium",
        "truncation": "disabled",
        r"stream_options\.include_usage": "False",
        r"tools\[\](<function>)?(\.function)?\.strict": "False",
        "encoding_format": "float",
        r".*\.(is_error|enabled|disable_parallel_tool_use)": "False",
        r".*<tool_use>\.caller|input\[\]<\w+>\.caller": r"\{'type': 'direct'\}",
        "thinking": r"\{'type': 'adaptive'\}",
    },
    "a schema is followed to the letter by who takes one": {
        r"response_format<json_schema>\.json_schema\.strict|text\.format<json_schema>\.strict": _ANY,
    },
    "OpenAI asks for a name, and the models of others are not told one": {
        r"response_format<json_schema>\.json_schema\.name|text\.format<json_schema>\.name": _ANY,
    },
    "padding against eavesdroppers, which only OpenAI sends": {r"stream_options\.include_obfuscation": _ANY},
    "what OpenAI's server keeps its books with; models are not told it": {
        r"input\[\]<\w+>\.(id|status)": _ANY,
    },
    "thoughts are shown as fully as the provider shows them": {
        r"reasoning\.summary": "auto|detailed",
        r"thinking<\w+>\.display": "summarized",
    },
    "thoughts come with their proof always": {"include": r"\['reasoning.encrypted_content'\]"},
    "the thoughts stand in place of their summary": {r"input\[\]<reasoning>\.content": _ANY},
}
"""By reason: patterns of paths, and of values as Python prints them."""


def why(path: str, value: Any) -> str | None:
    """Why it is no loss; None where it is one."""
    for reason, cases in WHY.items():
        for pattern, values in cases.items():
            if re.fullmatch(pattern, path) and re.fullmatch(values, str(value)):
                return reason
    return None
