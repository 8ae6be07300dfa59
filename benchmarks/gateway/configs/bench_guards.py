"""Guards that look at each text and allow all: what is measured is what surrounds a guard."""

from __future__ import annotations

from shipway.gateway.guards import ALLOW, Check, Verdict, refuse


def in_a_thread(asked: Check) -> Verdict:
    return refuse("secret") if any("BEGIN PRIVATE KEY" in piece.text for piece in asked.texts) else ALLOW


async def in_the_loop(asked: Check) -> Verdict:
    return in_a_thread(asked)
