"""Bedrock's Converse and ConverseStream."""

from shipway.gateway.dialects.bedrock.answer import read_answer, read_error, write_answer, write_error
from shipway.gateway.dialects.bedrock.framing import EventStreamFraming
from shipway.gateway.dialects.bedrock.request_reader import read_request
from shipway.gateway.dialects.bedrock.request_writer import write_request
from shipway.gateway.dialects.bedrock.stream import Parser, Writer, stream_error
from shipway.gateway.dialects.dialect import Dialect

DIALECT = Dialect(
    "bedrock",
    read_request,
    write_request,
    read_answer,
    write_answer,
    Parser,
    Writer,
    read_error,
    write_error,
    stream_error,
    framing=EventStreamFraming,
)
