"""Uploads to models: the file passes as it was sent, the model's name is the upstream's, and nobody can hide another."""

from __future__ import annotations

import pytest

from shipway.gateway.dialects.forms import FormRequest
from shipway.gateway.refusals import Refused
from shipway.testing.openai_server import FakeOpenAI, Reply
from tests.gateway.conftest import StartGateway, model_app
from tests.gateway.test_models import sdk

TYPE = b"multipart/form-data; boundary=b0"
SOUND = bytes(range(256)) * 2 + b"\r\n--b1\r\n"


def form(*parts: bytes, end: bytes = b"--b0--\r\n") -> bytes:
    return b"".join(b"--b0\r\n%b\r\n" % part for part in parts) + end


def part(name: bytes, value: bytes, more: bytes = b"") -> bytes:
    return b'Content-Disposition: form-data; name="%b"%b\r\n\r\n%b' % (name, more, value)


FILE = part(b"file", SOUND, b'; filename="a.wav"\r\nContent-Type: audio/wav')


async def test_sdk_uploads_audio_under_the_upstreams_name(start_gateway: StartGateway, fake: FakeOpenAI) -> None:
    fake.script(Reply(text="Heard you."))
    gateway = await start_gateway(model_app(fake))
    async with sdk(gateway) as client:
        heard = await client.audio.transcriptions.create(model="chat", file=("a.wav", SOUND))
    assert heard.text == "Heard you."
    (received,) = fake.requests
    assert (received.form["model"], received.form["file"]) == (b"m0", SOUND)


def test_only_the_model_is_replaced() -> None:
    body = form(FILE, part(b"model", b"chat"), part(b"prompt", b"x"))
    request = FormRequest(body, TYPE)
    assert (request.model, request.stream) == ("chat", False)
    assert request.body_for(b'"other"') == form(FILE, part(b"model", b"other"), part(b"prompt", b"x"))  # type: ignore[arg-type]


@pytest.mark.parametrize(("value", "stream"), [(b"true", True), (b"True", True), (b"false", False), (b"", False)])
def test_whether_a_stream_is_wanted_is_read(value: bytes, stream: bool) -> None:
    assert FormRequest(form(part(b"stream", value), part(b"model", b"m")), TYPE).stream is stream


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (form(FILE), TYPE),
        (form(part(b"model", b"a"), part(b"model", b"b")), TYPE),
        (form(part(b"model", b"a"), part(b"stream", b"1")), TYPE),
        (form(part(b"model", b"a"), part(b"stream", b"true"), part(b"stream", b"false")), TYPE),
        (form(part(b"model", b"a", b'; name="x"')), TYPE),
        (form(part(b"x", b"a", b"; name*=utf-8''model"), part(b"model", b"b")), TYPE),
        (form(part(b"model", b"a\r\n--b0x")), TYPE),
        (form(part(b"model", b"a"), end=b""), TYPE),
        (form(part(b"model", b"\xff")), TYPE),
        (form(b"X: y\r\n\r\na"), TYPE),
        (form(b'Content-Disposition: form-data;\r\n name="model"\r\n\r\na'), TYPE),
        (form(part(b"model", b"a"), part(b"prompt", b"aGk=", b"\r\nContent-Transfer-Encoding: base64")), TYPE),
        (form(part(b"model", b"a"), part(b"x", b"y", b'\nContent-Disposition: form-data; name="model"')), TYPE),
        (form(part(b"model", b"a"), part(b"x", b"y", b'\r\nX: y\rContent-Disposition: form-data; name="z"')), TYPE),
        (b"", TYPE),
        (form(part(b"model", b"a")), b"multipart/form-data"),
        (form(part(b"model", b"a")), b"multipart/form-data; boundary=b0; boundary=b1"),
        (form(part(b"model", b"a")), None),
    ],
)
def test_form_that_readers_could_differ_on_is_refused(body: bytes, content_type: bytes | None) -> None:
    with pytest.raises(Refused):
        FormRequest(body, content_type)


def test_what_a_part_says_is_hidden_by_nothing_in_its_head() -> None:
    body = form(
        part(b"model", b"chat"),
        part(b"prompt", b"one", b"\r\nX-Any: filename=a\r\nContent-Transfer-Encoding: 8bit"),
        part(b"filename", b"two"),
        part(b"prompt", b"three", b'; filename="a.txt"'),
        part(b"prompt", b"four\xff"),
        FILE,
    )
    texts = ["chat", "one", "two", "three", "four\ufffd", None]
    assert [text for _, text in FormRequest(body, TYPE).texts()] == texts
