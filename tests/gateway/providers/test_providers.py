"""Where each provider's requests go and what they carry."""

import pytest

from shipway.errors import SecretError, UsageError
from shipway.gateway.providers import open_provider
from shipway.gateway.providers.credentials import NoCredentialError
from shipway.gateway.providers.provider import Outgoing, Route, Settings, field_value
from shipway.secret import Secret
from tests.gateway.providers.contract import KEY, check

SECRET = Secret(KEY)
AWS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": KEY, "AWS_REGION": "eu-central-1"}
AZURE_V1 = ("https://mine.openai.azure.com/openai/v1",)
AZURE_OLD = ("https://mine.openai.azure.com/openai",)
SETTINGS: dict[str, tuple[str, Settings]] = {
    "openai": ("openai", Settings(base_urls=("https://api.openai.com/v1",), api_key=SECRET)),
    "local": ("local", Settings(base_urls=("http://127.0.0.1:1/v1",))),
    "anthropic": ("anthropic", Settings(api_key=SECRET)),
    "gemini": ("gemini", Settings(api_key=SECRET)),
    "azure, v1": ("azure", Settings(base_urls=AZURE_V1, api_key=SECRET)),
    "azure, deployments": (
        "azure",
        Settings(base_urls=AZURE_OLD, api_key=SECRET, options={"api_version": "2024-10-21"}),
    ),
    "azure, Entra": ("azure", Settings(base_urls=AZURE_V1, environ={"AZURE_TENANT_ID": "t"})),
    "bedrock, keys": ("bedrock", Settings(environ=AWS)),
    "bedrock, API key": ("bedrock", Settings(api_key=SECRET, options={"region": "eu-central-1"})),
    "bedrock, profile": ("bedrock", Settings(options={"region": "eu-central-1", "profile": "work"})),
}


@pytest.mark.parametrize(("kind", "settings"), SETTINGS.values(), ids=SETTINGS.keys())
def test_contract(kind: str, settings: Settings) -> None:
    check(kind, settings)


def test_openai_sends_the_key_as_a_bearer_token_below_the_base_url() -> None:
    provider = check(*SETTINGS["openai"])
    assert provider.fields == f"Authorization: Bearer {KEY}\r\n".encode()
    assert provider.route("chat_completions", "m", stream=True) == Route(b"/chat/completions", "sse")
    assert provider.route("speech", "m", stream=False) == Route(b"/audio/speech", "bytes")
    assert provider.route("messages", "m", stream=False) is None


def test_anthropic_sends_its_key_and_a_version_that_the_app_file_may_change() -> None:
    provider = check(*SETTINGS["anthropic"])
    assert provider.fields == f"x-api-key: {KEY}\r\n".encode()
    assert provider.defaults == b"anthropic-version: 2023-06-01\r\n"
    assert provider.route("messages", "m", stream=True) == Route(b"/messages", "sse")
    assert provider.route("count_tokens", "m", stream=False) == Route(b"/messages/count_tokens", "json")
    other = open_provider("anthropic", Settings(headers=(("Anthropic-Version", "2099-01-01"),)))
    assert (other.fields, other.defaults) == (b"Anthropic-Version: 2099-01-01\r\n", b"")


def test_gemini_has_the_model_in_the_path_and_the_key_in_a_header() -> None:
    provider = check(*SETTINGS["gemini"])
    assert provider.fields == f"x-goog-api-key: {KEY}\r\n".encode()
    assert provider.route("generate_content", "gemini-x", stream=False) == Route(
        b"/models/gemini-x:generateContent", "json"
    )
    assert provider.route("generate_content", "tunedModels/mine", stream=True) == Route(
        b"/tunedModels/mine:streamGenerateContent?alt=sse", "sse"
    )


def test_azure_has_the_deployment_in_the_body_or_with_an_api_version_in_the_path() -> None:
    new, old = check(*SETTINGS["azure, v1"]), check(*SETTINGS["azure, deployments"])
    assert new.fields == f"api-key: {KEY}\r\n".encode()
    assert new.route("chat_completions", "my gpt", stream=False) == Route(b"/chat/completions", "json")
    assert old.route("chat_completions", "my gpt", stream=True) == Route(
        b"/deployments/my%20gpt/chat/completions?api-version=2024-10-21", "sse"
    )
    assert old.route("responses", "my gpt", stream=False) == Route(b"/responses?api-version=2024-10-21", "json")
    assert old.route("rerank", "my gpt", stream=False) is None


def test_azure_without_a_key_sends_a_token_of_entra_once_there_is_one() -> None:
    provider = check(*SETTINGS["azure, Entra"])
    assert provider.held is not None
    with pytest.raises(NoCredentialError):
        provider.sign(Outgoing("POST", "/", "host", b"", 0.0))


def test_bedrock_encodes_the_model_and_asks_for_frames() -> None:
    provider = check(*SETTINGS["bedrock, keys"])
    assert provider.base_urls == ("https://bedrock-runtime.eu-central-1.amazonaws.com",)
    assert provider.route("converse", "us.amazon.nova-lite-v1:0", stream=True) == Route(
        b"/model/us.amazon.nova-lite-v1%3A0/converse-stream",
        "event-stream",
        b"Accept: application/vnd.amazon.eventstream\r\n",
    )
    arn = provider.route("converse", "arn:aws:bedrock:eu-central-1:1:inference-profile/x", stream=False)
    assert arn is not None
    assert arn.target == b"/model/arn%3Aaws%3Abedrock%3Aeu-central-1%3A1%3Ainference-profile%2Fx/converse"


@pytest.mark.parametrize(
    ("model", "operation"),
    [
        ("amazon.titan-embed-text-v2:0", "titan_embeddings"),
        ("us.amazon.titan-embed-text-v2:0", "titan_embeddings"),
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.titan-embed-text-v2:0", "titan_embeddings"),
        ("cohere.embed-multilingual-v3", "cohere_embeddings"),
        ("global.cohere.embed-v4:0", "cohere_embeddings"),
        ("amazon.titan-embed-text-v1", None),
        ("amazon.titan-embed-image-v1", None),
        ("cohere.command-r-v1:0", None),
        ("mycohere.embed-v4:0/other", None),
    ],
)
def test_bedrock_knows_what_embeds_by_the_models_name(model: str, operation: str | None) -> None:
    provider = check(*SETTINGS["bedrock, keys"])
    routes = {one: provider.route(one, model, stream=False) for one in provider.embeds_in}
    assert [one for one, route in routes.items() if route is not None] == ([] if operation is None else [operation])
    assert {route.target.rpartition(b"/")[2] for route in routes.values() if route is not None} <= {b"invoke"}


def test_bedrock_signs_each_request_unless_it_has_an_api_key() -> None:
    outgoing = Outgoing("POST", "/model/m/converse", "bedrock-runtime.eu-central-1.amazonaws.com", b"{}", 1.44e9)
    lines = check(*SETTINGS["bedrock, keys"]).sign(outgoing)
    assert lines.startswith(b"x-amz-date: 20150819T160000Z\r\nauthorization: AWS4-HMAC-SHA256 Credential=AKID/")
    assert b"SignedHeaders=host;x-amz-date," in lines
    assert check(*SETTINGS["bedrock, API key"]).fields == f"Authorization: Bearer {KEY}\r\n".encode()
    china = open_provider("bedrock", Settings(api_key=SECRET, options={"region": "cn-north-1"}))
    assert china.base_urls == ("https://bedrock-runtime.cn-north-1.amazonaws.com.cn",)


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        ("anthropi", Settings(), 'unknown kind of provider "anthropi" \\(did you mean "anthropic"'),
        ("azure", Settings(), "needs base_url"),
        ("openai", Settings(), "needs base_url"),
        ("bedrock", Settings(), "needs a region"),
    ],
)
def test_what_is_missing_is_said(kind: str, settings: Settings, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_provider(kind, settings)


def test_a_header_cannot_break_out_of_its_line() -> None:
    with pytest.raises(SecretError, match="x-mine"):
        open_provider("anthropic", Settings(headers=(("x-mine", "a\r\nb: c"),)))


def test_a_field_is_found_among_header_lines_by_the_first_name_that_is_there() -> None:
    lines = b"Content-Type: text/plain\r\nX-Request-ID:  abc \r\nRequest-Id: def\r\n"
    assert field_value(lines, (b"x-missing", b"x-request-id", b"request-id")) == b"abc"
    assert field_value(lines, (b"x-missing",)) is None
