"""`shipway up` with the real model, asked by the official client: what a newcomer does first."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import openai
import pytest

from shipway.testing.running_app import RunningApp, free_ports, up_command
from tests.integration.processes import Mark

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]  # a busy machine makes the model very slow

QUESTION: list[openai.types.chat.ChatCompletionMessageParam] = [
    {"role": "user", "content": "Write one sentence about the sea."}
]


@pytest.fixture
def client(simple_api: RunningApp) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{simple_api.url}/v1", api_key=simple_api.key, max_retries=0, timeout=120)


def is_sensible(text: str) -> bool:
    """Whether *text* may be a sentence: several different words, mostly of letters."""
    words = re.findall(r"[A-Za-z']+", text)
    return len(set(words)) >= 4 and sum(map(len, words)) > 0.6 * len(text)


def test_chat_completion_answers_with_text_and_usage(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="chat", messages=QUESTION, temperature=0, max_tokens=40)
    assert is_sensible(answer.choices[0].message.content or "")
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 40
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_streamed_chat_says_the_same_in_many_parts_and_ends_with_usage(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="chat", messages=QUESTION, temperature=0, max_tokens=40)
    stream = client.chat.completions.create(
        model="chat",
        messages=QUESTION,
        temperature=0,
        max_tokens=40,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    parts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(parts) > 5
    assert "".join(parts) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage or chunks[-1].usage is not None


async def test_async_client_streams_and_runs_several_at_once(simple_api: RunningApp) -> None:
    async with openai.AsyncOpenAI(base_url=f"{simple_api.url}/v1", api_key=simple_api.key, timeout=120) as client:
        streams = [
            await client.chat.completions.create(
                model="chat", messages=QUESTION, temperature=0, max_tokens=10, stream=True
            )
            for _ in range(2)
        ]
        for stream in streams:
            reasons = [chunk.choices[0].finish_reason async for chunk in stream if chunk.choices]
            assert reasons[-1] in ("stop", "length")
        answer = await client.chat.completions.create(model="chat", messages=QUESTION, max_tokens=5)
        assert answer.choices[0].message.content


def test_plain_completion_and_embeddings_work_too(client: openai.OpenAI) -> None:
    completion = client.completions.create(model="chat", prompt="The sky is", max_tokens=8, temperature=0)
    assert completion.choices[0].text.strip()
    texts = ["a cat on a mat", "a cat on a rug", "interest rates of the central bank"]
    vectors = [item.embedding for item in client.embeddings.create(model="chat", input=texts).data]
    assert {len(vector) for vector in vectors} == {576}
    assert _cosine(vectors[0], vectors[1]) > _cosine(vectors[0], vectors[2])


def test_models_are_listed_by_the_names_in_the_app_file(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["chat"]


def test_wrong_key_and_unknown_model_are_the_clients_own_errors(simple_api: RunningApp, client: openai.OpenAI) -> None:
    stranger = openai.OpenAI(base_url=f"{simple_api.url}/v1", api_key="sk-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError) as refused:
        stranger.chat.completions.create(model="chat", messages=QUESTION)
    assert refused.value.response.headers["x-request-id"]
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="chatt", messages=QUESTION)
    assert "chatt" in unknown.value.message


def test_too_long_a_text_is_the_clients_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="chat", messages=[{"role": "user", "content": "word " * 6000}])
    assert "context" in str(caught.value.body)


def test_services_route_needs_the_key_and_its_public_route_does_not(simple_api: RunningApp) -> None:
    assert httpx.get(simple_api.url).status_code == 200
    body = {"text": "Bread rises because yeast eats sugar and gives off gas."}
    assert httpx.post(f"{simple_api.url}/summarize", json=body).status_code == 401
    answer = httpx.post(f"{simple_api.url}/summarize", json=body, headers=simple_api.authorization, timeout=120)
    assert answer.status_code == 200
    assert is_sensible(answer.json()["summary"])
    assert answer.headers["x-request-id"]


def test_health_and_readiness_are_answered(simple_api: RunningApp) -> None:
    assert httpx.get(f"{simple_api.url}/healthz").status_code == 200
    assert httpx.get(f"{simple_api.admin_url}/readyz").status_code == 200


def test_key_file_is_for_its_owner_alone_and_git_ignores_it(simple_api: RunningApp) -> None:
    key_file = Path(simple_api.wait_for("ready")["key_file"])
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert (key_file.parent / ".gitignore").read_text().strip() == "*"


def test_json_log_never_holds_the_key(simple_api: RunningApp) -> None:
    assert simple_api.key not in json.dumps(simple_api.entries())


def test_printed_curl_commands_work_when_pasted(example: Callable[[str], Path], mark: Mark) -> None:
    port, admin_port = free_ports(2)
    command = up_command(example("simple_api"), "--port", str(port), "--admin-port", str(admin_port))
    environ = {**os.environ, **mark.environ, "NO_COLOR": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ, start_new_session=True) as process:
        assert process.stdout is not None
        try:
            curls: list[str] = []
            said = ""
            for line in process.stdout:
                assert "\x1b" not in line  # not a terminal, so no colours
                if line.startswith(("curl ", "  -")):
                    said += line
                elif said and line.isspace():
                    curls.append(said)
                    said = ""
                if len(curls) == 3:
                    break
            whole, streamed, own = (
                subprocess.run(curl, shell=True, capture_output=True, text=True, timeout=120, check=True).stdout
                for curl in curls
            )
        finally:
            process.terminate()
            process.communicate(timeout=45)
    assert is_sensible(json.loads(whole)["choices"][0]["message"]["content"])
    assert streamed.endswith("data: [DONE]\n\n")
    assert is_sensible(json.loads(own)["summary"])
    assert process.returncode == 0


def test_taken_port_names_its_holder_and_nothing_is_started(small_app: Path, mark: Mark) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        run = subprocess.run(
            up_command(small_app, "--port", str(port)),
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, **mark.environ},
        )
    assert run.returncode == 1
    assert f"port {port} is taken by" in run.stderr
    assert str(os.getpid()) in run.stderr
    assert "--port" in run.stderr  # the way out
    assert run.stdout == ""


def test_service_that_cannot_start_shows_its_last_lines_and_ends_up_with_1(small_app: Path, mark: Mark) -> None:
    (small_app / "small_app.py").write_text("raise RuntimeError('the database is on holiday')\n")
    port, admin_port = free_ports(2)
    run = subprocess.run(
        up_command(small_app, "--port", str(port), "--admin-port", str(admin_port)),
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **mark.environ},
    )
    assert run.returncode == 1
    assert "the database is on holiday" in run.stdout + run.stderr
    assert mark.processes() == []


def _cosine(one: list[float], other: list[float]) -> float:
    def length(vector: list[float]) -> float:
        return float(sum(value * value for value in vector) ** 0.5)

    return sum(a * b for a, b in zip(one, other, strict=True)) / (length(one) * length(other))
