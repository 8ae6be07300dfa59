"""Which release a session gets when several share the traffic, and how little moves when their shares change.

A session is a point in [0, 1) (`session_point`), and a `Split` says which release has which part of it. With two
releases the split follows from their weights alone. With three or more none can that moves no session needlessly: what
moves from A to B depends on who had what. So a split is changed rather than made anew, and persisted as it is
(`weights_file`); gateways that are to agree start from the same split.

Why: were the assignment a function of the weights alone, each release's sessions would depend on its own weight alone
(shifting weight between two others must not touch them). Then B at weight b, A having the rest, has the complement of
A's part at 1 - b, and so has C at weight b: the same sessions. At a third each, B and C would have to be disjoint.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite

MAX_PARTS = 256
"""Beyond this a change makes the split anew and sessions move; hundreds of alternating changes of three or more releases
come here, a rollout does not."""

_CRUMB = 1e-9
"""Shares that differ by less are equal: the sum of floats, not a decision."""


def session_key(principal: str, conversation: bytes) -> bytes:
    """What identifies a session: who is calling, and the conversation's id or the value of a header."""
    return b"%b\0%b" % (principal.encode(), conversation)


def session_point(key: bytes, salt: bytes = b"") -> float:
    """Where in [0, 1) a session is, in each process; of *key* nothing can be told from it.

    Args:
        salt: At most 16 bytes. Splits with equal salts put a session on the same side; different ones are independent.
    """
    return (int.from_bytes(blake2b(key, digest_size=8, salt=salt).digest()) >> 11) * 2.0**-53


@dataclass(frozen=True, slots=True)
class Split:
    """[0, 1) cut into parts that belong to releases; `Split.of` makes the first one, `reweighted` the next.

    Attributes:
        ends: Where each part ends, rising, the last one 1.0.
        owners: The release that has each part; neighbours differ.
    """

    ends: tuple[float, ...]
    owners: tuple[str, ...]
    _last: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = (0.0, *self.ends[:-1])
        if not self.ends or len(self.ends) != len(self.owners) or self.ends[-1] != 1.0:
            raise ValueError("a split covers [0, 1) and each part has an owner")
        if not all(start < end for start, end in zip(starts, self.ends, strict=True)):
            raise ValueError("the ends of a split rise")
        object.__setattr__(self, "_last", len(self.ends) - 1)

    @classmethod
    def of(cls, weights: Mapping[str, float]) -> Split:
        """The releases side by side in the order given.

        Raises:
            ValueError: a weight is negative or not finite, or all are zero.
        """
        parts, end = [], 0.0
        for name, share in _shares(weights).items():
            parts.append((end, end + share, name))
            end += share
        return _joined(parts)

    def at(self, point: float) -> str:
        """The release of the session at *point*; a random number for a request that belongs to none."""
        return self.owners[bisect_right(self.ends, point, 0, self._last)]

    def shares(self) -> dict[str, float]:
        """What each release has of all sessions; they sum to 1."""
        result = dict.fromkeys(self.owners, 0.0)
        for start, end, owner in self._parts():
            result[owner] += end - start
        return result

    def reweighted(self, weights: Mapping[str, float]) -> Split:
        """The split with the shares of *weights* that moves the fewest sessions: only away from releases whose share
        shrinks, only to ones whose share grows.

        Raises:
            ValueError: a weight is negative or not finite, or all are zero.
        """
        target, present = _shares(weights), self.shares()
        order = list(dict.fromkeys((*present, *target)))
        surplus = {name: present.get(name, 0.0) - target.get(name, 0.0) for name in order}
        parts = list(self._parts())
        for giver in order:
            for taker in order:
                amount = min(surplus[giver], -surplus[taker])
                if amount > _CRUMB:
                    from_top = order.index(taker) > order.index(giver)
                    parts = list(_handed_over(parts, giver, taker, amount, from_top=from_top))
                    surplus[giver] -= amount
                    surplus[taker] += amount
        # What is left of a release that has no weight any more is a crumb, and yet must not be found.
        parts = [part for part in parts if target.get(part[2], 0.0) > 0.0]
        split = _joined(parts)
        return split if len(split.ends) <= MAX_PARTS else Split.of(weights)

    def _parts(self) -> Iterable[tuple[float, float, str]]:
        return zip((0.0, *self.ends[:-1]), self.ends, self.owners, strict=True)


def _shares(weights: Mapping[str, float]) -> dict[str, float]:
    if not all(isfinite(weight) and weight >= 0 for weight in weights.values()):
        raise ValueError("weights are finite numbers, none below 0")
    # By the largest first, as the sum of large ones may be infinite and that of tiny ones lose all digits.
    largest = max(weights.values(), default=0.0)
    if largest == 0:
        raise ValueError("at least one weight is above 0")
    scaled = {name: weight / largest for name, weight in weights.items()}
    total = sum(scaled.values())
    return {name: weight / total for name, weight in scaled.items() if weight / total > 0}


def _handed_over(
    parts: list[tuple[float, float, str]], giver: str, taker: str, amount: float, *, from_top: bool
) -> Iterable[tuple[float, float, str]]:
    """*parts* in which *taker* has *amount* of what *giver* had, from its top or its bottom.

    Towards the taker's side, so that two releases keep one border between them however often their shares change.
    """
    result = []
    for start, end, owner in reversed(parts) if from_top else parts:
        if owner != giver or amount <= 0:
            result.append((start, end, owner))
        elif end - start <= amount + _CRUMB:
            amount -= end - start
            result.append((start, end, taker))
        else:
            border = end - amount if from_top else start + amount
            halves = [(start, border, giver), (border, end, taker)]
            if not from_top:
                halves = [(start, border, taker), (border, end, giver)]
            result += reversed(halves) if from_top else halves
            amount = 0.0
    return reversed(result) if from_top else result


def _joined(parts: Iterable[tuple[float, float, str]]) -> Split:
    """The split of *parts*, which follow each other, but for crumbs that are missing; equal neighbours become one."""
    ends: list[float] = []
    owners: list[str] = []
    for start, end, owner in parts:
        if end <= start:
            continue
        if owners and owners[-1] == owner:
            ends[-1] = end
        else:
            ends.append(end)
            owners.append(owner)
    ends[-1] = 1.0
    return Split(tuple(ends), tuple(owners))
