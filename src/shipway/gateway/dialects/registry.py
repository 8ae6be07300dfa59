"""Dialects by name. A dialect is one folder here and one line in `DIALECTS`."""

from __future__ import annotations

from importlib import import_module

from shipway.gateway.dialects.dialect import Dialect

DIALECTS: dict[str, str] = {
    "openai_chat": "shipway.gateway.dialects.openai_chat:DIALECT",
    "openai_responses": "shipway.gateway.dialects.openai_responses:DIALECT",
    "anthropic": "shipway.gateway.dialects.anthropic:DIALECT",
    "bedrock": "shipway.gateway.dialects.bedrock:DIALECT",
    "gemini": "shipway.gateway.dialects.gemini:DIALECT",
}
"""Import strings. Azure speaks `openai_chat` and `openai_responses`."""

CALLERS: dict[str, str] = {"completions": "shipway.gateway.dialects.completions:DIALECT"}
"""Dialects that are only spoken by callers."""

OPERATIONS: dict[str, str] = {
    "chat_completions": "openai_chat",
    "responses": "openai_responses",
    "messages": "anthropic",
    "converse": "bedrock",
    "generate_content": "gemini",
}
"""The dialect of each operation in which a provider can be asked for an answer, as `providers.provider.Operation` calls it."""


def open_dialect(name: str) -> Dialect:
    """Raises: KeyError, for a name that is in neither table: names come from code alone."""
    module, _, attribute = (DIALECTS.get(name) or CALLERS[name]).partition(":")
    dialect: Dialect = getattr(import_module(module), attribute)
    return dialect
