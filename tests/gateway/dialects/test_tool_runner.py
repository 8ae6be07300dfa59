"""The tool runner of Anthropic's SDK, which asks the server to keep the conversation, goes on where that cannot be translated."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2

from shipway.gateway.dialects.conversation import Text, ToolCall
from shipway.gateway.dialects.events import Answer, Envelope
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.refusals import Refused

DIALECT = open_dialect("anthropic")
ANSWERS = [Answer((ToolCall("call_1", "weather", '{"city":"Bonn"}'),), "tool_calls"), Answer((Text("Sunny."),), "end")]


@anthropic.beta_tool
def weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: Its name.
    """
    return f"sunny in {city}"


def test_the_tool_runner_goes_on_without_a_thread() -> None:
    asked: list[dict[str, Any]] = []

    def gateway(request: httpx2.Request) -> httpx2.Response:
        losses = Losses()
        try:
            conversation = DIALECT.read_request(request.content, losses)
            asked.append(json.loads(open_dialect("gemini").write_request(conversation, "m", losses)))
        except Refused as refused:
            _, body = DIALECT.write_error(refused.refusal, "r1")
            return httpx2.Response(400, headers={"content-type": "application/json"}, content=body)
        body = DIALECT.write_answer(ANSWERS[len(asked) - 1], Envelope("1", "m", 1))
        return httpx2.Response(200, headers={"content-type": "application/json"}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(gateway))
    with anthropic.Anthropic(api_key="k", base_url="http://gateway", http_client=http, max_retries=0) as client:
        messages: Any = [{"role": "user", "content": "Weather in Bonn?"}]
        runner = client.beta.messages.tool_runner(model="m", max_tokens=9, tools=[weather], messages=messages)
        last = runner.until_done()
    assert [block.text for block in last.content if block.type == "text"] == ["Sunny."]
    result = asked[1]["contents"][2]["parts"][0]["functionResponse"]
    assert result == {"name": "weather", "response": {"output": "sunny in Bonn"}, "id": "call_1"}
