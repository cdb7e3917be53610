"""A request's body to a checked model. Whatever it holds, the answer is a documented 4xx:
too large 413, no JSON or too deep 400, a wrong field 422 with its name.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from speciale.serve.errors import ApiError

MAX_DEPTH = 64  # levels of lists and objects; deeper ones are an attack on recursive readers

Model = TypeVar("Model", bound=BaseModel)


async def read_json(request: Request, max_bytes: int, seconds: float) -> dict[str, Any]:
    """The body's JSON object. Raises ApiError: 400, 408 where it takes too long to come, 413."""
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(400, f"the content type is {kind[:80]!r}: send application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > max_bytes:
                    raise ApiError(
                        413, f"the body is larger than {max_bytes:,} bytes: send less at once",
                        code="too_large",
                    )  # fmt: skip
    except TimeoutError:
        raise ApiError(408, f"the body did not arrive within {seconds:g} seconds") from None
    except ClientDisconnect:
        raise ApiError(400, "the client left before the body was complete") from None
    return parse_object(bytes(body))


def parse_object(body: bytes) -> dict[str, Any]:
    """Raises ApiError(400) for all that is no JSON object of a sane depth."""
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise ApiError(400, f"the body is no UTF-8 at byte {error.start}: send UTF-8") from None
    except RecursionError:
        raise ApiError(400, f"the JSON is nested deeper than {MAX_DEPTH} levels") from None
    except ValueError as error:  # JSONDecodeError, and numbers of thousands of digits
        raise ApiError(400, f"the body is no JSON: {str(error)[:200]}") from None
    if not isinstance(value, dict):
        raise ApiError(400, 'the body is no JSON object: send an object such as {"model": …}')
    _check(value)
    # A lone half of a surrogate pair cannot be written as UTF-8: no store and no log could take it.
    if b"\\u" in body:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise ApiError(
                400, "the JSON holds half of a surrogate pair (\\ud800 to \\udfff): send whole ones"
            ) from None
    return value


def _check(value: dict[str, Any]) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise ApiError(400, f"the JSON is nested deeper than {MAX_DEPTH} levels")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def validated(model: type[Model], body: dict[str, Any]) -> Model:
    """ApiError(422) with the first field that does not fit."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = _place(first["loc"])
        said = first["msg"].removeprefix("Value error, ")
        given = ""
        if first["type"] != "missing" and isinstance(first["input"], str | int | float | bool):
            shown = repr(first["input"])
            given = f" (it is {shown if len(shown) <= 60 else shown[:57] + '...'})"
        status = 400 if first["type"] == "missing" else 422
        raise ApiError(
            status,
            f"{place}: {said}{given}" if place else said,
            code="missing_parameter" if status == 400 else "invalid_parameter",
            param=place or None,
        ) from None


def _place(steps: tuple[int | str, ...]) -> str:
    """`tools[0].function.name`; the names of a union's members are not part of the request."""
    place = ""
    for step in steps:
        if isinstance(step, int):
            place += f"[{step}]"
        elif step[:1].islower() and "[" not in step and step not in ("str", "bool", "dict"):
            place += f".{step}" if place else step
    return place
