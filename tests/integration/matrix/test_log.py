"""What the log says of a call: tokens as they were served, the provider's own request id, and nothing of its text."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shipway.testing.script import Reply, Usage
from tests.integration.matrix.asks import Ask, Counts
from tests.integration.matrix.callers import CALLERS
from tests.integration.matrix.cases import CASES, COUNTS
from tests.integration.matrix.places import PLACES
from tests.integration.matrix.running import KEY, setting
from tests.waiting import until

PARTS = {
    "cache_read.input_tokens": "cache_read",
    "cache_creation.input_tokens": "cache_write",
    "audio.input_tokens": "audio_input",
    "image.input_tokens": "image_input",
    "reasoning.output_tokens": "reasoning",
    "audio.output_tokens": "audio_output",
    "image.output_tokens": "image_output",
}
"""What the log calls the fakes' classes."""
CLASSES = {
    "input": "input",
    "cached_read": "cache_read",
    "cached_write": "cache_write",
    "input_audio": "audio_input",
    "input_image": "image_input",
    "output": "output",
    "reasoning": "reasoning",
    "output_audio": "audio_output",
    "output_image": "image_output",
}
"""What the metrics call them."""

pytestmark = pytest.mark.integration


async def test_line_has_the_tokens_that_were_served_and_the_providers_request_id(
    caller_name: str, place_name: str, stream: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    caller = CALLERS[caller_name]
    async with setting(PLACES[place_name], tmp_path) as here:
        here.fake.script(CASES["usage in every class"].reply, Reply(status=400, error_message="canary"))
        await caller.call(here.url, KEY, {"model": "m", **caller.arguments(Ask())}, stream)
        with pytest.raises(caller.errors["bad request"][0]):
            await caller.call(here.url, KEY, {"model": "m", **caller.arguments(Ask())}, stream)
        served = here.fake.requests[0].reported
        counted = await here.classes()
    text = capfd.readouterr().out  # written, as the gateway has ended
    assert served is not None
    good, bad = (_attributes(line) for line in text.splitlines())
    assert (good["gen_ai.usage.input_tokens"], good["gen_ai.usage.output_tokens"]) == (
        served.all_input,
        served.all_output,
    )
    told = {name: good[f"gen_ai.usage.{name}"] for name in PARTS if f"gen_ai.usage.{name}" in good}
    assert told == {name: count for name, part in PARTS.items() if (count := getattr(served, part))}
    assert counted == {name: count for name, part in CLASSES.items() if (count := getattr(served, part))}
    assert (good["upstream"], good["upstream_request_id"]) == ("first/m", "req_fake_1")
    assert (bad["http.response.status_code"], bad["upstream_request_id"]) == (400, "req_fake_2")
    assert "canary" not in text


async def test_stream_of_chat_that_was_not_asked_for_usage(place_name: str, tmp_path: Path) -> None:
    """Where bytes pass it is unknown, as the provider does not say it; elsewhere it is counted, and not told."""
    caller, place = CALLERS["chat"], PLACES[place_name]
    arguments = {"model": "m", **caller.arguments(Ask()), "stream_options": {"include_usage": False}}
    async with setting(place, tmp_path) as here:
        heard = await caller.call(here.url, KEY, arguments, True)
        served = (None if "chat" in place.speaks else here.fake.requests[0].reported) or Usage()
        assert await here.tokens() == {"input": served.all_input, "output": served.all_output}
    assert heard.usage == Counts()


async def test_tokens_of_a_stream_whose_client_leaves_are_those_reported_until_then_and_what_it_got(
    caller_name: str, place_name: str, tmp_path: Path
) -> None:
    """What came out is at least a token for each piece; what went in is unknown where it is reported at the end alone."""
    caller, place = CALLERS[caller_name], PLACES[place_name]
    async with setting(place, tmp_path, patience="10s") as here:
        here.fake.script(Reply(text="word " * 200, token_delay_s=0.03, usage=COUNTS))
        call = asyncio.ensure_future(caller.call(here.url, KEY, {"model": "m", **caller.arguments(Ask())}, True))
        await here.fake.received(1)
        await asyncio.sleep(0.25)  # some words
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        await until(lambda: here.count('shipway_streams_total{outcome="client_left"}'), 5)
        served = here.fake.requests[0].reported or Usage()
        counted, output = await here.classes(), (await here.tokens())["output"]
    told = {name: count for name, part in CLASSES.items() if (count := getattr(served, part))}
    assert bool(told) == (place_name in ("anthropic", "gemini"))
    least = told.pop("output", 0)
    assert least <= counted.pop("output") <= least + 200
    assert counted == told
    assert output >= 3


def _attributes(line: str) -> dict[str, Any]:
    attributes: dict[str, Any] = json.loads(line)["Attributes"]
    return attributes
