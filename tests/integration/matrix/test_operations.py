"""Sounds, pictures, rankings and vectors through the gateway: from whoever has them, and refused by name elsewhere."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from shipway.testing.openai_media import vector
from shipway.testing.script import Usage
from tests.integration.matrix import test_faults
from tests.integration.matrix.callers import OPENAI_ERRORS, options
from tests.integration.matrix.faults import EARLY_FAULTS, FAULTS, LATE_FAULTS
from tests.integration.matrix.operations import EMBEDDINGS, FAULTS_OF_OPERATIONS, NO_EMBEDDINGS, OPERATIONS
from tests.integration.matrix.places import EMBEDDERS, PLACES, Place
from tests.integration.matrix.running import KEY, Setting, setting
from tests.integration.matrix.test_log import CLASSES, PARTS

pytestmark = pytest.mark.integration


def client_of(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", **options(KEY))


def logged(capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The attributes of the only line in the log; it is written once the gateway has ended."""
    (line,) = capfd.readouterr().out.splitlines()
    attributes: dict[str, Any] = json.loads(line)["Attributes"]
    return attributes


async def counted(here: Setting) -> tuple[dict[str, float], dict[str, float]]:
    """What the metrics say was used: both totals, and the classes."""
    return await here.tokens(), await here.classes()


def expect_counted(
    served: Usage | None, metrics: tuple[dict[str, float], dict[str, float]], line: dict[str, Any]
) -> None:
    """What was said of usage is in the metrics and in the log; what was not is in neither."""
    said = served or Usage()
    tokens, classes = metrics
    assert classes == {name: count for name, part in CLASSES.items() if (count := getattr(said, part))}
    assert {name for name in PARTS if f"gen_ai.usage.{name}" in line} == {
        name for name, part in PARTS.items() if getattr(said, part)
    }
    assert tokens == {"input": said.all_input, "output": said.all_output}
    named = {"input": line.get("gen_ai.usage.input_tokens", 0), "output": line.get("gen_ai.usage.output_tokens", 0)}
    assert named == tokens


@pytest.mark.parametrize("operation_name", OPERATIONS)
async def test_operation(
    operation_name: str, place_name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    operation = OPERATIONS[operation_name]
    async with setting(PLACES[place_name], tmp_path) as here, client_of(here.url) as client:
        if place_name in operation.lacking:
            with pytest.raises(openai.BadRequestError) as caught:
                await operation.call(client, "m")
            assert (caught.value.code, caught.value.param, here.fake.requests) == ("not_offered", "model", [])
            return
        through = await operation.call(client, "m")
        async with client_of(here.spare.url) as direct:
            assert through == await operation.call(direct, "m")
        served = here.fake.requests[0].reported
        metrics = await counted(here)
    if served is not None:
        assert through.counts == (served.all_input, served.all_output or None)
    expect_counted(served, metrics, logged(capfd))


@pytest.mark.parametrize("case_name", EMBEDDINGS)
@pytest.mark.parametrize("place_name", EMBEDDERS)
async def test_embeddings(case_name: str, place_name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    case, place = EMBEDDINGS[case_name], EMBEDDERS[place_name]
    asked: Any = {"model": "m", "input": "two words", **case.sends}
    async with setting(place, tmp_path) as here, client_of(here.url) as client:
        if place_name in case.refused or place_name in NO_EMBEDDINGS:
            with pytest.raises(openai.BadRequestError) as caught:
                await client.embeddings.create(**asked)
            assert caught.value.param == case.refused.get(place_name, "model")
            assert here.fake.requests == []
            return
        answer = await client.embeddings.create(**asked)
        (request,) = here.fake.requests
        metrics = await counted(here)
    assert [one.embedding for one in answer.data] == expected_vectors(asked, place, len(answer.data[0].embedding))
    assert len(answer.data[0].embedding) == asked.get("dimensions", len(answer.data[0].embedding))
    assert [one.index for one in answer.data] == list(range(len(answer.data)))
    served = request.reported
    assert served is not None
    assert (answer.model, answer.usage.prompt_tokens, answer.usage.total_tokens) == ("m", served.input, served.input)
    expect_counted(served, metrics, logged(capfd))


def expected_vectors(asked: dict[str, Any], place: Place, dimensions: int) -> list[list[float]]:
    """What the fakes make of texts and tokens; OpenAI's tells the two apart."""
    given = asked["input"]
    batch = given if isinstance(given, list) and isinstance(given[0], str) else [given]
    return [vector(json.dumps(one) if "embeddings" in place.speaks else one, dimensions) for one in batch]


@pytest.mark.parametrize("fault_name", FAULTS)
@pytest.mark.parametrize("place_name", [name for name in EMBEDDERS if name not in NO_EMBEDDINGS])
async def test_fault_of_embeddings(fault_name: str, place_name: str, tmp_path: Path) -> None:
    fault, place = FAULTS[fault_name], EMBEDDERS[place_name]
    exception, status = OPENAI_ERRORS[fault.kind]
    async with setting(place, tmp_path) as here, client_of(here.url) as client:
        here.fake.script(fault.reply(place), fault.reply(place))
        with pytest.raises(exception) as caught:
            await client.embeddings.create(model="m", input="two words")
        error: Any = caught.value
        assert (type(error), error.status_code) == (exception, status)
        retry_after = place.quota_wait if fault_name == "out of quota" else fault.retry_after
        assert error.response.headers.get("retry-after") == retry_after
        assert [word for word in ("fake", "127.0.0.1", "key") if word in str(error.body)] == []
        await expect_spare(here, client, exception, elsewhere=fault.elsewhere)


async def expect_spare(
    here: Setting, client: openai.AsyncOpenAI, exception: type[Exception], *, elsewhere: bool
) -> None:
    """Another upstream is asked, or is not."""
    if elsewhere:
        assert len((await client.embeddings.create(model="pair", input="two words")).data) == 1
    else:
        with pytest.raises(exception):
            await client.embeddings.create(model="pair", input="two words")
    assert len(here.spare.requests) == elsewhere


@pytest.mark.parametrize("fault_name", FAULTS_OF_OPERATIONS)
@pytest.mark.parametrize("operation_name", OPERATIONS)
async def test_fault_of_operation(fault_name: str, operation_name: str, tmp_path: Path) -> None:
    fault, place, operation = FAULTS[fault_name], PLACES["openai"], OPERATIONS[operation_name]
    exception, status = OPENAI_ERRORS[fault.kind]
    async with setting(place, tmp_path) as here, client_of(here.url) as client:
        here.fake.script(fault.reply(place), fault.reply(place))
        with pytest.raises(exception) as caught:
            await operation.call(client, "m")
        error: Any = caught.value
        assert (type(error), error.status_code) == (exception, status)
        if fault.elsewhere:
            await operation.call(client, "pair")
        assert len(here.spare.requests) == fault.elsewhere


TRANSLATED_TO = pytest.mark.parametrize("place_name", ["openai", "bedrock", "gemini"])


@TRANSLATED_TO
@pytest.mark.parametrize("fault_name", FAULTS)
async def test_fault_of_completions(fault_name: str, place_name: str, tmp_path: Path) -> None:
    await test_faults.test_fault(fault_name, "completions", place_name, False, tmp_path)


@TRANSLATED_TO
@pytest.mark.parametrize("fault_name", EARLY_FAULTS)
async def test_fault_before_the_first_token_of_completions(fault_name: str, place_name: str, tmp_path: Path) -> None:
    await test_faults.test_fault_before_the_first_token(fault_name, "completions", place_name, tmp_path)


@TRANSLATED_TO
@pytest.mark.parametrize("fault_name", LATE_FAULTS)
async def test_fault_after_the_first_token_of_completions(fault_name: str, place_name: str, tmp_path: Path) -> None:
    await test_faults.test_fault_after_the_first_token(fault_name, "completions", place_name, tmp_path)
