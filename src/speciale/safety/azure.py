"""Azure AI Content Safety as the classifier, by the official client: text:analyze for the four
categories, Prompt Shields (text:shieldPrompt) for attacks. Long texts go in pieces that overlap."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from azure.ai.contentsafety.aio import ContentSafetyClient
from azure.ai.contentsafety.models import AnalyzeTextOptions
from azure.core.credentials import AzureKeyCredential
from azure.core.pipeline.transport import AsyncioRequestsTransport
from azure.core.rest import HttpRequest

from speciale.safety.policy import AzureService
from speciale.safety.remote import AT_ONCE, key_of, pieces, together
from speciale.safety.verdict import CATEGORIES, Attacks, Scores

LIMIT = 10_000  # characters that the service takes at once
OVERLAP = 500
SHIELDS = "2024-09-01"  # the first API version with Prompt Shields

_NAMES = dict(zip(("Hate", "Sexual", "Violence", "SelfHarm"), CATEGORIES))


class AzureClassifiers:
    """Raises ConfigError where the environment variable of the key is missing."""

    def __init__(self, service: AzureService, timeout_s: float) -> None:
        self._client = ContentSafetyClient(
            service.endpoint,
            AzureKeyCredential(key_of(service.key_env)),
            # Needs nothing besides the client; a failed check is not tried again, it is reported.
            # The filter's own patience ends first, so that what it reports is the time.
            transport=AsyncioRequestsTransport(
                connection_timeout=2 * timeout_s, read_timeout=2 * timeout_s
            ),
            retry_total=0,
        )
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def close(self) -> None:
        await self._client.close()

    async def score(self, texts: Sequence[str], attacks: Attacks) -> list[Scores]:
        """One a text; the service knows no profanity. Raises the client's errors."""
        return await together(self._score(text, attacks) for text in texts)

    async def _score(self, text: str, attacks: Attacks) -> Scores:
        parts = pieces(text, LIMIT, OVERLAP)
        found = await together(self._analyze(part) for part in parts)
        severity = {name: max(one[name] for one in found) for name in CATEGORIES}
        attacked = any(await together(self._attacked(part, attacks) for part in parts if attacks))
        return Scores(
            severity, attacked and attacks == "prompt", attacked and attacks == "document", False
        )

    async def _analyze(self, text: str) -> dict[str, int]:
        async with self._slots:
            result = await self._client.analyze_text(AnalyzeTextOptions(text=text))
        found = {_NAMES[item.category]: item.severity or 0 for item in result.categories_analysis}
        if missing := set(CATEGORIES) - set(found):
            raise ValueError(f"the service's answer has no severity of {min(missing)}")
        return found

    async def _attacked(self, text: str, attacks: Attacks) -> bool:
        prompt = attacks == "prompt"
        body = {"userPrompt": text if prompt else "", "documents": [] if prompt else [text]}
        request = HttpRequest(
            "POST", "/text:shieldPrompt", params={"api-version": SHIELDS}, json=body
        )
        async with self._slots:
            response = await self._client.send_request(request)
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        found = [answer["userPromptAnalysis"]] if prompt else answer["documentsAnalysis"]
        return any(item["attackDetected"] for item in found)
