"""What every section of the app file has in common: frozen, strict, no unknown keys, and our own words for mistakes."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationInfo,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError

from shipway.spec.wording import did_you_mean, quoted

FROM_FILE: Mapping[str, bool] = {"from_file": True}
"""Validation context of what a person wrote: units must be spelled out. Code may pass plain seconds and bytes."""

NAME_PATTERN = "[a-z][a-z0-9-]{0,62}"
_NAME = re.compile(NAME_PATTERN)


class Section(BaseModel):
    """A table of the app file."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False, regex_engine="python-re")

    may_be_string: ClassVar[bool] = False
    """Whether a string may stand for the table."""

    @classmethod
    def file_keys(cls) -> tuple[str, ...]:
        """The keys that a person may write."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())

    @classmethod
    def unknown_key(cls, key: str) -> tuple[str, str | None]:
        """Message and hint about *key*, which this table does not have."""
        keys = cls.file_keys()
        return f"unknown key {quoted(key)}{did_you_mean(key, keys)}", f"known: {', '.join(keys)}"

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong between the keys of one table; *given* are those of the file that were set, raw or validated."""
        yield from ()

    @model_validator(mode="after")
    def _keeps_its_rules(self) -> Self:
        fields = type(self).model_fields
        values = {fields[name].alias or name: getattr(self, name) for name in self.model_fields_set}
        broken = list(self.broken_rules({key: value for key, value in values.items() if value is not None}))
        if broken:
            raise PydanticCustomError("shipway_rules", "see ctx", {"messages": broken})
        return self


class Shorthand(Section):
    """A table that may be written as one string, the value of its key `shorthand`."""

    may_be_string: ClassVar[bool] = True
    shorthand: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _expand(cls, value: Any) -> Any:
        return {cls.shorthand: value} if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        reference = handler(schema)
        definition = handler.resolve_ref_schema(reference)
        table = dict(definition)
        text = dict(table["properties"][cls.shorthand])
        definition.clear()
        definition.update(title=table.pop("title"), description=table.pop("description"), anyOf=[text, table])
        return reference


def from_file(info: ValidationInfo) -> bool:
    return bool(info.context and info.context.get("from_file"))


def mistake(message: str, hint: str | None = None) -> PydanticCustomError:
    """An error whose text reaches the user as it is; raise it in a validator.

    The texts travel in the context because pydantic would treat braces in a template as fields.
    """
    return PydanticCustomError("shipway", "see ctx", {"message": message, "hint": hint or ""})


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


List = BeforeValidator(_as_tuple)
"""Marks a tuple that is a list in the file (strict validation would refuse the list)."""
