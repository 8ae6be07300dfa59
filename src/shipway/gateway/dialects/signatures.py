"""Proofs of thoughts on their way through a caller of another provider's dialect.

A signature means something only to the provider that wrote it, yet must come back to it. So it carries its origin in front
where the caller's dialect is not its own: another provider is then not given it, and the right one gets it as it was.
"""

from __future__ import annotations

FAMILIES = frozenset(("anthropic", "gemini", "openai"))


def sealed_for(family: str, signature: str, origin: str) -> str:
    """What a caller of *family* is handed."""
    return signature if origin in ("", family) else f"{origin}:{signature}"


def opened_from(family: str, handed: str) -> tuple[str, str]:
    """The signature and its origin, from what a caller of *family* gives back."""
    origin, colon, signature = handed.partition(":")
    return (signature, origin) if colon and origin in FAMILIES else (handed, family)
