"""What waits for its guards, by itself: how much of it there may be."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

from shipway.gateway.attempt import Attempt
from shipway.gateway.call import Call
from shipway.gateway.guards.check import Piece
from shipway.gateway.guards.gate import MAX_HELD_BYTES, Gate
from shipway.gateway.guards.stream_texts import StreamTexts
from shipway.gateway.guards.windows import Said, Windows
from shipway.gateway.refusals import Refusal


class Undecided:
    """A guard that takes its time."""

    async def part(self, pieces: tuple[Piece, ...]) -> Refusal | None:
        await asyncio.Event().wait()
        return None

    def unreadable_part(self) -> Refusal | None:
        return None


class Flow:
    """An attempt, as far as a gate steers it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")


class Texts:
    def read(self, data: bytes) -> list[Said]:
        return [(("text", 0), "", data.decode())]


async def test_a_flow_that_a_slow_client_set_going_again_is_paused_again_while_too_much_is_held() -> None:
    loop = asyncio.get_running_loop()
    exchange = SimpleNamespace(connection=SimpleNamespace(server=SimpleNamespace(loop=loop)), slow=False, ended=False)
    flow = Flow()
    gate = Gate(
        cast(Call, SimpleNamespace(exchange=exchange)),
        cast(Attempt, flow),
        Undecided(),
        cast(StreamTexts, Texts()),
        Windows(1000),
        0.01,
    )
    try:
        gate.write(b"x" * MAX_HELD_BYTES)
        assert flow.told == []
        gate.write(b"x")
        flow.resume()  # as a client does that was slow and has caught up
        gate.write(b"x")
        assert flow.told == ["pause", "resume", "pause"]
    finally:
        gate.close()
