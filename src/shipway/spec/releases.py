"""`releases`: versions of a service or of a model that stand side by side and share the traffic by weight."""

from collections.abc import Mapping
from typing import Annotated, Protocol, TypeVar

from pydantic import Field

from shipway.spec.section import Section, mistake


class _Weighted(Protocol):
    @property
    def weight(self) -> float: ...


_W = TypeVar("_W", bound=_Weighted)

ReleaseWeight = Annotated[
    float,
    Field(
        ge=0,
        le=1_000_000,
        description="Share of the traffic beside the other releases; with 0 it stands ready and gets none.",
    ),
]


class Release(Section):
    """One of the versions. The kinds of release say what answers, and its weight."""

    @classmethod
    def unknown_key(cls, key: str) -> tuple[str, str | None]:
        message, hint = super().unknown_key(key)
        # [….releases.v1.2] is a table "2" in "v1".
        return message, 'a name with a dot needs quotes, as in releases."v1.2"' if key[:1].isdigit() else hint


def with_some_traffic(releases: Mapping[str, _W]) -> Mapping[str, _W]:
    """*releases*, of which at least one has a weight above 0; for validators."""
    if not any(release.weight for release in releases.values()):
        raise mistake("every release has the weight 0: at least one needs more")
    return releases
