"""Answers through the gateway: every caller with every provider, whole and streamed, in every case."""

import json
from pathlib import Path
from typing import Any

import pytest

from shipway.testing.script import ReceivedRequest, Usage
from tests.integration.matrix.asks import Called, Heard
from tests.integration.matrix.callers import CALLERS, Call, Caller
from tests.integration.matrix.cases import CASES, CASES_OF, REASONS, SYNC_CASES, Case, Reason
from tests.integration.matrix.places import PLACES, Place
from tests.integration.matrix.running import KEY, Setting, setting
from tests.integration.matrix.sync_callers import SYNC_CALLS
from tests.integration.sdks.questions import ARGUMENTS, PIXEL

pytestmark = pytest.mark.integration

EVERY_CASE = pytest.mark.parametrize(
    ("caller_name", "case_name"), [(caller, case) for caller, cases in CASES_OF.items() for case in cases]
)


@EVERY_CASE
async def test_case(case_name: str, caller_name: str, place_name: str, stream: bool, tmp_path: Path) -> None:
    caller = CALLERS[caller_name]
    await _expect_answer(caller.call, case_name, caller_name, place_name, stream, tmp_path)


@pytest.mark.parametrize(
    ("caller_name", "case_name"),
    [(caller, case) for caller, cases in CASES_OF.items() for case in cases if case in SYNC_CASES],
)
async def test_case_of_sync_clients(
    case_name: str, caller_name: str, place_name: str, stream: bool, tmp_path: Path
) -> None:
    await _expect_answer(SYNC_CALLS[caller_name], case_name, caller_name, place_name, stream, tmp_path)


async def _expect_answer(
    call: Call, case_name: str, caller_name: str, place_name: str, stream: bool, tmp_path: Path
) -> None:
    case, caller, place = CASES[case_name], CALLERS[caller_name], PLACES[place_name]
    arguments = {"model": "m", **caller.arguments(case.ask)}
    reason = REASONS.get((caller_name, case_name), {}).get(place_name)
    async with setting(place, tmp_path) as here:
        here.fake.script(case.reply)
        if reason is not None:
            return await _refused(reason, caller, call, arguments, stream, here)
        heard = await call(here.url, KEY, arguments, stream)
        (request,) = here.fake.requests
        tokens = await here.tokens()
    _expect_told(request, case)
    assert (heard.text, heard.reasoning) == (case.text, case.reply.reasoning)
    _expect_calls(heard, case, place, stream)
    _expect_finish(heard, case, caller, place, caller_name)
    _expect_usage(heard, request.reported, tokens)


async def _refused(
    reason: Reason, caller: Caller, call: Call, arguments: dict[str, Any], stream: bool, here: Setting
) -> None:
    exception = TypeError if reason.by == "SDK" else caller.errors["bad request"][0]
    with pytest.raises(exception) as caught:
        await call(here.url, KEY, arguments, stream)
    assert bool(here.fake.requests) == (reason.by == "provider")
    if reason.by != "provider":  # of whose text nothing is passed on
        assert repr(reason.field) in str(caught.value)


def _expect_told(request: ReceivedRequest, case: Case) -> None:
    """The fake refuses what is no request of its dialect; what it cannot know is what it should have been told."""
    asked = [*case.tells]
    asked += [PIXEL for turn in case.ask.turns if getattr(turn, "image", False)]
    assert [text for text in asked if text not in request.body.decode()] == []
    if any(isinstance(turn, Called) for turn in case.ask.turns):
        texts = [text for text in _texts(request.json) if text in _SAME_ARGUMENTS]
        assert len(texts) == 2 or any(request.body.decode().count(text) == 2 for text in _SAME_ARGUMENTS)


_COMPACT = json.dumps(json.loads(ARGUMENTS), separators=(",", ":"), ensure_ascii=False)
_SAME_ARGUMENTS = (ARGUMENTS, _COMPACT)
"""As the model wrote them, and as Anthropic's SDK does."""


def _texts(document: Any) -> list[str]:
    """Every text in a document."""
    if isinstance(document, str):
        return [document]
    values = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return [text for value in values for text in _texts(value)]


def _expect_calls(heard: Heard, case: Case, place: Place, stream: bool) -> None:
    sent = {ARGUMENTS: place.arguments(stream=stream)}
    expected = [[one.id, one.name, sent.get(one.arguments, one.arguments)] for one in case.reply.tool_calls]
    assert heard.calls == expected


def _expect_finish(heard: Heard, case: Case, caller: Caller, place: Place, caller_name: str) -> None:
    finish, stop = case.finish, None
    if case.finish == "content_filter":
        finish = place.filtered
    if case.finish == "stop_sequence":
        finish = "stop" if place.names_stop == "no" else case.finish
        stop = case.ask.stop[0] if place.names_stop == "which" and caller_name == "messages" else None
    assert (heard.finish, heard.stop) == (caller.finishes[finish], stop)


def _expect_usage(heard: Heard, served: Usage | None, tokens: dict[str, float]) -> None:
    """The caller and the metrics say what was served; a class that the dialect lacks is part of its total."""
    assert served is not None
    usage = heard.usage
    assert tokens == {"input": served.all_input, "output": served.all_output}
    assert (usage.input, usage.output) == (served.all_input, served.all_output)
    assert (usage.cache_read or 0, usage.reasoning or 0) == (served.cache_read, served.reasoning)
    assert usage.cache_write in (None, served.cache_write)
