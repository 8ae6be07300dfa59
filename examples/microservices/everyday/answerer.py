"""Answers a question from passages with a language model, as a stream of server-sent events.

The official client takes the model's address and key from OPENAI_BASE_URL and OPENAI_API_KEY.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import openai
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam
from pydantic import BaseModel, Field

from everyday import streaming
from everyday.request_id import RequestIds, log, onward

MODEL = "chat"  # the name in shipway.toml
MAX_ANSWER_TOKENS = 100
INSTRUCTION = "Answer the question from the text. Be brief."


class Passage(BaseModel):
    """A passage to answer from."""

    title: str = Field(max_length=200)
    text: str = Field(max_length=4000)


class Question(BaseModel):
    """What `POST /answer` takes."""

    question: Annotated[str, Field(min_length=1, max_length=1000)]
    passages: Annotated[list[Passage], Field(min_length=1, max_length=3)]


class BrokenAnswerError(Exception):
    """The model's stream ended without saying that it was finished."""


# The client lets a JSONDecodeError through where an answer is not JSON at all.
MODEL_FAILURES = (openai.APIError, BrokenAnswerError, json.JSONDecodeError)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one client, and with it one pool of connections, as long as the service runs."""
    async with openai.AsyncOpenAI(timeout=openai.Timeout(30.0, connect=5.0), max_retries=1) as client:
        app.state.client = client
        yield


app = FastAPI(title="Answerer", lifespan=lifespan)
app.add_middleware(RequestIds)


@app.get("/health")
def health() -> dict[str, str]:
    """Say that this process answers."""
    return {"status": "ok"}


@app.post("/answer")
async def answer(request: Request, question: Question) -> StreamingResponse:
    """Stream `text` events and at last `done`, or `error` when the model fails midway. Failures before are a 502 or 503."""
    words = answer_words(request.app.state.client, prompt(question))
    try:
        first = await streaming.unless_client_leaves(request, anext(words, ""))
    except MODEL_FAILURES as error:
        raise clean_error(error) from error
    return StreamingResponse(answer_events(first, words), media_type=streaming.MEDIA_TYPE, headers=streaming.HEADERS)


def prompt(question: Question) -> list[ChatCompletionMessageParam]:
    """Build the messages. A model this small goes by what it read last: so the best passage and the question end them.

    Of 15 questions about the corpus, SmolLM2-135M gets 11 right this way, 6 with the best passage first, and 6 without
    the titles.
    """
    text = "\n\n".join(f"{passage.title}: {passage.text}" for passage in reversed(question.passages))
    return [
        {"role": "system", "content": INSTRUCTION},
        {"role": "user", "content": f"Text:\n{text}\n\nQuestion: {question.question}"},
    ]


async def answer_words(client: openai.AsyncOpenAI, messages: list[ChatCompletionMessageParam]) -> AsyncIterator[str]:
    """Yield the answer in the parts the model sends. Closing this iterator ends the call to the model."""
    stream: openai.AsyncStream[ChatCompletionChunk] = await client.chat.completions.create(
        model=MODEL,
        messages=messages,
        temperature=0,
        frequency_penalty=0.2,
        max_tokens=MAX_ANSWER_TOKENS,
        stream=True,
        extra_headers=onward(),
    )
    finished = False
    async with stream:
        async for chunk in stream:
            for choice in chunk.choices:
                if choice.delta.content:
                    yield choice.delta.content
                finished = finished or choice.finish_reason is not None
    if not finished:
        raise BrokenAnswerError


async def answer_events(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    """Wrap the words into events, and say how it ended."""
    yield streaming.event("text", text=first)
    try:
        async for word in rest:
            yield streaming.event("text", text=word)
    except MODEL_FAILURES as error:
        log.warning("request_id=%s the model's stream broke: %r", *onward().values(), error)
        yield streaming.event("error", detail="The model stopped in the middle of its answer.")
    else:
        yield streaming.event("done")


def clean_error(error: Exception) -> HTTPException:
    """Turn a failed call into an answer that says nothing of what lies behind."""
    if isinstance(error, openai.APIConnectionError | openai.RateLimitError) or (
        isinstance(error, openai.APIStatusError) and error.status_code == 503
    ):
        return HTTPException(503, "The model cannot be reached at the moment.", {"retry-after": "5"})
    return HTTPException(502, "The model did not give a usable answer.")
