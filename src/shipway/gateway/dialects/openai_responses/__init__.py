"""OpenAI's responses."""

from shipway.gateway.dialects.dialect import Dialect
from shipway.gateway.dialects.openai import as_openai_error, refused_by_model
from shipway.gateway.dialects.openai_responses.answer import read_answer, write_answer
from shipway.gateway.dialects.openai_responses.request_reader import read_request
from shipway.gateway.dialects.openai_responses.request_writer import write_request
from shipway.gateway.dialects.openai_responses.stream import Parser, Writer, stream_error

DIALECT = Dialect(
    "openai_responses",
    read_request,
    write_request,
    read_answer,
    write_answer,
    Parser,
    Writer,
    refused_by_model,
    as_openai_error,
    stream_error,
)
