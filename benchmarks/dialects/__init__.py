"""The cost of translation: the same exchange through Shipway's dialects and through LiteLLM's transformations.

A caller of chat completions is answered by Anthropic, Gemini or Bedrock. Measured is what a gateway does between the sockets:
from the bytes of the caller's request to those of the provider's, and from the bytes of the answer back.
"""
