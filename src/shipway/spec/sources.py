"""Tables that say in one of several ways what they are: a service is an `app`, a `command` or an `image`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shipway.spec.wording import listed, quoted


@dataclass(frozen=True, slots=True)
class Sources:
    """Keys of which each table of a kind has exactly one.

    Attributes:
        kind: Such as "a guard", for messages.
        verb: "has" or "is" exactly one of them.
        meaningless: For each of the keys, the other settings that nothing could honour beside it.
    """

    kind: str
    verb: str
    meaningless: Mapping[str, frozenset[str]]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.meaningless)

    def given(self, table: Mapping[str, Any]) -> list[str]:
        """Those that *table* has."""
        return [key for key in self.meaningless if key in table]

    def of(self, section: object) -> str:
        """The one that *section*, which keeps the rules, has."""
        return next(key for key in self.meaningless if getattr(section, key))

    def broken_rules(self, given: Mapping[str, Any]) -> Iterator[str]:
        """See `Section.broken_rules`."""
        sources = self.given(given)
        if not sources:
            yield f"needs one of {listed(self.keys)}"
        elif len(sources) > 1:
            yield f"has {listed(sources, 'and')}; {self.kind} {self.verb} exactly one of {listed(self.keys)}"
        else:
            for key in sorted(self.meaningless[sources[0]] & given.keys()):
                yield f"{quoted(key)} has no meaning for {self.kind} that is given by {quoted(sources[0])}"

    def replaced_by(self, override: Mapping[str, Any]) -> set[str]:
        """The keys below an override that have no meaning any more; what it gives itself stays, so that tables merge."""
        given = self.given(override)
        return {*self.meaningless, *self.meaningless[given[0]]} - set(given) if given else set()
