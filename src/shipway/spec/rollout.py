"""`rollout`: how traffic moves from the release that serves to the next one."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field

from shipway.spec.section import List, Shorthand, mistake
from shipway.spec.units import Percentage, Seconds
from shipway.spec.wording import found, quoted

Strategy = Literal["rolling", "blue_green", "canary"]

_OF_VERDICTS = frozenset({"min_time", "min_requests", "settle", "together", "deadline", "on_deadline"})
_LONGEST_SETTLE_S = 30.0

MEANINGLESS: Mapping[str, frozenset[str]] = {
    "rolling": _OF_VERDICTS,
    "blue_green": _OF_VERDICTS | {"steps"},
    "canary": frozenset(),
}
"""For each strategy, the settings that nothing could honour."""


def _rising(steps: tuple[float, ...]) -> tuple[float, ...]:
    for before, after in zip((0.0, *steps), steps, strict=False):
        if not before < after < 1:
            raise mistake(f"expected shares that rise, each below 100%, found {found(f'{after * 100:g}%')} there")
    return steps


class Rollout(Shorthand):
    """How traffic moves to a new release once that is healthy. The one before is left as it is until then.

    `rolling`: in steps, by time alone. `blue_green`: all at once. `canary`: in steps, each judged by the objectives.
    """

    shorthand: ClassVar[str] = "strategy"

    strategy: Strategy = Field(default="rolling", description="`rolling`, `blue_green` or `canary`.")
    steps: Annotated[tuple[Percentage, ...], List, AfterValidator(_rising)] = Field(
        default=(0.05, 0.25, 0.5),
        min_length=1,
        description="Shares of the traffic that the new release gets one after the other, before it gets all.",
    )
    watch: Seconds = Field(
        default=10.0,
        description="How long each change of shares is watched for a release that fails outright; of a canary the last one.",
    )
    min_time: Seconds = Field(default=60.0, description="How long each step of a canary lasts at least.")
    min_requests: int = Field(
        default=100, ge=1, le=10_000_000, description="Requests to the new release that each step of a canary needs."
    )
    settle: Seconds | None = Field(
        default=None,
        description="How long after each change of shares answers may still be from before it: they can be a reason to roll "
        "a canary back, and none to promote it. As long as slow answers take; by default a quarter of `min_time`, at most 30s.",
    )
    together: int = Field(
        default=1,
        ge=1,
        le=10_000,
        description="How many bad answers of one session may have one cause: they then count as one. More than 1 where a "
        "session that fails does so request after request.",
    )
    deadline: Seconds = Field(default=3600.0, description="How long a canary may take until there is a decision.")
    on_deadline: Literal["rollback", "promote"] = Field(
        default="rollback",
        description="What happens to a canary that passes its deadline undecided; with fewer than `min_requests` it is "
        "rolled back in any case.",
    )
    standby: bool | None = Field(
        default=None,
        description="Whether the release before goes on running, so that a rollback only moves traffic. By default with "
        "`blue_green` alone.",
    )

    @property
    def keeps_standby(self) -> bool:
        return self.strategy == "blue_green" if self.standby is None else self.standby

    @property
    def settles_s(self) -> float:
        return min(self.min_time / 4, _LONGEST_SETTLE_S) if self.settle is None else self.settle

    @classmethod
    def broken_rules(cls, given: Mapping[str, Any]) -> Iterator[str]:
        strategy = given.get("strategy", cls.model_fields["strategy"].default)
        for key in sorted(MEANINGLESS.get(strategy, frozenset()) & given.keys()) if isinstance(strategy, str) else ():
            yield f"{quoted(key)} has no meaning for the strategy {quoted(strategy)}"
