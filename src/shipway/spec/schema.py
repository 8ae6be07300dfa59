"""The JSON Schema of the app file, for editors and for the reference page.

pydantic derives it from the sections; what remains is to say it as the file has it: no nulls, defaults with units, built-in
providers that need no `kind`, and environments as partial versions of the sections.
"""

from collections.abc import Mapping
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from shipway.spec import guards, models, services
from shipway.spec.app import AppFile
from shipway.spec.environments import OVERRIDABLE
from shipway.spec.provider_kinds import KINDS
from shipway.spec.providers import BUILT_IN
from shipway.spec.units import format_bytes, format_percent, format_seconds

Schema = dict[str, Any]

_DEFINITION = "#/$defs/"
_PARTIAL = "Change"
"""Ending of the definitions that say what an environment may change."""


class _Generator(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:
        # A title made from the key says nothing; ours name the unit.
        return False


def json_schema() -> Schema:
    """A JSON Schema (draft 2020-12) that accepts the app files that have no wrong key and no wrong value in them.

    What holds between sections (routes that collide, providers that do not exist) is for `shipway check`.
    """
    schema: Schema = _as_written(AppFile.model_json_schema(schema_generator=_Generator))
    definitions: Schema = schema["$defs"]
    for name, sources in (("Service", services.SOURCES), ("Model", models.SOURCES), ("Guard", guards.SOURCES)):
        definitions[name]["oneOf"] = [{"required": [source]} for source in sources.keys]
    without_address = [name for name, kind in KINDS.items() if kind.needs_address]
    definitions["Provider"].update(
        {"if": {"properties": {"kind": {"enum": without_address}}}, "then": {"required": ["base_url"]}}
    )
    sections: Schema = schema["properties"]
    for name in OVERRIDABLE:
        definitions["Environment"]["properties"][name] |= _partial(_kind(sections[name]), definitions)
    provider = _partial(definitions["Provider"], definitions)
    sections["providers"]["properties"] = {name: _referring("Provider" + _PARTIAL) for name in BUILT_IN}
    definitions["Provider" + _PARTIAL] = provider
    schema["anyOf"] = [{"required": ["services"]}, {"required": ["models"]}]
    return {"$schema": GenerateJsonSchema.schema_dialect, **schema, "$defs": dict(sorted(definitions.items()))}


def definition(schema: Schema, part: Mapping[str, Any]) -> Schema:
    """*part* itself, or what it refers to in *schema*."""
    name = part.get("$ref")
    resolved: Schema = schema["$defs"][name.removeprefix(_DEFINITION)] if name else dict(part)
    return resolved


def _referring(name: str) -> Schema:
    return {"$ref": _DEFINITION + name}


def _kind(section: Schema) -> Schema:
    return {key: section[key] for key in section if key in ("$ref", "type", "additionalProperties", "propertyNames")}


def _as_written(node: Any) -> Any:
    """*node* without null, which TOML lacks, and with its defaults as a person would write them."""
    if isinstance(node, list):
        return [_as_written(item) for item in node]
    if not isinstance(node, dict):
        return node
    # What is below "properties" are names of ours, which may be "default" too.
    node = {
        key: {name: _as_written(part) for name, part in value.items()} if key == "properties" else _as_written(value)
        for key, value in node.items()
    }
    if isinstance(node.get("anyOf"), list):
        node["anyOf"] = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
        if len(node["anyOf"]) == 1:
            node |= node.pop("anyOf")[0]
    if "patternProperties" in node:
        ((pattern, value),) = node.pop("patternProperties").items()
        node |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
    # A default of a table is what its own keys' defaults say.
    if "default" in node and (node["default"] is None or isinstance(node["default"], dict)):
        del node["default"]
    if "default" in node:
        node["default"] = _default(node)
    return node


def _default(node: Schema) -> Any:
    value = node["default"]
    if node.get("title") == "duration":
        return format_seconds(value)
    if node.get("title") == "size":
        return format_bytes(value)
    if node.get("title") == "percentage":
        return format_percent(value)
    if isinstance(value, list) and node.get("items", {}).get("title") == "percentage":
        return [item if isinstance(item, str) else format_percent(item) for item in value]
    if isinstance(value, list):
        return [item["path"] if isinstance(item, dict) and "path" in item else item for item in value]
    return value


def _partial(node: Any, definitions: Schema) -> Any:
    """*node* with nothing required and no defaults, its tables too. Lists stay as they are: an override replaces them."""
    if "$ref" in node:
        name = node["$ref"].removeprefix(_DEFINITION)
        if name + _PARTIAL not in definitions:
            definitions[name + _PARTIAL] = _partial(definitions[name], definitions)
        return {**node, **_referring(name + _PARTIAL)}
    result = {key: value for key, value in node.items() if key not in ("required", "oneOf", "if", "then", "default")}
    if "properties" in result:
        result["properties"] = {key: _partial(value, definitions) for key, value in result["properties"].items()}
    if isinstance(result.get("additionalProperties"), dict):
        result["additionalProperties"] = _partial(result["additionalProperties"], definitions)
    if "anyOf" in result:
        result["anyOf"] = [_partial(choice, definitions) for choice in result["anyOf"]]
    return result
