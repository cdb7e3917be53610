"""The ASGI application: routes behind keys, errors in OpenAI's form, OpenAPI, the page."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from speciale import __version__
from speciale.errors import SpecialeError
from speciale.safety.analyze import AnalyzeRequest
from speciale.serve.declared import request_schemas
from speciale.serve.errors import ApiError, as_api_error
from speciale.serve.guards import Authentication
from speciale.serve.page_routes import page_routes
from speciale.serve.routes import router
from speciale.serve.schema import ChatRequest, CompletionRequest
from speciale.serve.service import Service

log = logging.getLogger("speciale.serve")


def make_app(service: Service) -> FastAPI:
    """The application; its lifespan starts and closes the service."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await service.start()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="speciale",
        version=__version__,
        summary="DeepSeek-V3.2's API with a content filter, keys and metering",
        lifespan=lifespan,
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.service, app.state.started = service, time.time()
    app.include_router(router)
    app.router.routes.extend(page_routes())
    app.add_middleware(Authentication, service=service)
    app.add_exception_handler(SpecialeError, _known)
    app.add_exception_handler(HTTPException, _of_http)
    app.add_exception_handler(RequestValidationError, _of_path)
    app.add_exception_handler(Exception, _fault)
    _publish(app, service)
    return app


async def _known(_request: Request, error: Exception) -> JSONResponse:
    return as_api_error(error).response()


async def _of_http(request: Request, error: HTTPException) -> JSONResponse:
    path = request.url.path[:200]
    words = {
        404: f"there is nothing at {path!r}: see /openapi.json for what there is",
        405: f"{request.method} is not for {path!r}",
    }
    known = ApiError(error.status_code, words.get(error.status_code, str(error.detail)))
    response = known.response()
    response.headers.update(error.headers or {})
    return response


async def _of_path(_request: Request, error: RequestValidationError) -> JSONResponse:
    return ApiError(422, str(error.errors()[0]["msg"])).response()


async def _fault(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return as_api_error(error).response()


def _publish(app: FastAPI, service: Service) -> None:
    made = app.openapi

    def openapi() -> dict[str, Any]:
        schema = made()
        schemas = schema.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(request_schemas(ChatRequest, CompletionRequest, AnalyzeRequest))
        for request in (ChatRequest, CompletionRequest):
            schemas[request.__name__]["properties"]["model"]["enum"] = list(service.names)
        schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        schema["security"] = [{"key": []}]
        for path in ("/healthz", "/readyz"):
            schema["paths"][path]["get"]["security"] = []
        return schema

    app.openapi = openapi  # type: ignore[method-assign]
