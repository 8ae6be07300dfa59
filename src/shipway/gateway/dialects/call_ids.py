"""Ids of tool calls that a provider takes, for calls that another one named.

Anthropic and Bedrock take letters, digits, hyphens and underscores, OpenAI 40 characters; others take anything, and so do
conversations that began with them.
"""

from __future__ import annotations

import re
from hashlib import sha256

_PLAIN = re.compile(r"[A-Za-z0-9_-]*")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_-]")
_DIGITS = 12


def plain_id(call_id: str, longest: int) -> str:
    """*call_id*, or always the same other one in its place, of at most *longest* plain characters."""
    if len(call_id) <= longest and _PLAIN.fullmatch(call_id):
        return call_id
    return _replaced(call_id, longest)


def short_id(call_id: str, longest: int) -> str:
    """The same for who takes any characters."""
    return call_id if len(call_id) <= longest else _replaced(call_id, longest)


def _replaced(call_id: str, longest: int) -> str:
    digest = sha256(call_id.encode()).hexdigest()[:_DIGITS]
    return f"{_NOT_PLAIN.sub('_', call_id[: longest - _DIGITS - 1])}_{digest}"
