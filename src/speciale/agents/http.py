"""One POST to a model server, asked again while it is busy or away; its failures as sentences."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from speciale.agents.sampler import SamplerError

_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_TRIES, _WAIT_S = 5, 0.5  # the wait doubles from try to try
_MOST_WORDS = 300


class Server:
    """A server's address and key. Long answers are waited for; cancelling closes the connection,
    at which vLLM and SGLang stop the work."""

    def __init__(self, url: str, api_key: str | None = None, *, timeout_s: float = 600.0) -> None:
        self.url = url.rstrip("/")
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        timeout = httpx.Timeout(timeout_s, connect=10.0)
        self._client = httpx.AsyncClient(headers=headers, limits=limits, timeout=timeout)

    async def close(self) -> None:
        await self._client.aclose()

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """The JSON object that it answers. SamplerError where it cannot or will not."""
        wait = _WAIT_S
        for attempt in range(1, _TRIES + 1):
            try:
                response = await self._client.post(self.url + path, json=body)
            except httpx.TransportError as error:
                said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            else:
                if response.is_success:
                    return self._object(response)
                said = f"status {response.status_code}: {response.text[:_MOST_WORDS]}"
                if response.status_code not in _AGAIN:
                    raise SamplerError(f"{self.url} refused the request ({said})")
                wait = max(wait, _retry_after(response))
            if attempt < _TRIES:
                await asyncio.sleep(wait)
                wait = min(2 * wait, 30.0)
        raise SamplerError(
            f"{self.url} did not answer after {_TRIES} tries ({said}): check that it runs"
        )

    def _object(self, response: httpx.Response) -> dict[str, Any]:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            words = response.text[:_MOST_WORDS]
            raise SamplerError(f"{self.url} answered no JSON object, but {words!r}")
        return answer


def _retry_after(response: httpx.Response) -> float:
    try:
        return min(float(response.headers.get("retry-after", 0)), 30.0)
    except ValueError:  # a date
        return 1.0
