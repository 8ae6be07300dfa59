"""Dialects by name. A dialect is one folder here and one line in `DIALECTS`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from shipway.gateway.dialects.dialect import Dialect
from shipway.gateway.dialects.embeddings import EmbeddingsFormat

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
    "converse_count_tokens": "bedrock",
    "generate_content_count_tokens": "gemini",
    "batch_embed_contents": "gemini",
    "titan_embeddings": "bedrock",
    "cohere_embeddings": "bedrock",
}
"""The dialect of each operation in which a provider can be asked for an answer, its tokens or vectors, as
`providers.provider.Operation` calls it. Of vectors it is only that of the errors."""

EMBEDDINGS: dict[str, str] = {
    "batch_embed_contents": "shipway.gateway.dialects.gemini.embeddings:BATCH",
    "titan_embeddings": "shipway.gateway.dialects.bedrock.embeddings:TITAN",
    "cohere_embeddings": "shipway.gateway.dialects.bedrock.embeddings:COHERE",
}
"""Import strings of the formats of operations that embed texts."""


def open_dialect(name: str) -> Dialect:
    """Raises: KeyError, for a name that is in neither table: names come from code alone."""
    dialect: Dialect = _imported(DIALECTS.get(name) or CALLERS[name])
    return dialect


def open_embeddings(operation: str) -> EmbeddingsFormat:
    """Raises: KeyError."""
    found: EmbeddingsFormat = _imported(EMBEDDINGS[operation])
    return found


def _imported(target: str) -> Any:
    module, _, attribute = target.partition(":")
    return getattr(import_module(module), attribute)
