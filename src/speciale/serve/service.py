"""What all requests share: deployments, accounts, metrics, and how a request is taken on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

from speciale.serve.accounts import Accounts, Admission, Key, Refused
from speciale.serve.backends.seam import Job
from speciale.serve.config import Limits, PriceTable
from speciale.serve.deployments import Deployment
from speciale.serve.errors import ApiError
from speciale.serve.observe import Metrics, Record, log_request

_CODES = {
    "balance": "insufficient_balance",
    "model": "model_not_found",
    "revoked": "invalid_api_key",
}


@dataclass
class Service:
    deployments: Sequence[Deployment]
    accounts: Accounts
    limits: Limits
    prices: Mapping[str, PriceTable]  # by deployment's name
    open_key: Key | None = None  # of everyone who has none: no authentication
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self._names: dict[str, Deployment] = {}
        for deployment in self.deployments:
            for name in (deployment.name, *deployment.aliases):
                self._names.setdefault(name, deployment)
        self._stack = AsyncExitStack()

    @property
    def names(self) -> Mapping[str, Deployment]:
        return self._names

    def deployment(self, model: str) -> Deployment:
        found = self._names.get(model)
        if found is None:
            raise unknown_model(model, self._names)
        return found

    async def start(self) -> None:
        for backend in {id(d.backend): d.backend for d in self.deployments}.values():
            await backend.start()
            self._stack.push_async_callback(backend.close)
        for deployment in self.deployments:
            self._stack.push_async_callback(deployment.content_filter.close)

    async def close(self) -> None:
        await self._stack.aclose()
        await self.accounts.close()

    async def ready(self) -> bool:
        """Whether any deployment takes work."""
        return None in [await deployment.backend.ready() for deployment in self.deployments]

    async def admit(self, key: Key, job: Job, model: str, prompt_tokens: int) -> Admission:
        """Raises ApiError 401, 402, 404 or 429."""
        # Each of n answers may be as long as max_tokens.
        most = job.max_tokens * job.n
        try:
            return await self.accounts.admit(key, job.id, model, prompt_tokens, most)
        except Refused as refused:
            raise ApiError(
                refused.status,
                str(refused),
                code=_CODES.get(refused.kind, "rate_limit_exceeded"),
                param="model" if refused.kind == "model" else None,
                retry_after_s=refused.retry_after_s,
            ) from None

    def within(self, job: Job, admission: Admission) -> Job:
        """The job with the priority and the length that its admission pays for."""
        most = max(1, admission.max_tokens // job.n)
        return replace(job, priority=admission.priority, max_tokens=min(job.max_tokens, most))

    def finished(self, record: Record) -> None:
        self.metrics.ended(record)
        log_request(record)


def unknown_model(model: str, names: Mapping[str, Any]) -> ApiError:
    shown = model if len(model) <= 80 else model[:77] + "..."
    return ApiError(
        404,
        f"there is no model {shown!r}: ask for one of {', '.join(names)}",
        code="model_not_found",
        param="model",
    )
