"""`shipway up` while things die under it: services, the gateway, the model, and itself."""

from collections.abc import Callable
from pathlib import Path

import httpx
import openai
import pytest

from shipway.testing.running_app import AppNotUpError, running_app
from tests.integration.processes import Mark
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]  # a busy machine makes the model very slow


def text_of(url: str) -> str:
    answer = httpx.get(url, timeout=10)
    return answer.text if answer.status_code == 200 else ""


def test_killed_service_comes_back_and_no_request_waits_in_vain(small_app: Path, mark: Mark) -> None:
    with running_app(small_app, environ=mark.environ) as app:
        (before,) = mark.of_service("first")
        assert text_of(f"{app.url}/first") == f"one {before.pid}\n"
        said = len(app.entries())
        before.kill()
        answers = [text_of(f"{app.url}/first") for _ in range(20)]  # from the moment of its death on
        app.wait_for("restarted", after=said, child="first")
        (after,) = mark.of_service("first")
        assert after.pid != before.pid
        assert answers[-1] == f"one {after.pid}\n"
        assert "" not in answers[1:]


def test_service_of_two_replicas_answers_on_while_one_is_killed(small_app: Path, mark: Mark) -> None:
    with running_app(small_app, environ=mark.environ) as app:
        first, second = mark.of_service("second")
        answers = {text_of(f"{app.url}/second") for _ in range(20)}
        assert answers == {f"one {first.pid}\n", f"one {second.pid}\n"}  # both do their share
        first.kill()
        assert "" not in [text_of(f"{app.url}/second") for _ in range(40)]


def test_killed_command_comes_back_without_its_old_children(small_app: Path, mark: Mark) -> None:
    def sleepers() -> set[int]:
        return {process.pid for process in mark.of_service("third") if process.command == "sleep 600"}

    with running_app(small_app, environ=mark.environ) as app:
        before = sleepers()
        next(process for process in mark.of_service("third") if "command_service" in process.command).kill()
        wait_until(lambda: text_of(f"{app.url}/third") != "" and len(sleepers()) == 1)
        assert sleepers().isdisjoint(before)


def test_killed_gateway_comes_back_at_the_same_address(small_app: Path, mark: Mark) -> None:
    with running_app(small_app, environ=mark.environ) as app:
        (gateway,) = mark.of_module("shipway.gateway")
        gateway.kill()

        def answers() -> bool:
            try:
                return text_of(f"{app.url}/first").startswith("one")
            except httpx.TransportError:
                return False

        wait_until(answers)
        assert [process.pid for process in mark.of_module("shipway.gateway")] != [gateway.pid]


def test_killed_model_comes_back_and_answers(example: Callable[[str], Path], mark: Mark) -> None:
    with running_app(example("simple_api"), environ=mark.environ) as app:
        client = openai.OpenAI(base_url=f"{app.url}/v1", api_key=app.key, max_retries=0, timeout=30)
        (model,) = mark.of_module("shipway.local.model_server")
        model.kill()

        statuses = []

        def answers() -> bool:
            try:
                answer = client.chat.completions.create(
                    model="chat", messages=[{"role": "user", "content": "Hello"}], max_tokens=3
                )
            except openai.APIStatusError as error:
                statuses.append(error.status_code)
                return False
            return bool(answer.choices[0].message.content)

        wait_until(answers, 60)
        assert set(statuses) <= {502, 503}  # meanwhile an error that clients understand


def test_nothing_survives_a_kill_of_up_itself(example: Callable[[str], Path], mark: Mark) -> None:
    with running_app(example("simple_api"), environ=mark.environ) as app:
        assert len(mark.processes()) >= 4  # up, the model, the gateway, the service, and who watches over them
        app.process.kill()
        assert mark.left_after(10) == []


def test_nothing_survives_a_kill_of_up_even_what_services_started_themselves(small_app: Path, mark: Mark) -> None:
    with running_app(small_app, environ=mark.environ) as app:
        commands = {process.command for process in mark.of_service("third")}
        assert "sleep 600" in commands
        app.process.kill()
        assert mark.left_after(10) == []


def test_second_run_after_a_kill_starts_at_once(small_app: Path, mark: Mark) -> None:
    with running_app(small_app, environ=mark.environ) as app:
        app.process.kill()
        with running_app(small_app, environ=mark.environ) as again:
            assert text_of(f"{again.url}/first").startswith("one")


def test_same_app_twice_is_refused_and_the_first_runs_on(small_app: Path, mark: Mark) -> None:
    with running_app(small_app, environ=mark.environ) as app:
        with pytest.raises(AppNotUpError, match="already"), running_app(small_app, environ=mark.environ):
            pass
        assert text_of(f"{app.url}/first").startswith("one")
