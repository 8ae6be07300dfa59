"""Gemini's generateContent and streamGenerateContent."""

from shipway.gateway.dialects.dialect import Dialect
from shipway.gateway.dialects.gemini.answer import read_answer, write_answer
from shipway.gateway.dialects.gemini.errors import read_error, read_wait, stream_error, write_error
from shipway.gateway.dialects.gemini.request_reader import read_request
from shipway.gateway.dialects.gemini.request_writer import write_request
from shipway.gateway.dialects.gemini.stream import Parser, Writer

DIALECT = Dialect(
    "gemini",
    read_request,
    write_request,
    read_answer,
    write_answer,
    Parser,
    Writer,
    read_error,
    write_error,
    stream_error,
    read_wait=read_wait,
)
