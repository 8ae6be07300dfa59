"""What callers ask besides answers: tokens counted, models listed."""

from pathlib import Path

import anthropic
import httpx2
import openai
import pytest

from tests.integration.matrix.asks import Ask, Assistant, User
from tests.integration.matrix.callers import messages_arguments
from tests.integration.matrix.cases import CANNOT_COUNT
from tests.integration.matrix.places import PLACES
from tests.integration.matrix.running import KEY, setting

pytestmark = pytest.mark.integration


async def test_tokens_are_counted_where_the_provider_counts_them(place_name: str, tmp_path: Path) -> None:
    arguments = messages_arguments(
        Ask(system="Be brief.", tools=True, turns=[User("Where to?"), Assistant("Home."), User("Why?")])
    )
    arguments.pop("max_tokens")
    async with setting(PLACES[place_name], tmp_path) as here, _anthropic(here.url) as client:
        if place_name in CANNOT_COUNT:
            with pytest.raises(anthropic.BadRequestError, match="does not offer this operation"):
                await client.messages.count_tokens(model="m", **arguments)
            assert here.fake.requests == []
        else:
            counted = await client.messages.count_tokens(model="m", **arguments)
            assert counted.input_tokens == 6
            assert await here.tokens() == {"input": 0, "output": 0}
    assert len(here.fake.requests) == (place_name not in CANNOT_COUNT)


async def test_a_beta_is_told_to_its_own_provider_and_reported_where_another_answers(
    place_name: str, tmp_path: Path
) -> None:
    arguments = messages_arguments(Ask())
    async with setting(PLACES[place_name], tmp_path) as here, _anthropic(here.url) as client:
        answer = await client.beta.messages.with_raw_response.create(model="m", betas=["some-2026-01-01"], **arguments)
        (request,) = here.fake.requests
    told = place_name == "anthropic"
    assert request.headers.get("anthropic-beta") == ("some-2026-01-01" if told else None)
    assert answer.headers.get("x-shipway-dropped") == (None if told else "anthropic-beta")


async def test_models_are_listed_in_the_dialect_of_who_asks(tmp_path: Path) -> None:
    async with setting(PLACES["anthropic"], tmp_path) as here, _anthropic(here.url) as client:
        models = [(model.id, model.display_name, model.type) async for model in client.models.list()]
        assert models == [("m", "m", "model"), ("pair", "pair", "model")]
        assert (await client.models.retrieve("pair")).created_at.year > 2000
        with pytest.raises(anthropic.NotFoundError) as unknown:
            await client.models.retrieve("nobody")
        assert unknown.value.request_id is not None
        with pytest.raises(anthropic.AuthenticationError):
            await client.with_options(api_key="wrong").models.list()
        http_client = httpx2.AsyncClient(verify=False)
        async with openai.AsyncOpenAI(base_url=f"{here.url}/v1", api_key=KEY, http_client=http_client) as other:
            assert [(model.id, model.object) async for model in other.models.list()] == [
                ("m", "model"),
                ("pair", "model"),
            ]


def _anthropic(url: str) -> anthropic.AsyncAnthropic:
    http_client = httpx2.AsyncClient(verify=False)
    return anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0, http_client=http_client)
