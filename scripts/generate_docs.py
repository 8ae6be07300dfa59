"""Writes the pages of docs/ that follow from the code; with --check says which are stale and changes nothing."""

import json
import sys
from pathlib import Path

from shipway.cli import build_app
from shipway.cli.reference import commands_markdown, errors_markdown
from shipway.spec.schema import json_schema, reference_markdown

ROOT = Path(__file__).parent.parent


def pages() -> dict[str, str]:
    """The text that each generated file should have, by its path in the repository."""
    return {
        "docs/reference/app-file.md": reference_markdown(),
        "docs/reference/commands.md": commands_markdown(build_app()),
        "docs/reference/errors.md": errors_markdown(),
        "docs/shipway.schema.json": json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n",
    }


def main() -> int:
    stale = []
    for name, text in pages().items():
        file = ROOT / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    if "--check" in sys.argv:
        for name in stale:
            print(f"{name} is stale: run scripts/fix")
        return 1 if stale else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
