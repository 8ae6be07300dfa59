"""`health`: how to see that a service or a provider can answer."""

from typing import ClassVar

from pydantic import Field

from shipway.spec.fields import RequestPath
from shipway.spec.section import Shorthand
from shipway.spec.units import Seconds


class Health(Shorthand):
    """How to see that a replica can answer."""

    shorthand: ClassVar[str] = "path"

    path: RequestPath | None = Field(
        default=None, description="A path that answers 2xx when healthy; without it, the port must accept connections."
    )
    interval: Seconds = Field(default=5.0, description="Time from one check to the next.")
    timeout: Seconds = Field(default=2.0, description="How long a check may take.")
    start: Seconds = Field(
        default=60.0,
        description="How long a replica that Shipway starts may take to become healthy for the first time.",
    )
    failures: int = Field(default=3, ge=1, le=1000, description="Failed checks in a row that make a replica unhealthy.")


def keys_given(health: object) -> frozenset[str] | None:
    """The keys that *health*, raw or validated, sets; None when it is neither a string nor a table."""
    if isinstance(health, Health):
        return frozenset(health.model_fields_set)
    if isinstance(health, str):
        return frozenset({Health.shorthand})
    return frozenset(health) if isinstance(health, dict) else None
