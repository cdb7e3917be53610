"""What OpenAPI says of the routes: bodies that are read by hand (bodies.py), answers and errors."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from speciale.safety.analyze import AnalyzeRequest
from speciale.serve.errors import ErrorBody

_WORDS = {
    400: "Malformed, filtered, or longer than the context",
    401: "No key, or none that is known",
    402: "The balance does not pay for it",
    403: "A server without keys, asked by another site",
    404: "No such model",
    408: "The body took too long",
    413: "The body is too large",
    422: "A parameter that cannot be",
    429: "Past the key's rate; see Retry-After",
    500: "A fault of the server",
    503: "Overloaded, or nobody there to answer",
}


class Choice(BaseModel):
    model_config = ConfigDict(extra="allow")
    index: int
    finish_reason: str | None


class Completion(BaseModel):
    """OpenAI's `chat.completion` or `text_completion`, with DeepSeek's and Azure's fields."""

    model_config = ConfigDict(extra="allow")
    id: str
    object: str
    created: int
    model: str
    choices: list[Choice]
    usage: dict[str, Any]


class CategoryAnalysis(BaseModel):
    category: str
    severity: int | None = None


class BlocklistMatch(BaseModel):
    blocklistName: str
    blocklistItemId: str
    blocklistItemText: str


class Analysis(BaseModel):
    categoriesAnalysis: list[CategoryAnalysis]
    blocklistsMatch: list[BlocklistMatch]


class AzureErrorDetail(BaseModel):
    model_config = ConfigDict(extra="allow")
    code: str | None
    message: str


class AzureError(BaseModel):
    error: AzureErrorDetail


_EVENT = {
    "type": "object",
    "required": ["data"],
    "properties": {"data": {"type": "string", "description": "A chunk's JSON, or [DONE]."}},
}


def answering(request: type[BaseModel]) -> dict[str, Any]:
    """Of a route that answers `request`, whole or in events."""
    responses = _errors(400, 402, 404, 408, 413, 422, 429, 500, 503)
    responses[200] = {
        "description": "The answer; with `stream` as server-sent events of chunks",
        "model": Completion,
        "content": {"text/event-stream": {"schema": _EVENT}},
    }
    return {"responses": responses, "openapi_extra": _body(request), "response_model": None}


def analyzing() -> dict[str, Any]:
    statuses = (400, 401, 403, 404, 408, 413, 500, 503)
    return {
        "responses": {
            200: {"description": "What was found", "model": Analysis},
            **{s: {"description": _WORDS[s], "model": AzureError} for s in statuses},
        },
        "openapi_extra": _body(AnalyzeRequest),
        "response_model": None,
    }


def plain(*statuses: int, content: str = "application/json") -> dict[str, Any]:
    """Of a route that takes no body."""
    responses = _errors(*statuses)
    if content != "application/json":
        responses[200] = {"description": "The page", "content": {content: {}}}
    return {"responses": responses}


def _errors(*statuses: int) -> dict[int, dict[str, Any]]:
    return {
        status: {"description": _WORDS[status], "model": ErrorBody}
        for status in sorted({*statuses, 401, 403})
    }


def _body(request: type[BaseModel]) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{request.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def request_schemas(*requests: type[BaseModel]) -> dict[str, Any]:
    """OpenAPI components of models that no route names by itself."""
    made: dict[str, Any] = {}
    for request in requests:
        schema = request.model_json_schema(ref_template="#/components/schemas/{model}")
        made |= schema.pop("$defs", {})
        made[request.__name__] = schema
    return made
