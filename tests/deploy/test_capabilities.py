"""What of an app file a target cannot honour."""

from pathlib import Path
from typing import Any

import pytest

from shipway.deploy.capabilities import (
    BY_THE_GATEWAY,
    losses,
    matches,
    refuse_losses,
    refuse_unchecked,
    refuse_what_stays_here,
)
from shipway.deploy.targets import Capabilities
from shipway.errors import UnsupportedError
from shipway.spec.app import App
from shipway.spec.environments import Environment
from shipway.spec.guards import Guard
from shipway.spec.health import Health
from shipway.spec.models import Model
from shipway.spec.providers import Provider, built_in_providers
from shipway.spec.services import Service

SOME = Capabilities(
    BY_THE_GATEWAY | {"services.*.app", "services.*.env"}, {"services.*.resources.gpu": "it hands out no devices"}
)
TABLE = {
    "name": "shop",
    "services": {"api": {"app": "m:a", "env": {"A": "1"}, "resources": {"gpu": 1, "cpu": 2}, "routes": ["/"]}},
    "objectives": {"availability": "99%"},
}
LOST = (("services", "api", "resources", "gpu"), ("services", "api", "resources", "cpu"))


def _app(*accepted: str) -> App:
    settings = Environment(target="docker", accept_loss=accepted)
    return App(name="shop", environment="prod", settings=settings, root=Path("/"))


def test_what_is_not_named_is_not_honoured() -> None:
    assert losses(TABLE, SOME) == LOST


def test_a_guard_that_is_the_apps_own_code_is_not_where_the_gateway_runs() -> None:
    guards = {"near": {"call": "a:b", "deadline": "1s"}, "far": {"url": "http://guard:9000", "hold": "1s"}}
    assert losses({"name": "shop", "guards": guards}, SOME) == (("guards", "near", "call"),)


def test_all_that_is_lost_is_said_at_once_with_what_would_accept_it() -> None:
    with pytest.raises(UnsupportedError) as error:
        refuse_losses(LOST, _app(), SOME)
    assert error.value.message == (
        "the target docker cannot honour services.api.resources.gpu: it hands out no devices\n"
        "the target docker cannot honour services.api.resources.cpu"
    )
    assert error.value.hint == (
        'if it may be lost: accept_loss = ["services.api.resources.gpu", "services.api.resources.cpu"] '
        "in [environments.prod]"
    )


@pytest.mark.parametrize("accepted", ["services.*.resources", "services.api.resources", "services.*"])
def test_an_accepted_loss_is_none(accepted: str) -> None:
    refuse_losses(LOST, _app(accepted), SOME)


def test_a_service_that_nobody_can_tell_to_be_ready_is_refused_unless_that_is_accepted() -> None:
    services = {
        "api": Service(app="m:a"),
        "web": Service(command=("web",)),
        "search": Service(image="search:1", health=Health(path="/up")),
        "archive": Service(url="http://archive"),
    }
    app = App(name="shop", environment="prod", services=services, root=Path("/"))
    with pytest.raises(UnsupportedError, match=r"services\.web has no health\.path, so nothing tells") as error:
        refuse_unchecked(app)
    assert error.value.hint == (
        'set it; or if an open port is enough: accept_loss = ["services.web.health"] in [environments.prod]'
    )
    refuse_unchecked(app.model_copy(update={"settings": Environment(accept_loss=("services.*.health",))}))


@pytest.mark.parametrize(
    ("pattern", "keys", "expected"),
    [
        ("limits", ("limits", "default", "requests"), True),
        ("services.*.env", ("services", "api", "env", "A"), True),
        ("services.*.env", ("services", "api"), False),
        ("services.*.env", ("services", "api", "environment"), False),
    ],
)
def test_a_pattern_means_a_setting_and_all_below_it(pattern: str, keys: tuple[str, ...], expected: bool) -> None:
    assert matches(pattern, keys) is expected


LOCAL = Model.model_validate({"upstreams": ["local/smollm2-135m-instruct"]})
BEDROCK = Model.model_validate({"upstreams": ["bedrock/nova"]})


@pytest.mark.parametrize(
    ("parts", "message", "hint"),
    [
        (
            {"guards": {"words": Guard(call="app:words")}},
            "guards.words.call: app:words is the app's own code, which is not in the gateway's image",
            "serve it over HTTP, and set url in [environments.prod.guards.words]",
        ),
        (
            {"models": {"chat": LOCAL}},
            "models.chat: local/smollm2-135m-instruct is run by shipway up alone, not yet on the target docker",
            "run a model server there, and name it as a provider: "
            '[providers.NAME] with kind = "openai" and base_url = "http://HOST:PORT/v1"',
        ),
        (
            {"models": {"chat": BEDROCK}},
            "providers.bedrock.region: the AWS_REGION of this machine is not where the gateway runs",
            'set region in [providers.bedrock], such as "eu-central-1"',
        ),
    ],
    ids=["guard by call", "local model", "region"],
)
def test_what_is_on_this_machine_alone_is_refused_even_if_its_loss_would_be_accepted(
    parts: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(UnsupportedError) as error:
        refuse_what_stays_here(_app("guards.*", "models.*", "providers.*").model_copy(update=parts))
    assert (error.value.message, error.value.hint) == (message, hint)


def test_an_app_that_needs_nothing_of_this_machine_is_not_refused() -> None:
    providers = {**built_in_providers(), "bedrock": Provider(kind="bedrock", region="eu-central-1")}
    guards = {"words": Guard(url="http://guard:9000")}
    refuse_what_stays_here(
        _app().model_copy(update={"models": {"chat": BEDROCK}, "providers": providers, "guards": guards})
    )
