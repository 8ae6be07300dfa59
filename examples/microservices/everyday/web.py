"""The service in front: a page, and `POST /ask`, which asks the retriever and then the answerer.

It finds them by SHIPWAY_URL_RETRIEVER and SHIPWAY_URL_ANSWERER, so it need not know where they run or how many there are.
"""

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from pydantic import BaseModel, BeforeValidator, StringConstraints

from everyday import streaming
from everyday.request_id import RequestIds, log, onward

PAGE = Path(__file__).with_name("page.html")
PASSAGES = 2
RETRIEVER_TIMEOUT = httpx.Timeout(3.0, connect=1.0)
ANSWERER_TIMEOUT = httpx.Timeout(45.0, connect=1.0)  # 45 s between two parts: the model may be reading a while
NOTHING_FOUND = "None of the articles is about that."


def whole_characters(text: object) -> object:
    """Replace halves of characters, which JSON can hold and no UTF-8 can carry on."""
    return text.encode(errors="replace").decode() if isinstance(text, str) else text


class Question(BaseModel):
    """What `POST /ask` takes."""

    question: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=300),
        BeforeValidator(whole_characters),
    ]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Hold one client for each service behind; a missing address stops the start and says so."""
    async with (
        httpx.AsyncClient(base_url=address("RETRIEVER"), timeout=RETRIEVER_TIMEOUT) as retriever,
        httpx.AsyncClient(base_url=address("ANSWERER"), timeout=ANSWERER_TIMEOUT) as answerer,
    ):
        app.state.retriever, app.state.answerer = retriever, answerer
        yield


app = FastAPI(title="Everyday things", lifespan=lifespan)
app.add_middleware(RequestIds)


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    """Return the page."""
    return PAGE.read_text(encoding="utf-8")


@app.get("/health")
def health() -> dict[str, str]:
    """Say that this process answers. It does not ask the others: restarting this one would not mend them."""
    return {"status": "ok"}


@app.post("/ask")
async def ask(request: Request, question: Question) -> StreamingResponse:
    """Stream the events `sources`, `text` (many) and `done`; `error` in place of `done` when the answer broke off.

    What fails before the first event is a 502 or 503 with a JSON body. A client that leaves ends the work behind too.
    """
    async with AsyncExitStack() as opened:
        passages, lines = await streaming.unless_client_leaves(request, find_and_ask(request.app, question, opened))
        # From here on the stream owns the connection to the answerer.
        body = events(passages, lines, opened.pop_all())
    return StreamingResponse(body, media_type=streaming.MEDIA_TYPE, headers=streaming.HEADERS)


@app.exception_handler(RequestValidationError)
async def malformed_request(request: Request, error: RequestValidationError) -> JSONResponse:
    """Answer 422 in one sentence. FastAPI's own list repeats the input, which may be anything."""
    problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
    return JSONResponse({"detail": "; ".join(problems)}, status_code=422)


def address(service: str) -> str:
    """Return where *service* is, from the environment."""
    try:
        return os.environ[f"SHIPWAY_URL_{service}"]
    except KeyError:
        raise RuntimeError(f"SHIPWAY_URL_{service} is not set: start this service with `shipway up`") from None


async def find_and_ask(
    app: FastAPI, question: Question, opened: AsyncExitStack
) -> tuple[list[dict[str, Any]], AsyncIterator[str]]:
    """Return the passages found and the lines of the answer that has begun; *opened* will hold its connection."""
    passages = await found_passages(app.state.retriever, question.question)
    if not passages:
        return [], nothing_found()
    body = {
        "question": question.question,
        "passages": [{key: each[key] for key in ("title", "text")} for each in passages],
    }
    stream = app.state.answerer.stream("POST", "/answer", json=body, headers=onward())
    try:
        response: httpx.Response = await opened.enter_async_context(stream)
        if response.status_code == 503:
            raise HTTPException(503, "The model cannot be reached at the moment.", {"retry-after": "5"})
        response.raise_for_status()
    except httpx.TransportError as error:
        log.warning("request_id=%s answerer: %r", *onward().values(), error)
        raise HTTPException(503, "The answerer cannot be reached at the moment.", {"retry-after": "2"}) from error
    except httpx.HTTPStatusError as error:
        raise HTTPException(502, "The question could not be answered.") from error
    return passages, response.aiter_lines()


async def found_passages(retriever: httpx.AsyncClient, question: str) -> list[dict[str, Any]]:
    """Ask the retriever, or raise the error that the caller gets."""
    try:
        response = await get_twice(retriever, "/search", {"q": question, "limit": PASSAGES})
        response.raise_for_status()
        passages: list[dict[str, Any]] = response.json()["passages"]
    except httpx.TransportError as error:
        log.warning("request_id=%s retriever: %r", *onward().values(), error)
        raise HTTPException(503, "The search cannot be reached at the moment.", {"retry-after": "2"}) from error
    except (httpx.HTTPStatusError, ValueError, KeyError) as error:
        raise HTTPException(502, "The search failed.") from error
    return passages


async def get_twice(client: httpx.AsyncClient, path: str, params: dict[str, str | int]) -> httpx.Response:
    """Send a GET, and once more when the connection broke: a replica that dies takes along what it was answering."""
    try:
        return await client.get(path, params=params, headers=onward())
    except httpx.TimeoutException:  # the time is spent
        raise
    except httpx.TransportError:
        return await client.get(path, params=params, headers=onward())


async def nothing_found() -> AsyncIterator[str]:
    """Yield the lines of an answer that needs no model."""
    for line in (streaming.event("text", text=NOTHING_FOUND) + streaming.event("done")).splitlines():
        yield line


async def events(
    passages: list[dict[str, Any]], lines: AsyncIterator[str], opened: AsyncExitStack
) -> AsyncIterator[str]:
    """Yield the sources, then the answer's own events line by line; an answer that breaks off ends with `error`."""
    finished = False
    async with opened:
        yield streaming.event("sources", passages=passages)
        try:
            async for line in lines:
                finished = finished or line in ("event: done", "event: error")
                yield f"{line}\n"
        except httpx.TransportError as error:
            log.warning("request_id=%s answerer broke off: %r", *onward().values(), error)
        if not finished:
            yield "\n" + streaming.event("error", detail="The answer was cut off.")
