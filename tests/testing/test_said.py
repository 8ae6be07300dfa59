"""What a reply comes to is worked out the same for every fake."""

from dataclasses import asdict

from hypothesis import given
from hypothesis import strategies as st

from shipway.testing.bedrock_frames import signature_fault
from shipway.testing.said import DEFAULT_JSON, all_text, argument_parts, pieces, said, told_apart, with_ids
from shipway.testing.script import Reply, ToolCall, Usage

CLASSES = tuple(asdict(Usage()))


@given(st.text(max_size=60))
def test_pieces_and_parts_are_the_text_again(text: str) -> None:
    assert "".join(pieces(text)) == text
    assert "".join(argument_parts(text)) == text


@given(st.dictionaries(st.sampled_from(CLASSES), st.integers(0, 9)), st.sets(st.sampled_from(CLASSES)))
def test_classes_that_a_dialect_does_not_tell_apart_are_counted_all_the_same(
    counts: dict[str, int], names: set[str]
) -> None:
    usage = Usage(**counts)
    told = told_apart(said(Reply(usage=usage), ""), *names).usage
    assert (told.all_input, told.all_output, told.total) == (usage.all_input, usage.all_output, usage.total)
    assert {name for name, count in asdict(told).items() if count} <= names | {"input", "output"}


def test_words_are_counted_where_nothing_is_said_of_usage() -> None:
    heard = said(Reply(text="One two.", reasoning="Let me see."), "a b c")
    assert heard.usage == Usage(input=3, output=2, reasoning=3)


def test_first_stop_sequence_ends_the_text_and_a_limit_before_it_wins() -> None:
    reply = Reply(text="One two three four.")
    stopped = said(reply, "", stops=["four", "three"])
    assert (stopped.text, stopped.finish, stopped.stop) == ("One two ", "stop_sequence", "three")
    limited = said(reply, "", stops=["four"], limit=1)
    assert (limited.text, limited.finish, limited.stop) == ("One", "length", None)


def test_json_takes_the_place_of_the_usual_text_but_not_of_a_scripted_one() -> None:
    assert said(Reply(), "", json_mode=True).text == DEFAULT_JSON
    assert said(Reply(text="No."), "", json_mode=True).text == "No."


def test_calls_get_ids_unless_they_have_one_and_silence_the_usual_text() -> None:
    heard = with_ids(said(Reply(tool_calls=[ToolCall("f", "{}"), ToolCall("g", "{}", "mine")]), ""), "call_")
    assert [call.id for call in heard.tool_calls] == ["call_1", "mine"]
    assert (heard.text, heard.finish) == ("", "tool_calls")


def test_text_is_found_however_it_is_nested() -> None:
    content = [{"text": "a"}, {"type": "tool_result", "content": [{"text": "b"}]}, {"image": {"data": "x"}}, "c"]
    assert all_text(content) == "a b c"
    assert all_text({"parts": [{"text": "a"}, {"toolResult": {"content": [{"text": "b"}]}}]}) == "a b"


def test_signature_is_missed_where_there_is_none_or_it_signs_too_little() -> None:
    keys = {"AKID": "secret"}
    assert signature_fault("POST", "/", {}, b"", keys, "bedrock") == "MissingAuthenticationTokenException"
    credential = (
        "AWS4-HMAC-SHA256 Credential=AKID/20300101/x/bedrock/aws4_request, SignedHeaders={}, Signature=" + "0" * 64
    )
    for names, headers in (
        ("host", {}),
        ("host;x-amz-date", {"x-amz-security-token": "t"}),
        ("host;x-amz-date", {"x-amz-date": "20300102T000000Z"}),
        ("host;x-amz-date", {}),
    ):
        sent = {"host": "h", "x-amz-date": "20300101T000000Z", **headers, "authorization": credential.format(names)}
        assert signature_fault("POST", "/", sent, b"", keys, "bedrock") == "InvalidSignatureException"
    sent = {"authorization": credential.format("host").replace("AKID", "OTHER")}
    assert signature_fault("POST", "/", sent, b"", keys, "bedrock") == "UnrecognizedClientException"
