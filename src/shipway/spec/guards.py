"""`[guards.NAME]`: hooks that see what models are asked and what they answer."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from shipway.spec.fields import BaseUrl, Headers, ImportString, Text, distinct
from shipway.spec.section import List, Section, Shorthand, mistake
from shipway.spec.sources import Sources
from shipway.spec.units import Seconds
from shipway.spec.wording import found

SOURCES = Sources("a guard", "has", {"call": frozenset({"headers"}), "url": frozenset()})

REASONS = ("harmful", "injection", "off_topic", "personal_data", "policy", "secret")
"""Why a guard refuses, unless it declares reasons of its own."""

_REASON = re.compile("[a-z][a-z0-9_]{0,62}")


def _reason(value: str) -> str:
    if not _REASON.fullmatch(value):
        raise mistake(f"expected a reason of lowercase letters, digits and _, a letter first, found {found(value)}")
    return value


Reason = Annotated[str, AfterValidator(_reason), WithJsonSchema({"type": "string", "pattern": f"^{_REASON.pattern}$"})]


class Guard(Section):
    """A hook that is asked before a model is, and before its answer is passed on: it allows or refuses.

    It has exactly one of `call` and `url`.
    """

    call: ImportString | None = Field(
        default=None,
        description="A Python function, `package.module:function`, sync or async, from the app file's folder or installed; "
        "it runs in the gateway's process.",
        examples=["assistant.guards:check"],
    )
    url: BaseUrl | None = Field(
        default=None,
        description="An HTTP endpoint that takes and gives JSON.",
        examples=["http://127.0.0.1:9100/check"],
    )
    headers: Headers = Field(
        default_factory=dict,
        description='Headers for `url`; a value that starts with "env:" or "file:" refers to a secret.',
    )
    deadline: Seconds = Field(default=1.0, description="How long one check may take, waiting for its turn included.")
    on_failure: Literal["refuse", "pass"] = Field(
        default="refuse",
        description="What becomes of a call when the guard gives no verdict: too late, an error, nonsense, not reachable. "
        "`refuse`: an error, and nothing passes. `pass`: as if it had allowed.",
    )
    window: int = Field(
        default=500,
        ge=1,
        le=1_000_000,
        description="Of a stream, so many characters that were allowed before are shown again in front of new ones, of which "
        "as many come at once.",
    )
    hold: Seconds = Field(
        default=0.5,
        description="Of a stream, how long the first token and later text is held at most, if a check takes no more than "
        "half of it; in the other half text is gathered.",
    )
    concurrency: int = Field(default=16, ge=1, le=1024, description="Checks under way at once; further ones wait.")
    reasons: Annotated[tuple[Reason, ...], List, AfterValidator(distinct)] = Field(
        default=REASONS,
        min_length=1,
        description="Why it may refuse: what it gives as a reason is one of these, anything else counts as `other`.",
    )

    @property
    def source(self) -> str:
        """Which of `SOURCES` says what the guard is."""
        return SOURCES.of(self)

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        yield from SOURCES.broken_rules(given)


class GuardUse(Shorthand):
    """A guard of a model, and what it sees there."""

    shorthand: ClassVar[str] = "name"

    name: Text = Field(description="Name of a guard.")
    when: Literal["before", "after", "both"] = Field(
        default="both",
        description="`before`: what the model is asked. `after`: what it answers. `both`: either.",
    )
