"""Finds the passages that fit a question, with SQLite's full-text index over the articles in this folder.

Every replica builds its own index in memory when it starts, which takes milliseconds: there is nothing to share and
nothing to migrate. A corpus too large for that would live in a database of its own.
"""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel

from everyday.request_id import RequestIds

ARTICLES = Path(__file__).with_name("articles")
PASSAGE_SENTENCES = 2  # a model this small loses the thread in more
TITLE_WEIGHT, TEXT_WEIGHT = 2.0, 1.0
MAX_TERMS = 32
# Words that say nothing about the subject. BM25 ranks them low, but a question of nothing else must find nothing.
STOP_WORDS = frozenset(
    """
    a an and are as at be been by can did do does for from had has have how i if in into is it its many me much my no
    not of on one or out so than that the their them then there these they this to was we were what when where which
    who whom whose why will with without would you your
    """.split()  # noqa: SIM905 - sixty quoted words would be harder to read
)


class Passage(BaseModel):
    """Some sentences of an article; *score* is BM25's, larger is better."""

    article: str
    title: str
    text: str
    score: float


class Found(BaseModel):
    """The best passages, best first."""

    passages: list[Passage]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Build the index before the first request."""
    app.state.index = build_index(ARTICLES.glob("*.md"))
    yield
    app.state.index.close()


app = FastAPI(title="Retriever", lifespan=lifespan)
app.add_middleware(RequestIds)


@app.get("/health")
async def health(request: Request) -> dict[str, str | int]:
    """Say how many passages the index holds."""
    (count,) = request.app.state.index.execute("SELECT count(*) FROM passages").fetchone()
    return {"status": "ok", "passages": count}


@app.get("/search")
async def search(
    request: Request,
    q: Annotated[str, Query(max_length=1000)],
    limit: Annotated[int, Query(ge=1, le=10)] = 2,
) -> Found:
    """Return the passages for a question; none when no word of it occurs. Takes well under a millisecond."""
    return Found(passages=best_passages(request.app.state.index, q, limit))


def build_index(articles: Iterable[Path]) -> sqlite3.Connection:
    """Read the articles into an index in memory."""
    index = sqlite3.connect(":memory:", check_same_thread=False)
    index.execute(
        "CREATE VIRTUAL TABLE passages USING fts5(title, text, article UNINDEXED, position UNINDEXED, "
        "tokenize = 'porter unicode61 remove_diacritics 2')"
    )
    index.executemany("INSERT INTO passages VALUES (?, ?, ?, ?)", all_passages(articles))
    index.commit()
    return index


def all_passages(articles: Iterable[Path]) -> Iterator[tuple[str, str, str, int]]:
    """Yield title, text, article and position of every run of sentences; each sentence begins one."""
    for path in sorted(articles):
        heading, _, text = path.read_text(encoding="utf-8").partition("\n\n")
        sentences = re.split(r"(?<=[.!?])\s+", " ".join(text.split()))
        for position in range(max(1, len(sentences) - PASSAGE_SENTENCES + 1)):
            run = " ".join(sentences[position : position + PASSAGE_SENTENCES])
            yield heading.removeprefix("# "), run, path.stem, position


def best_passages(index: sqlite3.Connection, question: str, limit: int) -> list[Passage]:
    """Rank the passages by BM25, leaving out those that share sentences with a better one."""
    match = match_expression(question)
    if match is None:
        return []
    rows = index.execute(
        "SELECT title, text, article, position, -bm25(passages, ?, ?) AS score FROM passages "
        "WHERE passages MATCH ? ORDER BY score DESC, article, position LIMIT ?",
        (TITLE_WEIGHT, TEXT_WEIGHT, match, limit * 2 * PASSAGE_SENTENCES),
    )
    taken: set[tuple[str, int]] = set()
    passages: list[Passage] = []
    for title, text, article, position, score in rows:
        places = {(article, position + offset) for offset in range(PASSAGE_SENTENCES)}
        if taken.isdisjoint(places) and len(passages) < limit:
            taken |= places
            passages.append(Passage(article=article, title=title, text=text, score=round(score, 3)))
    return passages


def match_expression(question: str) -> str | None:
    r"""Turn a question into an FTS5 expression that finds any of its words; None when it has no word that counts.

    FTS5's language has operators (`NEAR`, `*`, `^`, `:`, quotes, brackets), and its errors are easy to cause. Only runs
    of letters and digits get through, each as a quoted string, in which nothing has a meaning.
    """
    words = (word for word in re.findall(r"[^\W_]+", question.lower()) if word not in STOP_WORDS)
    terms = list(dict.fromkeys(words))[:MAX_TERMS]
    return " OR ".join(f'"{term}"' for term in terms) or None
