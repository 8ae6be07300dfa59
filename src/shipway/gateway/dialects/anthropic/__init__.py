"""Anthropic's messages."""

from shipway.gateway.dialects.anthropic.answer import (
    read_answer,
    read_error,
    status,
    stream_error,
    write_answer,
    write_error,
)
from shipway.gateway.dialects.anthropic.request_reader import read_request
from shipway.gateway.dialects.anthropic.request_writer import write_request
from shipway.gateway.dialects.anthropic.stream import Parser, Writer
from shipway.gateway.dialects.dialect import Dialect

DIALECT = Dialect(
    "anthropic",
    read_request,
    write_request,
    read_answer,
    write_answer,
    Parser,
    Writer,
    read_error,
    write_error,
    stream_error,
    status,
)
