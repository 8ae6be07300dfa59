"""What is asked of every fake."""

import base64
import json

from shipway.testing.openai_media import png
from shipway.testing.script import Citation

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
ARGUMENTS = '{"city": "Köln \\"am\\" Rhein", "days": 3}'
CITATIONS = [Citation("https://example.org/a", "A page", "three words"), Citation("https://example.org/b", "B", "more")]
PIXEL = base64.b64encode(png(b"\x10\x20\x30")).decode()
REWRITTEN_ARGUMENTS = json.dumps(json.loads(ARGUMENTS))
"""The same where a provider sends an object, not the model's text."""
