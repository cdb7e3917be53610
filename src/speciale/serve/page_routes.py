"""The web page at `/` and its files under `/page/`: all from this package, nothing from elsewhere.
A Content-Security-Policy on each answer is the second wall behind the page's own sanitising."""

from __future__ import annotations

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from speciale.page_headers import page_headers

FOLDER = Path(__file__).parent / "page"
SERVED = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
HEADERS = page_headers(
    {
        "style-src-attr": "'unsafe-inline'",  # KaTeX places parts of a formula by style attributes
        "font-src": "'self'",
        # No text becomes markup or script in the page, except through DOMPurify.
        "trusted-types": "dompurify",
    }
)


class _Files(StaticFiles):
    """The folder's scripts, styles, images and fonts, with the headers; all else is 404."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if Path(path).suffix not in SERVED:
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        if "content-type" in response.headers:  # a machine's own table may say otherwise
            response.headers["content-type"] = SERVED[Path(path).suffix]
        response.headers.update(HEADERS)
        return response


async def _index(request: Request) -> Response:
    return FileResponse(FOLDER / "index.html", media_type="text/html", headers=HEADERS)


def page_routes() -> list[Route | Mount]:
    """The routes of the page: `/` (GET, HEAD) and `/page/...`.

    The page finds the API at `v1/` beside itself, so it may be mounted below any prefix. Where
    `make page` has not run, `page/vendor/` is missing and answers show as plain text.
    """
    return [
        Route("/", _index, methods=["GET"], include_in_schema=False),
        Mount("/page", _Files(directory=FOLDER), name="page"),
    ]
