"""The page of dialects is fresh, and so is what it says."""

from pathlib import Path

from shipway.gateway.dialects.reference import reference_markdown

DOCS = Path(__file__).parents[3] / "docs"


def test_the_page_of_dialects_is_fresh() -> None:
    page = (DOCS / "reference" / "dialects.md").read_text(encoding="utf-8")
    assert page == reference_markdown(), "stale: run scripts/fix"
