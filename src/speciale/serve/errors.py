"""What goes wrong with a request, as OpenAI's error body: {"error": {message, type, param, code}}.

The statuses are DeepSeek's: 400 malformed, 401 key, 402 balance, 404 model, 413 too large,
422 parameter, 429 rate, 499 client gone, 500, 503 overloaded.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from speciale.chat import ChatFormatError
from speciale.errors import OverloadedError, RequestError, SpecialeError
from speciale.serve.accounts import AccountsError
from speciale.serve.backends.seam import BackendError

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_balance_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    422: "invalid_parameter_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "overloaded_error",
}


class ErrorDetail(BaseModel):
    message: str = Field(description="What was wrong, and what to do.")
    type: str
    param: str | None = Field(None, description="The field of the request that it is about.")
    code: str | None = None
    innererror: dict[str, Any] | None = Field(
        None, description="With code content_filter: what the content filter found."
    )


class ErrorBody(BaseModel):
    error: ErrorDetail


class ApiError(SpecialeError):
    """An answer other than 200."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        inner: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param
        self.retry_after_s, self.inner = retry_after_s, inner

    def body(self) -> dict[str, Any]:
        detail = {
            "message": str(self),
            "type": _TYPES.get(self.status, "server_error"),
            "param": self.param,
            "code": self.code,
        }
        if self.inner is not None:
            detail["innererror"] = self.inner
        return {"error": detail}

    def response(self) -> JSONResponse:
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, round(self.retry_after_s + 0.5)))
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return JSONResponse(self.body(), self.status, headers)


def as_api_error(error: Exception) -> ApiError:
    """What the client hears of an exception; of our own faults only that there was one."""
    match error:
        case ApiError():
            return error
        case ChatFormatError():
            return ApiError(400, str(error), code="invalid_messages", param=error.field)
        case RequestError():
            return ApiError(422, str(error), code="invalid_parameter")
        case OverloadedError():
            return ApiError(503, str(error), code="overloaded", retry_after_s=1)
        case AccountsError():  # full or gone; the details are for the log
            return ApiError(
                503,
                "the accounts do not answer: try again later",
                code="accounts_unavailable",
                retry_after_s=5,
            )
        case BackendError():
            code = {400: "upstream_refused", 429: "rate_limit"}.get(error.status, "unavailable")
            retry = 1 if error.status in (429, 503) else None
            return ApiError(error.status, str(error), code=code, retry_after_s=retry)
        case _:
            return ApiError(
                500, "the server failed: try again, and tell the operator if it stays", code="fault"
            )
