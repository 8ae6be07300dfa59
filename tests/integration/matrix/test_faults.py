"""Faults of providers through the gateway: the caller's SDK raises the right class, and never takes half for a whole."""

from pathlib import Path
from typing import Any

import pytest

from shipway.testing.script import Usage
from tests.integration.matrix.asks import Ask
from tests.integration.matrix.callers import CALLERS
from tests.integration.matrix.faults import EARLY_FAULTS, FAULTS, LATE_FAULTS, SYNC_FAULTS, SYNC_LATE_FAULTS
from tests.integration.matrix.places import PLACES
from tests.integration.matrix.running import KEY, setting
from tests.integration.matrix.sync_callers import SYNC_CALLS

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("fault_name", FAULTS)
async def test_fault(fault_name: str, caller_name: str, place_name: str, stream: bool, tmp_path: Path) -> None:
    fault, caller, place = FAULTS[fault_name], CALLERS[caller_name], PLACES[place_name]
    exception, status = caller.errors[fault.kind]
    arguments = caller.arguments(Ask())
    async with setting(place, tmp_path) as here:
        here.fake.script(fault.reply(place), fault.reply(place))
        with pytest.raises(exception) as caught:
            await caller.call(here.url, KEY, {"model": "m", **arguments}, stream)
        error: Any = caught.value
        assert (type(error), error.status_code) == (exception, status)
        retry_after = place.quota_wait if fault_name == "out of quota" else fault.retry_after
        assert error.response.headers.get("retry-after") == retry_after
        assert error.request_id.startswith("req-")
        assert fault.says in str(error)
        # No text, key or address of the provider.
        assert [word for word in ("fake", "127.0.0.1", "key") if word in str(error.body)] == []
        if fault.elsewhere:
            heard = await caller.call(here.url, KEY, {"model": "pair", **arguments}, stream)
            assert (heard.text, len(here.spare.requests)) == ("This is a fake answer.", 1)
        else:
            with pytest.raises(exception):
                await caller.call(here.url, KEY, {"model": "pair", **arguments}, stream)
            assert here.spare.requests == []


@pytest.mark.parametrize("fault_name", EARLY_FAULTS)
async def test_fault_before_the_first_token(fault_name: str, caller_name: str, place_name: str, tmp_path: Path) -> None:
    fault, caller, place = EARLY_FAULTS[fault_name], CALLERS[caller_name], PLACES[place_name]
    exception, status = caller.errors[fault.kind]
    arguments = caller.arguments(Ask())
    async with setting(place, tmp_path) as here:
        here.fake.script(fault.reply(place), fault.reply(place))
        with pytest.raises(exception) as caught:
            await caller.call(here.url, KEY, {"model": "m", **arguments}, True)
        error: Any = caught.value
        assert (type(error), error.status_code) == (exception, status)
        assert error.response.headers.get("retry-after") == fault.retry_after
        heard = await caller.call(here.url, KEY, {"model": "pair", **arguments}, True)
        assert (heard.text, len(here.fake.requests), len(here.spare.requests)) == ("This is a fake answer.", 2, 1)


@pytest.mark.parametrize("fault_name", LATE_FAULTS)
async def test_fault_after_the_first_token(fault_name: str, caller_name: str, place_name: str, tmp_path: Path) -> None:
    caller = CALLERS[caller_name]
    async with setting(PLACES[place_name], tmp_path) as here:
        here.fake.script(LATE_FAULTS[fault_name])
        with pytest.raises(caller.in_band) as caught:
            await caller.call(here.url, KEY, {"model": "pair", **caller.arguments(Ask())}, True)
        assert "What should answer this" in str(caught.value)
        assert (len(here.fake.requests), here.spare.requests) == (1, [])
        # What was said of usage until then is counted, and what the caller got.
        said = here.fake.requests[0].reported or Usage()
        counted = await here.tokens()
        assert counted["input"] == said.all_input
        assert 0 < counted["output"] >= said.all_output


SYNC_PLACES = pytest.mark.parametrize("place_name", ["openai", "anthropic", "bedrock", "gemini"])


@SYNC_PLACES
@pytest.mark.parametrize("fault_name", SYNC_FAULTS)
async def test_fault_of_sync_clients(
    fault_name: str, caller_name: str, place_name: str, stream: bool, tmp_path: Path
) -> None:
    fault, place, call = FAULTS[fault_name], PLACES[place_name], SYNC_CALLS[caller_name]
    caller = CALLERS[caller_name]
    async with setting(place, tmp_path) as here:
        here.fake.script(fault.reply(place))
        with pytest.raises(caller.errors[fault.kind][0]) as caught:
            await call(here.url, KEY, {"model": "m", **caller.arguments(Ask())}, stream)
    error: Any = caught.value
    assert (type(error), error.status_code) == caller.errors[fault.kind]
    assert error.request_id.startswith("req-")


@SYNC_PLACES
@pytest.mark.parametrize("fault_name", SYNC_LATE_FAULTS)
async def test_late_fault_of_sync_clients(fault_name: str, caller_name: str, place_name: str, tmp_path: Path) -> None:
    caller, call = CALLERS[caller_name], SYNC_CALLS[caller_name]
    async with setting(PLACES[place_name], tmp_path) as here:
        here.fake.script(LATE_FAULTS[fault_name])
        with pytest.raises(caller.in_band) as caught:
            await call(here.url, KEY, {"model": "m", **caller.arguments(Ask())}, True)
    assert "What should answer this" in str(caught.value)
