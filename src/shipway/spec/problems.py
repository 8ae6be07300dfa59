"""pydantic's errors in our own words. Nothing that pydantic says reaches a user."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from shipway.spec.checks import Finding
from shipway.spec.section import Section
from shipway.spec.wording import Location, did_you_mean, found, kind_of, listed, quoted

SENSITIVE_KEYS = frozenset({"api_key", "headers", "env", "tls"})
"""Below these a value may be a secret that somebody pasted: messages name its kind only."""

_EXPECTED: Mapping[str, str] = {
    "string_type": "a string",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a table",
    "mapping_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "tuple_type": "a list",
    "finite_number": "a finite number",
}
_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}
_LIST_HINTS: Mapping[str, str] = {"command": 'one string for each word, as in ["python", "server.py"]'}


def findings(error: ValidationError, model: type[Section], raw: Mapping[str, Any]) -> list[Finding]:
    """What *error* says about *raw*, which was to become a *model*, and what rules its failing tables break besides."""
    details = error.errors(include_url=False)
    result = [finding for detail in details for finding in _translated(detail, model, raw)]
    said = {location for finding in result for location in finding.locations}
    # pydantic checks the rules between keys only once each key is right; here all problems are to come at once.
    for location in {detail["loc"][:length] for detail in details for length in range(len(detail["loc"]))}:
        owner, table = _owner(model, location), value_at(raw, location)
        if owner and isinstance(table, dict) and location not in said:
            result += [Finding((location,), message) for message in owner.broken_rules(table)]
    return result


def existing(raw: Any, location: Location) -> Location:
    """The longest beginning of *location* that *raw* has."""
    for length, part in enumerate(location):
        if not _has(raw, part):
            return location[:length]
        raw = raw[part]
    return location


def value_at(raw: Any, location: Location) -> Any:
    """The raw value at *location*, None when there is nothing."""
    for part in location:
        if not _has(raw, part):
            return None
        raw = raw[part]
    return raw


def _has(raw: Any, part: str | int) -> bool:
    if isinstance(raw, dict):
        return part in raw
    return isinstance(raw, list) and isinstance(part, int) and part < len(raw)


def _translated(detail: ErrorDetails, model: type[Section], raw: Mapping[str, Any]) -> Iterator[Finding]:
    location, context = detail["loc"], detail.get("ctx", {})
    if location and location[-1] == "[key]":
        location = location[:-1]
    match detail["type"]:
        case "shipway":
            yield Finding((location,), context["message"], context["hint"] or None)
        case "shipway_rules":
            yield from (Finding((location,), message) for message in context["messages"])
        case "missing":
            yield Finding((location[:-1],), f"missing key {quoted(str(location[-1]))}")
        case "extra_forbidden":
            # Only a section of ours forbids keys.
            table = _owner(model, location[:-1]) or Section
            yield Finding((location,), *table.unknown_key(str(location[-1])))
        case "too_short" if detail["input"]:
            # Counted without the entries that are wrong, which have errors of their own.
            return
        case "model_type" | "model_attributes_type" if (owner := _owner(model, location)) and owner.may_be_string:
            yield Finding((location,), f"expected a string or a table, found {kind_of(detail['input'])}")
        case kind:
            yield _wrong_value(kind, location, context, detail["input"])


def _wrong_value(kind: str, location: Location, context: Mapping[str, Any], value: object) -> Finding:
    field = next((part for part in reversed(location) if isinstance(part, str)), "")
    secretive = not SENSITIVE_KEYS.isdisjoint(location)
    shown = kind_of(value) if secretive or _EXPECTED.get(kind) in ("a table", "a list") else found(value)
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return Finding((location,), f"expected {words} {context[key]:g}, found {shown}")
    if kind == "too_short":
        empty = "table" if isinstance(value, Mapping) else "list"
        return Finding((location,), f"the {empty} is empty: it needs at least one entry")
    if kind == "literal_error":
        return _wrong_choice(location, context, value, shown)
    hint = None
    if kind == "tuple_type" and isinstance(value, str):
        hint = _LIST_HINTS.get(field, 'put it in brackets: ["…"]')
    if kind == "string_type" and isinstance(value, (bool, int, float)):
        hint = "put it in quotes"
    return Finding((location,), f"expected {_EXPECTED.get(kind, 'another value')}, found {shown}", hint)


def _wrong_choice(location: Location, context: Mapping[str, Any], value: object, shown: str) -> Finding:
    # pydantic gives the choices as one text: "'openai' or 'local'".
    choices = context["expected"].replace("'", " ").replace(",", " ").replace(" or ", " ").split()
    nearest = did_you_mean(value, choices) if isinstance(value, str) else ""
    return Finding((location,), f"expected {listed(choices)}, found {shown}{nearest}")


def _owner(model: type[Section], location: Location) -> type[Section] | None:
    """The section that the table at *location* is to become; None where it is no section of ours."""
    kind: Any = model
    for part in location:
        section = _inside(kind, _is_section)
        if section is not None:
            field = next((f for n, f in section.model_fields.items() if (f.alias or n) == part), None)
            kind = field.annotation if field else None
            continue
        container = _inside(kind, _is_container)
        kind = None if container is None else get_args(container)[0 if isinstance(part, int) else -1]
    found_section: type[Section] | None = _inside(kind, _is_section)
    return found_section


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Section)


def _is_container(kind: Any) -> bool:
    origin = get_origin(kind)
    return isinstance(origin, type) and issubclass(origin, (Mapping, tuple))


def _inside(kind: Any, wanted: Callable[[Any], bool]) -> Any:
    """*kind* itself, or the first part of it where it is a union or annotated, that is *wanted*."""
    if wanted(kind):
        return kind
    if _is_container(kind):
        return None
    return next((match for part in get_args(kind) if (match := _inside(part, wanted)) is not None), None)
