"""OpenAI's chat completions, and those of compatible providers and Azure."""

from shipway.gateway.dialects.dialect import Dialect
from shipway.gateway.dialects.openai import as_openai_error, refused_by_model, stream_error
from shipway.gateway.dialects.openai_chat.answer import read_answer, write_answer
from shipway.gateway.dialects.openai_chat.request_reader import read_request
from shipway.gateway.dialects.openai_chat.request_writer import write_request
from shipway.gateway.dialects.openai_chat.stream import Parser, Writer

DIALECT = Dialect(
    "openai_chat",
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
