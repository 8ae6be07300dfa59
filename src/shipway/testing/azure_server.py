"""A fake Azure OpenAI resource: OpenAI's wire format at Azure's addresses, with Azure's keys, filters and errors.

    async with FakeAzure(api_key="any", models=["my-deployment"]) as fake:
        client = openai.AsyncAzureOpenAI(azure_endpoint=fake.url, api_key="any", api_version="2024-10-21")

Speaks the v1 API (`/openai/v1/…`) and the older form with deployments in the path and `api-version` in the query. `models` are
its deployments.

Source: https://learn.microsoft.com/azure/ai-foundry/openai/reference and the same about content filtering.
"""

import hmac
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import unquote

from shipway.testing import openai_wire as wire
from shipway.testing.answers import Whole
from shipway.testing.openai_server import FakeOpenAI
from shipway.testing.script import ReceivedRequest, Reply

__all__ = ["FakeAzure"]

_SAFE: Final = {"filtered": False, "severity": "safe"}
FILTERS: Final = dict.fromkeys(("hate", "self_harm", "sexual", "violence"), _SAFE)
_PROMPT_FILTERS: Final = [{"prompt_index": 0, "content_filter_results": FILTERS}]


class FakeAzure(FakeOpenAI):
    """The server; see `FakeOpenAI` for its other arguments.

    Args:
        token: The only token of Entra that it accepts in place of the key; None accepts none.
    """

    request_id_field = "apim-request-id"

    def __init__(
        self,
        *,
        models: Iterable[str] | None = None,
        api_key: str | None = None,
        token: str | None = None,
        default: Reply | None = None,
        port: int = 0,
        strict: bool = False,
    ) -> None:
        super().__init__(models=models, api_key=api_key, default=default, port=port, strict=strict)
        self._token = token

    @property
    def base_url(self) -> str:
        """The base URL of the v1 API."""
        return f"{self.url}/openai/v1"

    @property
    def deployments_url(self) -> str:
        """The base URL of the older form."""
        return f"{self.url}/openai"

    def operation(self, request: ReceivedRequest) -> str | None:
        if request.path.startswith("/openai/v1/"):
            return request.path.removeprefix("/openai/v1/")
        if not request.path.startswith("/openai/") or "api-version" not in request.query:
            return None
        below = request.path.removeprefix("/openai/")
        return below.split("/", 2)[2] if below.startswith("deployments/") and below.count("/") >= 2 else below

    def body_of(self, request: ReceivedRequest) -> Any:
        body = super().body_of(request)
        if isinstance(body, dict) and request.path.startswith("/openai/deployments/"):
            return {**body, "model": unquote(request.path.split("/")[3])}
        return body

    def key_is_right(self, request: ReceivedRequest) -> bool:
        if self.api_key is None and self._token is None:
            return True
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        # OpenAI's own client, pointed at the v1 API, sends the key as a bearer token.
        given = ((request.headers.get("api-key", ""), self.api_key), (bearer, self.api_key), (bearer, self._token))
        return any(right is not None and hmac.compare_digest(one.encode(), right.encode()) for one, right in given)

    def wrong_key(self) -> wire.Json:
        message = "Access denied due to invalid subscription key or wrong API endpoint."
        return {"error": {"code": "401", "message": message}}

    def unknown_model(self, name: str) -> wire.Json:
        return {
            "error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}
        }

    def amended(self, document: wire.Json) -> wire.Json:
        """With the filters' results: of the prompt, and of each choice that says something."""
        if "choices" not in document:
            return document
        choices = [
            {**choice, "content_filter_results": FILTERS if choice.get("message") or choice.get("delta") else {}}
            for choice in document["choices"]
        ]
        whole = document["object"] == "chat.completion"
        return {**document, "choices": choices, **({"prompt_filter_results": _PROMPT_FILTERS} if whole else {})}

    def opening(self, body: Mapping[str, Any]) -> list[wire.Json]:
        """A stream begins with what the filters say of the prompt, on a chunk without choices and with an empty model."""
        chunk = {"id": "", "object": "", "created": 0, "model": "", "choices": []}
        return [{**chunk, "prompt_filter_results": _PROMPT_FILTERS}]

    def error(self, reply: Reply) -> Whole:
        """`error_type="content_filter"` with status 400 is the refusal of a prompt; otherwise as OpenAI."""
        if reply.error_type != "content_filter":
            return super().error(reply)
        details = {name: {**_SAFE} for name in FILTERS} | {"violence": {"filtered": True, "severity": "high"}}
        error = {
            "message": reply.message("The response was filtered due to the prompt triggering the content policy."),
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": details},
        }
        return Whole(body=wire.compact({"error": error}).encode(), status=reply.status)
