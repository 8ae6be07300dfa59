"""The retriever finds what fits, and nothing that people type breaks its query."""

import re
import sqlite3
from collections.abc import Iterator

import httpx
import pytest
from everyday.retriever import ARTICLES, PASSAGE_SENTENCES, app, best_passages, build_index, match_expression
from hypothesis import given
from hypothesis import strategies as st

from shipway.testing.asgi_server import serving


@pytest.fixture(scope="module")
def index() -> Iterator[sqlite3.Connection]:
    built = build_index(ARTICLES.glob("*.md"))
    yield built
    built.close()


@pytest.mark.parametrize(
    ("question", "article"),
    [
        ("Why is the back of a refrigerator warm?", "refrigerator"),
        ("who invented the qr code", "qr-code"),
        ("How deep do microwaves reach?", "microwave-oven"),
        ("¿Why does a BALLPOINT pen stop writing on a wall???", "ballpoint-pen"),
        ("swinging quartz", "quartz-clock"),  # other forms of the article's words
    ],
)
def test_best_passage_is_from_the_article_about_it(index: sqlite3.Connection, question: str, article: str) -> None:
    assert best_passages(index, question, 2)[0].article == article


def test_passages_come_best_first_and_share_no_sentence(index: sqlite3.Connection) -> None:
    passages = best_passages(index, "water heat pressure", 10)
    assert [passage.score for passage in passages] == sorted((passage.score for passage in passages), reverse=True)
    sentences = [sentence for passage in passages for sentence in re.split(r"(?<=[.!?]) ", passage.text)]
    assert len(sentences) == len(set(sentences)) == PASSAGE_SENTENCES * len(passages)


@pytest.mark.parametrize("question", ["", "   ", "?!", "why is it not", "_", "\x00", '"', "xyzzy"])
def test_question_without_a_known_word_finds_nothing(index: sqlite3.Connection, question: str) -> None:
    assert best_passages(index, question, 2) == []


@pytest.mark.parametrize(
    "question",
    [
        '"zipper',
        "zipper AND (",
        "NEAR(zipper",
        "title:zipper*",
        "-zipper ^",
        "zipper'; DROP TABLE passages; --",
        "{zipper} + ",
    ],
)
def test_query_syntax_in_a_question_is_only_words(index: sqlite3.Connection, question: str) -> None:
    assert best_passages(index, question, 1)[0].article == "zipper"


@given(st.text(max_size=200))
def test_no_text_breaks_the_query(question: str) -> None:
    index = _EMPTY
    best_passages(index, question, 2)
    assert (match_expression(question) or '"').count('"') % 2 == (match_expression(question) is None)


def test_very_long_question_is_cut_to_so_many_terms(index: sqlite3.Connection) -> None:
    question = " ".join(f"word{number}" for number in range(1000))
    expression = match_expression(question)
    assert expression is not None
    assert expression.count(" OR ") == 31


_EMPTY = build_index([])


async def test_search_over_http_answers_refuses_and_counts() -> None:
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as client:
        found = await client.get("/search", params={"q": "zipper", "limit": 1}, headers={"x-request-id": "id-1"})
        assert found.headers["x-request-id"] == "id-1"
        assert [passage["article"] for passage in found.json()["passages"]] == ["zipper"]
        assert (await client.get("/search", params={"q": "x" * 1001})).status_code == 422
        assert (await client.get("/search", params={"q": "x", "limit": 11})).status_code == 422
        health = (await client.get("/health")).json()
        assert health["status"] == "ok"
        assert health["passages"] > 24


def test_every_article_is_short_and_has_a_title() -> None:
    articles = {path.stem: path.read_text(encoding="utf-8") for path in ARTICLES.glob("*.md")}
    assert len(articles) == 24  # the page says so
    assert [name for name, text in articles.items() if not re.match(r"# \S.*\n\n\S", text)] == []
    assert [name for name, text in articles.items() if not 60 <= len(text.split()) <= 130] == []
