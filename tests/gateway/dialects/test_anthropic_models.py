"""Anthropic's list of models, of which all are on one page."""

import json

from shipway.gateway.dialects.anthropic.models import model_entry, model_list

ENTRY = {
    "type": "model",
    "id": "chat",
    "display_name": "chat",
    "created_at": "2026-09-21T14:13:20Z",
    "lifecycle": "active",
}


def test_models_are_on_one_page() -> None:
    assert json.loads(model_entry("chat", 1_790_000_000)) == ENTRY
    whole = json.loads(model_list(("chat", "other"), 1_790_000_000))
    assert (whole["data"][0], whole["has_more"], whole["first_id"], whole["last_id"]) == (ENTRY, False, "chat", "other")
    assert json.loads(model_list((), 0)) == {"data": [], "has_more": False, "first_id": None, "last_id": None}
