"""Gemini generateContent: requests as they are sent.

The model and whether a stream is wanted are in the address, not in the body.

Source: https://ai.google.dev/api/generate-content and the types of google-genai.
"""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

FAMILY = "gemini"


class Wire(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A part of a request as it is sent; fields that are not declared cannot be translated."""


class Blob(Wire):
    mimeType: str
    data: str


class FileData(Wire):
    fileUri: str
    mimeType: str | None = None


class FunctionCall(Wire):
    name: str
    args: Raw | UnsetType = UNSET
    id: str | None = None


class ResponsePart(Wire):
    inlineData: Blob


class FunctionResponse(Wire):
    name: str
    response: Raw
    id: str | None = None
    parts: list[ResponsePart] | None = None


class Part(Wire):
    """Exactly one of the first five is there."""

    text: str | None = None
    inlineData: Blob | None = None
    fileData: FileData | None = None
    functionCall: FunctionCall | None = None
    functionResponse: FunctionResponse | None = None
    thought: bool | None = None
    thoughtSignature: str | None = None


class Content(Wire):
    parts: list[Part]
    role: Literal["user", "model", "function"] | None = None


class Declaration(Wire):
    name: str
    description: str | None = None
    parametersJsonSchema: Raw | UnsetType = UNSET
    parameters: Raw | UnsetType = UNSET


class Tools(Wire):
    functionDeclarations: list[Declaration]


class Calling(Wire):
    mode: Literal["AUTO", "ANY", "NONE"]
    allowedFunctionNames: list[str] | None = None


class ToolConfig(Wire):
    functionCallingConfig: Calling | None = None


class ThinkingConfig(Wire):
    includeThoughts: bool | None = None
    thinkingBudget: int | None = None
    thinkingLevel: str | None = None


class Generation(Wire):
    maxOutputTokens: int | None = None
    temperature: int | float | None = None
    topP: int | float | None = None
    topK: int | float | None = None
    stopSequences: list[str] | None = None
    seed: int | None = None
    presencePenalty: int | float | None = None
    frequencyPenalty: int | float | None = None
    responseMimeType: Literal["application/json", "text/plain"] | None = None
    responseJsonSchema: Raw | UnsetType = UNSET
    thinkingConfig: ThinkingConfig | None = None


class Request(Wire):
    contents: list[Content]
    systemInstruction: Content | None = None
    tools: list[Tools] | None = None
    toolConfig: ToolConfig | None = None
    generationConfig: Generation | None = None


class Output(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """How Gemini's documentation asks for results that are no objects: under `output`, or `error` where the tool failed."""

    output: str | list[str] | None = None
    error: str | list[str] | None = None
