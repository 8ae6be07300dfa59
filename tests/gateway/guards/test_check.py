"""What a guard may say, and the form of what it is shown."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from shipway.gateway.dialects.dialect import Dialect
from shipway.gateway.dialects.registry import open_dialect
from shipway.gateway.guards import ALLOW, Check, Piece, Verdict, refuse
from shipway.gateway.guards.check import GuardFault, read_verdict
from shipway.gateway.guards.stream_texts import StreamTexts
from shipway.gateway.guards.texts import answer_pieces, conversation_pieces
from shipway.monitoring.metrics import GUARD_OUTCOME

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "guards.md"


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        (ALLOW, ALLOW),
        (Verdict("allow"), ALLOW),
        ({"verdict": "allow", "reason": "x"}, ALLOW),
        (refuse("a", "No."), Verdict("refuse", "a", "No.")),
        ({"verdict": "refuse"}, Verdict("refuse", "other", "")),
        ({"verdict": "refuse", "reason": "b"}, Verdict("refuse", "other", "")),
    ],
)
def test_a_verdict_has_a_reason_that_is_declared(said: object, verdict: Verdict) -> None:
    assert read_verdict(said, {"a"}) == verdict


@pytest.mark.parametrize(
    "said", [None, True, "allow", [], {}, {"verdict": True}, {"verdict": "refuse", "reason": 1}, Verdict]
)
def test_anything_else_is_no_verdict(said: object) -> None:
    with pytest.raises(GuardFault) as fault:
        read_verdict(said, {"a"})
    assert fault.value.kind == "nonsense"


def test_the_guide_shows_checks_and_verdicts_as_they_are() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    check, *verdicts = re.findall(r"^```json\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    decoded = msgspec.json.decode(check, type=Check)
    assert msgspec.json.decode(msgspec.json.encode(decoded)) == msgspec.json.decode(check)
    assert [read_verdict(msgspec.json.decode(one), {"injection"}).verdict for one in verdicts] == ["allow", "refuse"]
    assert [outcome for outcome in GUARD_OUTCOME.values or () if f"`{outcome}`" not in text] == []


@pytest.fixture(params=["openai_chat", "openai_responses", "anthropic"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return open_dialect(request.param)


QUESTION = {
    "openai_chat": '{"model":"m","messages":[{"role":"system","content":"S"},{"role":"user","content":"U"}]}',
    "openai_responses": '{"model":"m","instructions":"S","input":"U"}',
    "anthropic": '{"model":"m","max_tokens":1,"system":"S","messages":[{"role":"user","content":"U"}]}',
}
SAID = '{"type":"message","role":"assistant","content":[{"type":"output_text","text":"A","annotations":[]}]}'
ANSWER = {
    "openai_chat": '{"choices":[{"message":{"role":"assistant","content":"A"},"finish_reason":"stop"}]}',
    "openai_responses": f'{{"status":"completed","output":[{SAID}]}}',
    "anthropic": '{"content":[{"type":"text","text":"A"}],"stop_reason":"end_turn","usage":{}}',
}


def test_a_question_and_an_answer_look_the_same_from_each_dialect(dialect: Dialect) -> None:
    pieces = conversation_pieces(dialect, QUESTION[dialect.name].encode())
    assert pieces == (Piece("system", "text", "S"), Piece("user", "text", "U"))
    assert answer_pieces(dialect, ANSWER[dialect.name].encode()) == (Piece("assistant", "text", "A"),)


def test_a_stream_with_ever_more_unknown_fields_cannot_be_read() -> None:
    texts = StreamTexts(open_dialect("openai_chat"))
    stream = b"".join([b'data: {"choices":[{"delta":{"f%d":"x"}}]}\n\n' % at for at in range(100)])
    with pytest.raises(ValueError, match="too many fields"):
        texts.read(stream)
