"""Metrics in Prometheus' form and one structured log line a request, without any prompt's text."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)

from speciale.serve.answers import Usage

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

log = logging.getLogger("speciale.requests")


@dataclass(frozen=True)
class Record:
    """What is known of a request when it has ended."""

    id: str
    key: str
    model: str
    status: int
    finish: str | None
    usage: Usage
    seconds: float
    seconds_to_first: float | None


class Metrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        own = {"registry": self._registry}
        self._requests = Counter(
            "speciale_requests", "Requests that have ended", ["model", "status", "finish"], **own
        )
        self._tokens = Counter("speciale_tokens", "Tokens", ["model", "kind"], **own)
        self._filtered = Counter(
            "speciale_filtered", "Stopped by the content filter", ["direction", "model"], **own
        )
        self._seconds = Histogram(
            "speciale_request_seconds", "Whole requests", ["model"], buckets=_SECONDS, **own
        )
        self._first = Histogram(
            "speciale_first_token_seconds", "Until the first token", ["model"],
            buckets=_SECONDS, **own,
        )  # fmt: skip
        self.running = Gauge("speciale_running_requests", "Requests under way", **own)
        self.ledger = Histogram(
            "speciale_ledger_seconds", "Writing a ledger row", buckets=_SECONDS, **own
        )
        tasks = Gauge("speciale_tasks", "Tasks of the event loop", **own)
        tasks.set_function(lambda: len(asyncio.all_tasks()))

    def filtered(self, direction: str, model: str) -> None:
        self._filtered.labels(direction, model).inc()

    def ended(self, record: Record) -> None:
        model, usage = record.model, record.usage
        self._requests.labels(model, str(record.status), record.finish or "").inc()
        self._seconds.labels(model).observe(record.seconds)
        if record.seconds_to_first is not None:
            self._first.labels(model).observe(record.seconds_to_first)
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        for kind, tokens in (
            ("prompt_cache_hit", cached),
            ("prompt_cache_miss", usage.prompt_tokens - cached),
            ("completion", usage.completion_tokens),
            ("reasoning", usage.reasoning_tokens),
        ):
            self._tokens.labels(model, kind).inc(tokens)

    def page(self) -> bytes:
        return generate_latest(self._registry)


def log_request(record: Record) -> None:
    usage = record.usage
    log.info(
        "request",
        extra={
            "fields": {
                "id": record.id,
                "key": record.key,
                "model": record.model,
                "status": record.status,
                "finish": record.finish,
                "prompt_tokens": usage.prompt_tokens,
                "cached_tokens": usage.cached_tokens,
                "completion_tokens": usage.completion_tokens,
                "reasoning_tokens": usage.reasoning_tokens,
                "ms": round(record.seconds * 1e3, 1),
                "ms_to_first": None
                if record.seconds_to_first is None
                else round(record.seconds_to_first * 1e3, 1),
            }
        },
    )


class JsonLines(logging.Formatter):
    """A log record as one line of JSON; `extra={"fields": {...}}` becomes keys of its own."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up_logging(level: str) -> None:
    """JSON lines on standard error, for all loggers."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "uvicorn", "azure"):
        logging.getLogger(noisy).setLevel("WARNING")
