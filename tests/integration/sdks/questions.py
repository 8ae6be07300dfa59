"""What is asked of every fake."""

import base64
import json

from shipway.testing.openai_media import png

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}
ARGUMENTS = '{"city": "Köln \\"am\\" Rhein", "days": 3}'
PIXEL = base64.b64encode(png(b"\x10\x20\x30")).decode()
REWRITTEN_ARGUMENTS = json.dumps(json.loads(ARGUMENTS))
"""The same where a provider sends an object, not the model's text."""
