"""The providers of the matrix: of each kind its fake, and what it needs in the app file."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from shipway.testing.anthropic_server import FakeAnthropic
from shipway.testing.azure_server import FakeAzure
from shipway.testing.bedrock_server import FakeBedrock
from shipway.testing.fake_server import FakeServer
from shipway.testing.gemini_server import FakeGemini
from shipway.testing.openai_server import FakeOpenAI
from shipway.testing.script import Reply
from tests.integration.sdks.questions import ARGUMENTS, REWRITTEN_ARGUMENTS

MODEL = "m"
KEY = "upstream-key"
ENVIRON = {"UPSTREAM_KEY": KEY, "AWS_ACCESS_KEY_ID": "AKIDFAKE", "AWS_SECRET_ACCESS_KEY": "secret"}
KEY_LINE = 'api_key = "env:UPSTREAM_KEY"\n'


WRONG_KEY = Reply(status=401)
OUT_OF_QUOTA = Reply(status=429)
FAILED = Reply(status=500)


@dataclass(frozen=True, kw_only=True)
class Place:
    """One provider.

    Attributes:
        url: Which of its fake's addresses is its base URL.
        settings: Lines of its section.
        model: What its model is called, where that says something.
        speaks: Callers whose dialect is its own, so that bytes pass.
        raw_arguments: Whether it sends a tool's arguments as the text that the model wrote: always, in streams, or never.
        names_stop: Whether it says that a stop sequence ended the text, and which one.
        filtered: Whether it says of a filtered answer that it was filtered, or that the model refused.
        too_long: Its answer to a conversation that the model does not take for its length.
        overloaded: The status that says so.
        wrong_key: Its answer to a key that it does not know.
        out_of_quota: Its answer when its customer has used what it may.
        quota_wait: What its answer of that kind says in its own way of how long to wait, or else what callers are told.
        model_failed: Its answer when the model broke down over a request that is in order.
        said: Its words for errors in a stream: that it limits its callers, is overloaded, failed.
    """

    fake: Callable[[], FakeServer]
    url: str
    settings: str
    model: str = MODEL
    speaks: frozenset[str] = frozenset()
    raw_arguments: str = "never"
    names_stop: str = "no"
    filtered: str = "content_filter"
    too_long: Reply
    overloaded: int = 503
    wrong_key: Reply = WRONG_KEY
    out_of_quota: Reply = OUT_OF_QUOTA
    quota_wait: str = "1"
    model_failed: Reply = FAILED
    said: tuple[str, str, str]

    @property
    def local(self) -> bool:
        return '"local"' in self.settings

    def arguments(self, *, stream: bool) -> str:
        """`ARGUMENTS` as it sends them."""
        raw = self.raw_arguments == "always" or (stream and self.raw_arguments == "streamed")
        return ARGUMENTS if raw else REWRITTEN_ARGUMENTS


_OPENAI_TOO_LONG = Reply(
    status=400,
    body=b'{"error":{"message":"This model\'s maximum context length is 128000 tokens.","type":"invalid_request_error",'
    b'"param":"messages","code":"context_length_exceeded"}}',
)
_OPENAIS = frozenset(("chat", "responses", "completions", "embeddings"))


def _openai(kind: str, *, url: str = "base_url", more: str = KEY_LINE) -> Place:
    fake = FakeAzure if kind == "azure" else FakeOpenAI
    return Place(
        fake=lambda: fake(models=[MODEL], api_key=KEY if more else None),
        url=url,
        settings=f'kind = "{kind}"\n{more}',
        speaks=_OPENAIS,
        raw_arguments="always",
        too_long=_OPENAI_TOO_LONG,
        said=("rate_limit_exceeded", "service_unavailable_error", "server_error"),
    )


PLACES: dict[str, Place] = {
    "openai": _openai("openai"),
    "azure": _openai("azure"),
    "azure deployments": _openai("azure", url="deployments_url", more=f'{KEY_LINE}api_version = "2024-10-21"\n'),
    "anthropic": Place(
        fake=lambda: FakeAnthropic(models=[MODEL], api_key=KEY),
        url="base_url",
        settings=f'kind = "anthropic"\n{KEY_LINE}',
        speaks=frozenset(("messages",)),
        raw_arguments="streamed",
        names_stop="which",
        filtered="refusal",
        too_long=Reply(status=400, error_message="prompt is too long: 250000 tokens > 200000 maximum"),
        overloaded=529,
        said=("rate_limit_error", "overloaded_error", "api_error"),
    ),
    "bedrock": Place(
        fake=lambda: FakeBedrock(models=[MODEL], keys={"AKIDFAKE": "secret"}),
        url="base_url",
        settings='kind = "bedrock"\nregion = "eu-central-1"\n',
        raw_arguments="streamed",
        names_stop="yes",
        too_long=Reply(status=400, error_message="Input is too long for requested model."),
        wrong_key=Reply(status=403, error_type="UnrecognizedClientException"),
        out_of_quota=Reply(status=400, error_type="ServiceQuotaExceededException"),
        model_failed=Reply(status=424, error_type="ModelErrorException"),
        said=("ThrottlingException", "ServiceUnavailableException", "ModelStreamErrorException"),
    ),
    "gemini": Place(
        fake=lambda: FakeGemini(models=[MODEL], api_key=KEY),
        url="base_url",
        settings=f'kind = "gemini"\n{KEY_LINE}',
        too_long=Reply(
            status=400,
            error_message="The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        ),
        wrong_key=Reply(
            status=400,
            body=b'{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT","details":[{"@type":'
            b'"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}',
        ),
        quota_wait="7",
        model_failed=Reply(status=504),
        said=("RESOURCE_EXHAUSTED", "UNAVAILABLE", "INTERNAL"),
    ),
    "local": _openai("local", more=""),
}


def _of_bedrock(model: str) -> Place:
    return replace(
        PLACES["bedrock"], fake=lambda: FakeBedrock(models=[model], keys={"AKIDFAKE": "secret"}), model=model
    )


EMBEDDERS: dict[str, Place] = {
    **{name: place for name, place in PLACES.items() if name != "bedrock"},
    "bedrock, Titan": _of_bedrock("amazon.titan-embed-text-v2:0"),
    "bedrock, Cohere": _of_bedrock("eu.cohere.embed-v4:0"),
}
"""Who is asked for embeddings: at Bedrock each family of models has a format of its own."""
