"""The routes of DeepSeek's API, with Azure's paths for its two clients."""

from __future__ import annotations

import secrets
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from speciale.safety.analyze import analyze
from speciale.serve.accounts import Key
from speciale.serve.bodies import read_json, validated
from speciale.serve.declared import analyzing, answering, plain
from speciale.serve.errors import ApiError
from speciale.serve.exchange import Exchange
from speciale.serve.schema import ChatRequest, CompletionRequest
from speciale.serve.service import Service, unknown_model
from speciale.serve.streaming import ClientGone, EventStream, while_connected

router = APIRouter()
_CLIENT_GONE = 499


def _service(request: Request) -> Service:
    return request.app.state.service


def _key(request: Request) -> Key:
    return request.state.key


# ---- answers ------------------------------------------------------------------------------------


@router.post("/v1/chat/completions", **answering(ChatRequest))
@router.post("/chat/completions", include_in_schema=False)
@router.post("/beta/chat/completions", include_in_schema=False)
async def chat_completions(request: Request) -> Any:
    """An answer to messages, whole or as server-sent events."""
    return await _chat(request, None)


@router.post("/openai/deployments/{name}/chat/completions", include_in_schema=False)
async def azure_chat_completions(request: Request, name: str) -> Any:
    """The same at Azure OpenAI's path, where the model is part of it."""
    return await _chat(request, name)


@router.post("/v1/completions", **answering(CompletionRequest))
@router.post("/completions", include_in_schema=False)
@router.post("/beta/completions", include_in_schema=False)
async def completions(request: Request) -> Any:
    """More of a text, or, with `suffix`, what belongs in the middle."""
    service = _service(request)
    parsed = validated(CompletionRequest, await _body(request))
    deployment = service.deployment(parsed.model)
    job = await deployment.text_job(parsed, f"cmpl-{secrets.token_hex(12)}")
    return await _answer(request, Exchange(service, _key(request), deployment, job), parsed.stream)


async def _chat(request: Request, model: str | None) -> Any:
    service = _service(request)
    body = await _body(request)
    if model is not None:
        body["model"] = model
    parsed = validated(ChatRequest, body)
    deployment = service.deployment(parsed.model)
    job = await deployment.chat_job(parsed, f"chatcmpl-{secrets.token_hex(12)}")
    return await _answer(request, Exchange(service, _key(request), deployment, job), parsed.stream)


async def _answer(request: Request, exchange: Exchange, stream: bool | None) -> Any:
    if stream:
        return EventStream(exchange.events(), _service(request).limits.keep_alive_s)
    try:
        return JSONResponse(await while_connected(request.receive, exchange.whole()))
    except ClientGone:
        return Response(status_code=_CLIENT_GONE)


async def _body(request: Request) -> dict[str, Any]:
    limits = _service(request).limits
    return await read_json(request, limits.body_bytes, limits.body_seconds)


# ---- what there is ------------------------------------------------------------------------------


@router.get("/v1/models", **plain(400))
@router.get("/models", include_in_schema=False)
async def models(request: Request) -> dict[str, Any]:
    """The models that this key may ask for."""
    return {"object": "list", "data": [_model(request, name) for name in _allowed(request)]}


@router.get("/v1/models/{model}", **plain(400, 404))
@router.get("/models/{model}", include_in_schema=False)
async def model(request: Request, model: str) -> dict[str, Any]:
    """One model."""
    if model not in _allowed(request):
        raise unknown_model(model, dict.fromkeys(_allowed(request)))
    return _model(request, model)


@router.get("/user/balance", **plain(400))
async def balance(request: Request) -> dict[str, Any]:
    """What is left on this key."""
    found = await _service(request).accounts.balance(_key(request))
    return found.as_deepseek()


def _allowed(request: Request) -> list[str]:
    service, allowed = _service(request), _key(request).models
    return [n for n, d in service.names.items() if allowed is None or d.name in allowed]


def _model(request: Request, name: str) -> dict[str, Any]:
    service = _service(request)
    deployment = service.names[name]
    return {
        "id": name,
        "object": "model",
        "created": int(request.app.state.started),
        "owned_by": "speciale",
        "variant": deployment.variant,
        "thinks": deployment.aliases.get(name, deployment.thinks or deployment.variant != "v3.2"),
        "context_length": deployment.window,
        "pricing": service.prices[deployment.name].listed(),
    }


# ---- content safety -----------------------------------------------------------------------------


@router.post("/contentsafety/text:analyze", **analyzing())
async def analyze_text(request: Request) -> Any:
    """The content filter alone, as Azure AI Content Safety's client asks for it."""
    try:
        body = await _body(request)
    except ApiError as error:  # in Azure's form
        detail = {"code": "InvalidRequestBody", "message": str(error)}
        return JSONResponse({"error": detail}, error.status)
    status, answer = await analyze(body, _service(request).deployments[0].content_filter)
    return JSONResponse(answer, status)


# ---- operations ---------------------------------------------------------------------------------


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", responses={503: {"description": "No deployment takes work"}})
async def readyz(request: Request) -> JSONResponse:
    """Whether requests can be taken: 200 if any deployment can, else 503."""
    able = await _service(request).ready()
    return JSONResponse({"status": "ready" if able else "not ready"}, 200 if able else 503)


@router.get("/metrics", response_class=Response, **plain(400, content="text/plain"))
async def metrics(request: Request) -> Response:
    """Prometheus' text format; needs a key as all else does."""
    page = _service(request).metrics.page()
    return Response(page, media_type="text/plain; version=0.0.4; charset=utf-8")
