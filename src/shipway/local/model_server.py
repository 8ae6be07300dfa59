"""One local model behind an OpenAI-compatible HTTP server: `python -m shipway.local.model_server --model FILE …`.

llama.cpp, as `xllamacpp` packs it. It listens on loopback only and trusts whoever reaches it: keys and limits are the
gateway's work.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from shipway.errors import MissingExtraError
from shipway.local.addresses import LOOPBACK

_ERRORS_AND_WARNINGS = 2
_INFORMATION = 3
_PROMPT_CACHE_MIB = 256
"""llama.cpp would grow to 8 GiB of prompts that it remembers."""


def parameters(arguments: argparse.Namespace) -> Any:
    """llama.cpp's settings for what the command line asks.

    Raises:
        MissingExtraError: xllamacpp is not installed.
    """
    try:
        import xllamacpp
    except ImportError as error:
        raise MissingExtraError("a local model", "local") from error
    given = xllamacpp.CommonParams()
    given.model.path = str(arguments.model)
    given.model_alias = {arguments.name}  # without it answers carry the path
    given.hostnames = [LOOPBACK]
    given.port = arguments.port
    # The context is shared by all slots; what one can hold is promised for each.
    given.n_ctx = arguments.context * arguments.slots
    given.n_parallel = arguments.slots
    # Apart, the slots would give texts that are embedded at the same time the means of each other's tokens.
    given.kv_unified = True
    given.kv_unified_per_slot = arguments.context
    given.cpuparams.n_threads = arguments.threads
    given.cpuparams_batch.n_threads = arguments.threads
    # With this the server embeds and still generates; measured, generation is not slower for it.
    given.embedding = True
    given.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    given.cache_ram_mib = _PROMPT_CACHE_MIB
    given.ui = False
    given.cors_origins = ""  # no web page is to ask it past the gateway
    given.verbosity = _INFORMATION if arguments.verbose else _ERRORS_AND_WARNINGS
    return given


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m shipway.local.model_server")
    parser.add_argument("--model", type=Path, required=True, help="GGUF file")
    parser.add_argument("--name", required=True, help="what answers call the model")
    parser.add_argument("--port", type=int, required=True, help="loopback port to listen on")
    parser.add_argument("--context", type=int, required=True, help="tokens for each slot")
    parser.add_argument("--slots", type=int, required=True, help="answers generated at the same time")
    parser.add_argument("--threads", type=int, required=True, help="threads to compute with")
    parser.add_argument("--verbose", action="store_true", help="show llama.cpp's log")
    arguments = parser.parse_args()
    # The system's own way to end, also while llama.cpp loads or generates: its orderly end would wait for running
    # answers, for minutes if they are long. Whoever sends SIGTERM has already waited for those that matter.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    try:
        settings = parameters(arguments)
    except MissingExtraError as error:
        sys.stderr.write(f"{error}: {error.hint}\n")
        return 1
    import xllamacpp

    try:
        server = xllamacpp.Server(settings)  # loads the model; must stay referenced
    except RuntimeError:  # llama.cpp has written why; the exception does not know
        sys.stderr.write(f"llama.cpp cannot serve {arguments.model}\n")
        return 1
    while server.listening_address:
        signal.pause()
    return 1


if __name__ == "__main__":
    sys.exit(main())
