"""Whatever a conversation or an answer says is still said after it went through another dialect and back."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipway.gateway.dialects.conversation import Conversation
from shipway.gateway.dialects.events import Answer, Envelope, fold, unfold
from shipway.gateway.dialects.losses import Losses
from shipway.gateway.dialects.registry import DIALECTS, open_dialect
from shipway.gateway.dialects.translated_stream import TranslatedStream
from tests.gateway.dialects.strategies import EXPRESSES, FAMILIES, answers, bare, conversations

ENVELOPE = Envelope("id", "model", 1)
PAIRS = list(permutations(DIALECTS, 2))
CLAUDE = "us.anthropic.claude"
"""Bedrock takes `top_k` and budgets for thoughts for these models."""


def through(conversation: Conversation, name: str) -> Conversation:
    dialect, losses = open_dialect(name), Losses()
    read = dialect.read_request(dialect.write_request(conversation, CLAUDE, losses), losses)
    assert losses.dropped == []
    return read


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=60)
@given(st.data())
def test_a_request_is_read_as_it_was_written(name: str, data: st.DataObject) -> None:
    conversation = data.draw(conversations(EXPRESSES[name]))
    assert bare(through(conversation, name)) == bare(conversation)


@pytest.mark.parametrize(("caller", "upstream"), PAIRS)
@settings(max_examples=20)
@given(st.data())
def test_a_request_survives_another_dialect(caller: str, upstream: str, data: st.DataObject) -> None:
    conversation = data.draw(conversations(EXPRESSES[caller] & EXPRESSES[upstream]))
    assert bare(through(through(through(conversation, caller), upstream), caller)) == bare(conversation)


@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
@settings(max_examples=20)
@given(st.data())
def test_an_answer_survives_its_translation(caller: str, upstream: str, data: st.DataObject) -> None:
    answer = data.draw(answers(FAMILIES[upstream]))
    theirs, ours = open_dialect(upstream), open_dialect(caller)
    got = theirs.read_answer(theirs.write_answer(answer, ENVELOPE))
    assert meaning(got, upstream) == meaning(answer, upstream)
    told = ours.read_answer(ours.write_answer(got, ENVELOPE))
    assert meaning(told, upstream, caller) == meaning(answer, upstream, caller)


@pytest.mark.parametrize("caller", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
@settings(max_examples=20)
@given(st.data())
def test_a_stream_survives_its_translation_wherever_it_is_cut(caller: str, upstream: str, data: st.DataObject) -> None:
    answer = data.draw(answers(FAMILIES[upstream]))
    theirs, ours = open_dialect(upstream), open_dialect(caller)
    writer = theirs.stream_writer(ENVELOPE)
    sent = b"".join([writer.write(event) for event in unfold(answer)])
    size = data.draw(st.integers(1, 200))
    stream = TranslatedStream(theirs, ours, ENVELOPE)
    received = b"".join([stream.pass_on(sent[at : at + size]) for at in range(0, len(sent), size)])
    rest = stream.finish()
    assert (rest is None, stream.failed) == (False, "")
    assert stream.usage is not None
    assert stream.usage.total_tokens == answer.usage.total_tokens
    framing, parser = ours.framing(), ours.stream_parser()
    events = [event for message in framing.feed(received + (rest or b"")) for event in parser.read(*message)]
    told = fold([*events, *parser.end()])
    assert meaning(told, upstream, caller) == meaning(answer, upstream, caller)


def meaning(answer: Answer, *dialects: str) -> object:
    """What of an answer all these dialects tell."""
    told = bare(answer)
    assert isinstance(told, dict)
    usage = told["usage"]
    if "openai_responses" in dialects:  # its usage says 0 for what is unknown
        usage["cached_write"] = usage["cached_write"] or 0
    if "bedrock" in dialects:  # thoughts are not told apart in its usage
        usage["output"] = (usage["output"] or 0) + (usage.pop("reasoning", None) or 0)
    return told
