"""The functions that app files of these tests name as guards; what they do is set by each test."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from shipway.gateway.guards import ALLOW, Check, refuse


class Hook:
    """What both functions do.

    Attributes:
        seen: All checks, in order.
        decide: The verdict, or whatever else a guard might return; asked by `check` in a thread.
        decide_later: The same for `check_async`, in the event loop.
    """

    def __init__(self) -> None:
        self.seen: list[Check] = []
        self.decide: Callable[[Check], object] = lambda asked: ALLOW
        self.decide_later: Callable[[Check], Awaitable[object]] | None = None

    def texts(self, when: str) -> list[str]:
        return [piece.text for check in self.seen if check.when == when for piece in check.texts]

    def refuse_word(self, word: str) -> None:
        """Refuse what holds *word*."""
        self.decide = lambda asked: (
            refuse("policy", "No such words.") if any(word in piece.text for piece in asked.texts) else ALLOW
        )


current = Hook()


def check(asked: Check) -> object:
    current.seen.append(asked)
    return current.decide(asked)


async def check_async(asked: Check) -> object:
    current.seen.append(asked)
    return current.decide(asked) if current.decide_later is None else await current.decide_later(asked)


not_a_function = "text"
