"""LiteLLM's part, run by a Python that has it: `python litellm_peer.py PROVIDER SECONDS` prints microseconds as JSON.

Its transformations are called as its `completion` calls them, without router, callbacks and network. A streamed event is
measured twice: its parser alone, and with the `CustomStreamWrapper` that turns what the parser says into what callers get.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
sys.path.insert(0, str(Path(__file__).parent))

import exchange  # beside this file
import httpx
import litellm
from litellm.litellm_core_utils.litellm_logging import Logging
from litellm.types.utils import ModelResponse
from litellm.utils import get_optional_params

EVENTS = 200


def config(provider):
    if provider == "anthropic":
        return litellm.AnthropicConfig()
    if provider == "gemini":
        return litellm.GoogleAIStudioGeminiConfig()
    return litellm.AmazonConverseConfig()


def request(provider, transform):
    body = json.loads(exchange.REQUEST)
    messages = body.pop("messages")
    model = exchange.MODELS[provider]
    body.pop("model")
    options = get_optional_params(model=model, custom_llm_provider=provider, **body)
    return json.dumps(transform(messages, options)).encode(), messages, options


def request_transform(provider):
    model = exchange.MODELS[provider]
    if provider == "gemini":
        from litellm.llms.vertex_ai.gemini.transformation import _transform_request_body

        return lambda messages, options: _transform_request_body(
            messages=messages,
            model=model,
            optional_params=options,
            custom_llm_provider="gemini",
            litellm_params={},
            cached_content=None,
        )
    one = config(provider)
    return lambda messages, options: one.transform_request(model, messages, options, {}, {})


def chunk_parser(provider):
    if provider == "anthropic":
        from litellm.llms.anthropic.chat.handler import ModelResponseIterator

        return ModelResponseIterator(iter(()), sync_stream=True).chunk_parser
    if provider == "gemini":
        from litellm.llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini import ModelResponseIterator

        return ModelResponseIterator(iter(()), sync_stream=True, logging_obj=logging(provider)).chunk_parser
    from litellm.llms.bedrock.chat.invoke_handler import AWSEventStreamDecoder

    return AWSEventStreamDecoder(model=exchange.MODELS[provider]).converse_chunk_parser


def logging(provider):
    log = Logging(
        model=exchange.MODELS[provider],
        messages=[],
        stream=False,
        call_type="completion",
        start_time=time.time(),
        litellm_call_id="1",
        function_id="1",
    )
    log.optional_params = {}
    return log


def microseconds(act, seconds, batch=20):
    """The fastest of batches, since whatever else runs here can only add."""
    for _ in range(batch):
        act()
    fastest, ends = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < ends:
        began = time.process_time()
        for _ in range(batch):
            act()
        fastest = min(fastest, (time.process_time() - began) / batch)
    return fastest * 1e6


def main():
    provider, seconds = sys.argv[1], float(sys.argv[2])
    transform, one, log = request_transform(provider), config(provider), logging(provider)
    _, messages, options = request(provider, transform)
    sent, parse, event = exchange.answer(provider), chunk_parser(provider), exchange.delta(provider)

    def answer():
        response = httpx.Response(200, content=sent, headers={"content-type": "application/json"})
        told = one.transform_response(
            model=exchange.MODELS[provider],
            raw_response=response,
            model_response=ModelResponse(),
            logging_obj=log,
            request_data={},
            messages=messages,
            optional_params=options,
            litellm_params={},
            encoding=None,
            api_key="",
        )
        return told.model_dump_json()

    def whole():
        request(provider, transform)
        answer()

    def streamed():
        return parse(json.loads(event)).model_dump_json()

    events = [exchange.delta(provider, number) for number in range(EVENTS)]

    def wrapped():
        chunks = (parse(json.loads(one)) for one in events)
        wrapper = litellm.CustomStreamWrapper(
            completion_stream=chunks,
            model=exchange.MODELS[provider],
            custom_llm_provider=provider,
            logging_obj=logging(provider),
        )
        return [chunk.model_dump_json() for chunk in wrapper]

    assert sum(" again" in one for one in wrapped()) == EVENTS
    assert "get_weather" in answer(), answer()
    assert " again" in streamed(), streamed()
    told = {"whole_us": microseconds(whole, seconds), "parsed_us": microseconds(streamed, seconds)}
    told["event_us"] = microseconds(wrapped, seconds, 1) / EVENTS
    print(json.dumps(told | {"version": __import__("importlib.metadata").metadata.version("litellm")}))


main()
