"""The admin API's OpenAPI document. Written beside the handlers by hand; a test holds the two together."""

from __future__ import annotations

from typing import Any

from shipway import __version__

Schema = dict[str, Any]

_STATUS: Schema = {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}}
_PROBLEM: Schema = {
    "type": "object",
    "required": ["path", "message", "hint", "line", "column"],
    "properties": {
        "path": {"type": "string"},
        "message": {"type": "string"},
        "hint": {"type": ["string", "null"]},
        "line": {"type": ["integer", "null"]},
        "column": {"type": ["integer", "null"]},
    },
    "additionalProperties": False,
}
_UPSTREAM: Schema = {
    "type": "object",
    "required": ["address", "breaker", "in_flight", "healthy"],
    "properties": {
        "address": {"type": "string"},
        "breaker": {"enum": ["closed", "half-open", "open"]},
        "in_flight": {"type": "integer", "minimum": 0},
        "healthy": {"type": "boolean"},
    },
    "additionalProperties": False,
}
_ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string"},
        "message": {"type": "string"},
        "hint": {"type": ["string", "null"]},
        "problems": {"type": "array", "items": _PROBLEM},
    },
}
_SHARES: Schema = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}}
_ABOUT = {"request_id": "req-1", "release": "v4"}
_LABEL: Schema = {
    "type": "object",
    "required": ["request_id", "release"],
    "properties": {
        "request_id": {
            "type": "string",
            "pattern": "^[A-Za-z0-9._:+/=-]{1,128}$",
            "description": "The answer's `x-request-id`.",
        },
        "release": {
            "type": "string",
            "minLength": 1,
            "maxLength": 63,
            "description": "The answer's `x-shipway-release`.",
        },
        "label": {"enum": ["good", "bad"]},
        "score": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "Good from the score on that the objective `quality` names.",
        },
    },
    "oneOf": [{"required": ["label"]}, {"required": ["score"]}],
    "additionalProperties": False,
}
_VERSION: Schema = {"type": "integer", "minimum": 1}


def openapi() -> Schema:
    """The document, OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Shipway gateway admin API", "version": __version__},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            "/healthz": _get("The process runs.", _STATUS),
            "/readyz": _get("New requests are welcome.", _STATUS, also={"503": _response("Draining.", _STATUS)}),
            "/metrics": {
                "get": {
                    "summary": "Metrics in the Prometheus text format or OpenMetrics.",
                    "responses": {
                        "200": {
                            "description": "The metrics.",
                            "content": {"text/plain": {}, "application/openmetrics-text": {}},
                        }
                    },
                }
            },
            "/openapi.json": _get("This document.", {"type": "object"}),
            "/v1/snapshot": _get(
                "The configuration in use.",
                _object(
                    version=_VERSION,
                    app={"type": "string"},
                    environment={"type": "string"},
                    services={"type": "array", "items": {"type": "string"}},
                    models={"type": "array", "items": {"type": "string"}},
                ),
                closed=True,
            ),
            "/v1/reload": {
                "post": _closed(
                    "Read the app file again. A broken one is refused and changes nothing.",
                    {
                        "200": _response(
                            "The new configuration is in use, but for settings that only a restart can change.",
                            _object(version=_VERSION, needs_restart={"type": "array", "items": {"type": "string"}}),
                        ),
                        "422": _response("It cannot be used; what is wrong with it.", _ERROR),
                    },
                )
            },
            "/v1/upstreams": _get(
                "Addresses that requests are forwarded to.",
                _object(upstreams={"type": "array", "items": _UPSTREAM}),
                closed=True,
            ),
            "/v1/weights": _get(
                "The share of sessions that each release has.",
                _object(weights={"type": "object", "additionalProperties": _SHARES}),
                closed=True,
            ),
            "/v1/weights/{target}": {
                "parameters": [
                    {
                        "name": "target",
                        "in": "path",
                        "required": True,
                        "description": "`services.NAME` or `models.NAME`.",
                        "schema": {"type": "string"},
                    }
                ],
                "put": {
                    **_closed(
                        "Give a target's releases new weights, at once and across restarts.",
                        {
                            "200": _response("The shares from now on.", _object(weights=_SHARES)),
                            "400": _response("The body is not an object of numbers.", _ERROR),
                            "404": _response("No such target, or it has no releases.", _ERROR),
                            "413": {"description": "The body is too large.", "content": {"text/plain": {}}},
                            "422": _response("Unknown release, or weights that cannot be.", _ERROR),
                            "507": _response("The weights could not be saved; nothing has changed.", _ERROR),
                        },
                    ),
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "object",
                                    "description": "By release; at least one weight is above 0.",
                                    "minProperties": 1,
                                    "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1e300},
                                },
                                "example": {"v1": 9, "v2": 1},
                            }
                        },
                    },
                },
            },
            "/v1/labels": {
                "post": {
                    **_closed(
                        "Say whether an answer was good. Only the first label of a request counts.",
                        {
                            "200": _response(
                                "Whether it was counted: no if the request has a label.",
                                _object(counted={"type": "boolean"}),
                            ),
                            "400": _response("The body is not a label.", _ERROR),
                            "404": _response("No service or model has that release now.", _ERROR),
                            "409": _response(
                                "A score, and the app file has no objective that says what is good.", _ERROR
                            ),
                            "413": {"description": "The body is too large.", "content": {"text/plain": {}}},
                        },
                    ),
                    "requestBody": {
                        "required": True,
                        "content": {
                            "application/json": {"schema": _LABEL, "example": {**_ABOUT, "label": "good"}},
                        },
                    },
                }
            },
        },
    }


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def _response(description: str, schema: Schema) -> Schema:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _get(summary: str, schema: Schema, *, closed: bool = False, also: Schema | None = None) -> Schema:
    responses = {"200": _response(summary, schema), **(also or {})}
    return {"get": _closed(summary, responses) if closed else {"summary": summary, "responses": responses}}


def _closed(summary: str, responses: Schema) -> Schema:
    refused = {
        "401": _response("The admin token is missing or wrong.", _ERROR),
        "403": _response("The gateway was started without an admin token.", _ERROR),
    }
    return {"summary": summary, "security": [{"token": []}], "responses": {**responses, **refused}}
