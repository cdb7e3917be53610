"""`POST /contentsafety/text:analyze` as Azure AI Content Safety answers it (API 2023-10-01), over
a content filter's own classifiers and block lists: severities without thresholds."""

from __future__ import annotations

import logging
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from speciale.safety.filter import ContentFilter

LIMIT = 10_000  # characters

_CATEGORIES = {
    "Hate": "hate",
    "SelfHarm": "self_harm",
    "Sexual": "sexual",
    "Violence": "violence",
}

log = logging.getLogger(__name__)


class AnalyzeRequest(BaseModel):
    model_config = ConfigDict(strict=True)

    text: str = Field(max_length=LIMIT)
    categories: list[Literal["Hate", "SelfHarm", "Sexual", "Violence"]] | None = None
    blocklistNames: list[str] | None = None
    haltOnBlocklistHit: bool | None = None
    # The classifiers know 0, 2, 4 and 6, which are levels of both scales.
    outputType: Literal["FourSeverityLevels", "EightSeverityLevels"] | None = None


async def analyze(body: Any, content_filter: ContentFilter) -> tuple[int, dict[str, Any]]:
    """(HTTP status, response body) for a request's JSON value."""
    try:
        request = AnalyzeRequest.model_validate(body)
    except ValidationError as error:
        return 400, _error("InvalidRequestBody", _what(error))
    names = request.blocklistNames or []
    if unknown := [name for name in names if name not in content_filter.blocklists.names]:
        return 404, _error("NotFound", f"There is no block list {unknown[0]!r}.")
    hits = []
    if names:
        hits = [m.item for m in await content_filter.matches(request.text) if m.item.list in names]
    result: dict[str, Any] = {
        "blocklistsMatch": [
            {
                "blocklistName": item.list,
                "blocklistItemId": item.id,
                "blocklistItemText": item.text,
            }
            for item in hits
        ],
        "categoriesAnalysis": [],
    }
    if hits and request.haltOnBlocklistHit:
        return 200, result
    try:
        severity = await content_filter.scores(request.text)
    except Exception:  # a classifier may fail in any way
        log.exception("text:analyze")
        return 503, _error("ServerBusy", "The classifiers are out of order; try again later.")
    result["categoriesAnalysis"] = [
        {"category": name, "severity": severity[_CATEGORIES[name]]}
        for name in dict.fromkeys(request.categories or _CATEGORIES)
        if _CATEGORIES[name] in severity
    ]
    return 200, result


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def _what(error: ValidationError) -> str:
    """The first thing that is wrong, without the text itself."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "The body"
    return f"{place}: {first['msg']}."
