"""Anthropic's list of models. Source: https://docs.anthropic.com/en/api/models-list."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

REQUEST_ID = b"request-id"
"""The header in which Anthropic's clients look for the request id."""


def model_list(names: tuple[str, ...], created_s: int) -> bytes:
    """All on one page."""
    document = {
        "data": [_entry(name, created_s) for name in names],
        "has_more": False,
        "first_id": names[0] if names else None,
        "last_id": names[-1] if names else None,
    }
    return msgspec.json.encode(document)


def model_entry(name: str, created_s: int) -> bytes:
    return msgspec.json.encode(_entry(name, created_s))


def _entry(name: str, created_s: int) -> dict[str, object]:
    created = datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": name, "display_name": name, "created_at": created, "lifecycle": "active"}
