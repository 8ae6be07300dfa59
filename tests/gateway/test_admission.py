"""The chain of admission: links are asked in order, at once or when the one before has answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from shipway.gateway.admission import Admission, Credential, Link, Principal, Ticket
from shipway.gateway.refusals import Refused, method_not_allowed


class Request:
    """A ticket that notes which links saw it."""

    def __init__(self) -> None:
        self.credential = Credential(None, None)
        self.now_s = 0.0
        self.caller: Principal | None = None
        self.fields = b""
        self.seen: list[str] = []


REFUSAL = method_not_allowed("POST")


def links(request: Request, *names: str) -> list[Link]:
    """Links that note their names; one called `slow` is awaited first, one called `no` refuses."""

    def link(name: str) -> Link:
        async def slowly() -> None:
            request.seen.append(name)

        def ask(ticket: Ticket) -> Awaitable[None] | None:
            if name == "slow":
                return slowly()
            if name == "no":
                raise Refused(REFUSAL)
            request.seen.append(name)
            return None

        return ask

    return [link(name) for name in names]


def test_links_that_answer_at_once_need_no_waiting() -> None:
    request = Request()
    assert Admission(*links(request, "a", "b")).admit(request) is None
    assert request.seen == ["a", "b"]


async def test_links_behind_one_that_is_awaited_come_after_it_once() -> None:
    request = Request()
    waiting = Admission(*links(request, "a", "slow", "b", "slow", "c")).admit(request)
    assert waiting is not None
    assert request.seen == ["a"]
    await waiting
    assert request.seen == ["a", "slow", "b", "slow", "c"]


@pytest.mark.parametrize(("names", "seen"), [(("a", "no", "b"), ["a"]), (("slow", "a", "no", "b"), ["slow", "a"])])
async def test_link_that_refuses_stops_the_chain(names: tuple[str, ...], seen: list[str]) -> None:
    request = Request()

    async def admit(admission: Callable[[Ticket], Awaitable[None] | None]) -> None:
        waiting = admission(request)
        if waiting is not None:
            await waiting

    with pytest.raises(Refused):
        await admit(Admission(*links(request, *names)).admit)
    assert request.seen == seen
