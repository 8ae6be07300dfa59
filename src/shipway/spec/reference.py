"""The reference page of the app file: one table a section, derived from the JSON Schema, and an example of each.

The page is `docs/reference/app-file.md`. `python -m shipway.spec.reference docs` writes it and the schema anew.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shipway.spec.examples import EXAMPLES
from shipway.spec.schema import Schema, definition, json_schema

_HEAD = """# The app file

<!-- Generated from src/shipway/spec/ by `python -m shipway.spec.reference docs`; edit there. -->

`shipway.toml` describes an app; the table `[tool.shipway]` of a `pyproject.toml` does the same, with `tool.shipway.` in
front of each section; a folder has one of the two. The JSON Schema [shipway.schema.json](../shipway.schema.json) lets an
editor check and complete it: put `#:schema URL-or-path-of-shipway.schema.json` in the first line.

- **Names** (of the app, services, providers, environments) are lowercase letters, digits and hyphens, with a letter first, at
  most 63. A model's name is what clients send, so it may also hold capitals and `.`, `_`, `:`, `/`: `[models."gpt-4.1"]`.
  A release's name may hold capitals and `.`, `_`.
- **Durations** are numbers with `ms`, `s`, `m` (minutes), `h` or `d`: `"250ms"`, `"30s"`. **Sizes** have `B`, `kB`, `MB`, `GB`,
  `TB` (powers of 1000) or `KiB`, `MiB`, `GiB`, `TiB` (powers of 1024): `"10MiB"`. **Rates** are counts, perhaps with `k` or
  `M`, for each `/s`, `/min`, `/h` or `/d`: `"60/min"`, `"100k/d"`. **Percentages** end in `%`: `"99.5%"`. **Prices** are US
  dollars for a million tokens, a thousand or one: `"0.15 USD/Mtok"`, `"2 USD/ktok"`, `"1 USD/tok"`. All are more than zero.
- **Secrets** are references, never values: `"env:NAME"` is an environment variable, `"file:PATH"` a text file.
- **Paths** start at the folder of the app file.
- Unknown keys are errors, and so are settings that would have no effect.
"""


@dataclass(frozen=True)
class _Part:
    heading: str
    at: str
    """Name of the definition in the schema; empty for the file's top."""


_PARTS = (
    _Part("Top level", ""),
    _Part("[services.NAME]", "Service"),
    _Part("services.NAME.routes", "Route"),
    _Part("[services.NAME.releases.RELEASE]", "ServiceRelease"),
    _Part("[services.NAME.health]", "Health"),
    _Part("[services.NAME.resources]", "Resources"),
    _Part("[services.NAME.example]", "Example"),
    _Part("[providers.NAME]", "Provider"),
    _Part("[providers.NAME.tls]", "ProviderTls"),
    _Part("[models.NAME]", "Model"),
    _Part("models.NAME.upstreams", "Upstream"),
    _Part("[models.NAME.releases.RELEASE]", "ModelRelease"),
    _Part("[models.NAME.price]", "Price"),
    _Part("[models.NAME.cache]", "Cache"),
    _Part("[models.NAME.cache.semantic]", "Semantic"),
    _Part("[guards.NAME]", "Guard"),
    _Part("models.NAME.guards", "GuardUse"),
    _Part("[limits]", "Limits"),
    _Part("[limits.default]", "Limit"),
    _Part("[gateway]", "Gateway"),
    _Part("[gateway.timeouts]", "Timeouts"),
    _Part("[gateway.tls]", "Tls"),
    _Part("[objectives]", "Objectives"),
    _Part("[build]", "Build"),
    _Part("[environments.NAME]", "Environment"),
    _Part("[environments.NAME.rollout]", "Rollout"),
)


def reference_markdown() -> str:
    """The page's text."""
    schema = json_schema()
    return "\n".join([_HEAD, *(_section(schema, part) for part in _PARTS)])


def _section(schema: Schema, part: _Part) -> str:
    node = schema["$defs"][part.at] if part.at else schema
    table = node if "properties" in node else next(choice for choice in node["anyOf"] if "properties" in choice)
    short = "" if table is node else f" One string may stand for the table: its `{_shorthand(node, table)}`."
    heading = part.heading if part.heading == "Top level" else f"`{part.heading}`"
    lines = [
        f"## {heading}",
        "",
        node["description"] + short,
        "",
        "| key | type | default | meaning |",
        "|---|---|---|---|",
    ]
    lines += _rows(schema, table)
    lines += ["", "```toml", EXAMPLES[part.at].strip(), "```", ""]
    return "\n".join(lines)


def _rows(schema: Schema, table: Schema) -> Iterator[str]:
    for key, value in table["properties"].items():
        default = f"`{json.dumps(value['default'])}`" if "default" in value else ""
        if key in table.get("required", ()):
            default = "required"
        meaning = value.get("description") or definition(schema, value).get("description", "")
        cells = (f"`{key}`", _type(schema, value), default, meaning)
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shorthand(node: Schema, table: Schema) -> str:
    """The key whose value may stand for the whole table."""
    properties: Mapping[str, Schema] = table["properties"]
    return next(key for key, value in properties.items() if _says_the_same(value, node["anyOf"][0]))


def _says_the_same(one: Schema, other: Schema) -> bool:
    return all(one.get(key) == other.get(key) for key in ("type", "pattern", "enum"))


def _type(schema: Schema, value: Schema) -> str:
    """The kind of value in a few words."""
    if "$ref" in value:
        node = definition(schema, value)
        return _type(schema, node["anyOf"][0]) + " or table" if "anyOf" in node else "table"
    if "enum" in value:
        return " or ".join(f"`{json.dumps(choice)}`" for choice in value["enum"])
    if "anyOf" in value:
        return " or ".join(_type(schema, choice) for choice in value["anyOf"])
    if value["type"] == "array":
        return "list of " + _plural(_type(schema, value["items"]))
    if value["type"] == "object":
        named = isinstance(value.get("additionalProperties"), dict) and "$ref" in value["additionalProperties"]
        return "tables by name" if named else "table"
    return _scalar(value)


def _scalar(value: Schema) -> str:
    words: dict[str, str] = {
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "string": "string",
    }
    text: str = value.get("title", words[value["type"]])
    bounds: list[Any] = [value.get("minimum"), value.get("maximum")]
    if "exclusiveMinimum" in value:
        return f"{text}, more than {value['exclusiveMinimum']:g}, at most {value['maximum']:g}"
    return f"{text}, {bounds[0]} to {bounds[1]}" if None not in bounds else text


def _plural(text: str) -> str:
    return text.replace("string", "strings").replace("table", "tables").replace("percentage", "percentages")


def write(docs: Path) -> None:
    """Write the schema and the page into the folder *docs*."""
    schema = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    (docs / "shipway.schema.json").write_text(schema, encoding="utf-8")
    (docs / "reference" / "app-file.md").write_text(reference_markdown(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
