"""Summarises text with a language model: one endpoint, streamed or not, and a page to try it in a browser.

There is nothing of Shipway in here. The official client takes the address and the key of whatever serves the model from
OPENAI_BASE_URL and OPENAI_API_KEY; `shipway up` sets both to its gateway, and unset they mean OpenAI itself.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import openai
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam
from pydantic import BaseModel

MODEL = "chat"  # the name in shipway.toml; which model answers to it is decided there
# Of the 4096 tokens that the model can hold, English of this length takes about 3000. Other languages take more: for
# those the model itself says when it is too much, and `clean_error` passes that on.
MAX_CHARACTERS = 12_000
MAX_SUMMARY_TOKENS = 200
INSTRUCTION = "You summarize text. Answer with the summary only, in two or three plain sentences."
PAGE = Path(__file__).with_name("page.html")
# 499 is nginx's number for "the client went away". Nobody is left to read it; it is for the log.
CLIENT_GONE = 499

Result = TypeVar("Result")


class SummaryRequest(BaseModel):
    """What `POST /summarize` takes."""

    text: str
    stream: bool = False


class Summary(BaseModel):
    """What it answers when not streamed; `truncated` says that the summary ran into its length limit."""

    summary: str
    truncated: bool


class BrokenAnswerError(Exception):
    """The model's answer has nothing in it, or its stream ended without saying that it was finished."""


# The client lets a JSONDecodeError through where an answer is not JSON at all.
MODEL_FAILURES = (openai.APIError, BrokenAnswerError, json.JSONDecodeError)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one client, and with it one pool of connections, as long as the app runs."""
    async with openai.AsyncOpenAI(timeout=openai.Timeout(60.0, connect=5.0), max_retries=1) as client:
        app.state.client = client
        yield


app = FastAPI(title="Summarizer", lifespan=lifespan)


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    """Return the page; read each time, so that an edit shows on reload."""
    return PAGE.read_text(encoding="utf-8")


@app.get("/health")
def health() -> dict[str, str]:
    """Say that this process answers. It does not ask the model: restarting this process would not mend that."""
    return {"status": "ok"}


@app.post("/summarize", response_model=Summary)
async def summarize(request: Request, body: SummaryRequest) -> Summary | Response:
    """Summarise a text. A streamed answer is plain text that arrives as it is written.

    Failures before the first word have a status and a JSON body. A failure after it breaks the connection off, which
    every HTTP client reports: a cut summary never looks like a whole one. A client that leaves ends the model's work.
    """
    messages = prompt(body.text)
    client: openai.AsyncOpenAI = request.app.state.client
    try:
        if not body.stream:
            return await unless_client_leaves(request, whole_summary(client, messages))
        words = summary_words(client, messages)
        first = await unless_client_leaves(request, anext(words, ""))
    except MODEL_FAILURES as error:
        raise clean_error(error) from error
    # Told not to, proxies neither collect the words into larger parts nor keep them.
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(one_then_rest(first, words), media_type="text/plain", headers=headers)


@app.exception_handler(RequestValidationError)
async def malformed_request(request: Request, error: RequestValidationError) -> JSONResponse:
    """Answer 422 in one sentence, as for other errors. FastAPI's own list repeats the input, which may be anything."""
    problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    return JSONResponse({"detail": "; ".join(problems)}, status_code=422)


def prompt(text: str) -> list[ChatCompletionMessageParam]:
    """Build the messages for *text*, or refuse it with a status and a sentence."""
    text = (
        text.encode(errors="replace").decode().strip()
    )  # half an emoji from JavaScript is valid JSON, not valid UTF-8
    if not text:
        raise HTTPException(422, "The text is empty.")
    if len(text) > MAX_CHARACTERS:
        raise HTTPException(413, f"The text has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read.")
    return [
        {"role": "system", "content": INSTRUCTION},
        {"role": "user", "content": f"Summarize this text:\n\n{text}"},
    ]


async def whole_summary(client: openai.AsyncOpenAI, messages: list[ChatCompletionMessageParam]) -> Summary:
    """Ask the model and wait for all of its answer."""
    answer: ChatCompletion = await client.chat.completions.create(
        model=MODEL, messages=messages, temperature=0, frequency_penalty=0.3, max_tokens=MAX_SUMMARY_TOKENS
    )
    if not answer.choices:
        raise BrokenAnswerError
    choice = answer.choices[0]
    return Summary(summary=(choice.message.content or "").strip(), truncated=choice.finish_reason == "length")


async def summary_words(client: openai.AsyncOpenAI, messages: list[ChatCompletionMessageParam]) -> AsyncIterator[str]:
    """Yield the summary in the parts the model sends. Closing this iterator ends the call to the model."""
    stream: openai.AsyncStream[ChatCompletionChunk] = await client.chat.completions.create(
        model=MODEL, messages=messages, temperature=0, frequency_penalty=0.3, max_tokens=MAX_SUMMARY_TOKENS, stream=True
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


async def one_then_rest(first: str, rest: AsyncIterator[str]) -> AsyncIterator[str]:
    """Yield *first*, then *rest*."""
    yield first
    async for word in rest:
        yield word


async def unless_client_leaves(request: Request, work: Awaitable[Result]) -> Result:
    """Wait for *work*, and cancel it when the client closes the connection first.

    Starlette does this while a response is being sent, but not before: a person who closes the page while the model is
    still reading would leave it working for nobody.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(request.receive())  # the body is read, so what comes next is the disconnect
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise HTTPException(CLIENT_GONE)
        return await working
    finally:
        working.cancel()
        leaving.cancel()


def clean_error(error: Exception) -> HTTPException:
    """Turn a failed call into an answer that says what to do, and nothing of what lies behind this app."""
    # All but the text is the same in every request, so a refused request is a refused text.
    if isinstance(error, openai.BadRequestError):
        return HTTPException(
            413, "The model refuses the text, most likely because it is too long. Try with half of it."
        )
    if isinstance(error, openai.APIConnectionError | openai.RateLimitError) or (
        isinstance(error, openai.APIStatusError) and error.status_code == 503
    ):
        return HTTPException(503, "The model cannot be reached at the moment.", {"retry-after": "5"})
    return HTTPException(502, "The model did not give a usable answer.")
