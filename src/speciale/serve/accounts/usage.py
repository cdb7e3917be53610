"""What the ledger adds up to: tokens and money by key, model or day, and whether it all agrees."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import sqlalchemy as sa

from speciale.errors import ConfigError
from speciale.serve.accounts.database import Database
from speciale.serve.accounts.prices import format_usd
from speciale.serve.accounts.schema import api_keys, holds, ledger, topups

By = Literal["key", "model", "day"]
_DAY_MS = 86_400_000
_UNITS_MS = {"d": _DAY_MS, "h": 3_600_000, "m": 60_000}


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Sums over the requests of one key, model or day (of UTC, as 2026-11-01)."""

    group: str
    requests: int
    cache_hit_tokens: int
    cache_miss_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cost_nano: int


_SUMMED = UsageRow.__slots__[2:]


def usage(
    database: Database, by: By = "key", key: str | None = None, since_ms: int = 0
) -> list[UsageRow]:
    """One row for each group, in its order; `key`: only of the key with this name."""
    day = ledger.c.at - ledger.c.at % _DAY_MS
    group = {"key": api_keys.c.name, "model": ledger.c.model, "day": day}[by]
    sums = [sa.func.sum(ledger.c[name]) for name in _SUMMED]
    query = (
        sa.select(group.label("grouped"), sa.func.count(), *sums)
        .join_from(ledger, api_keys)
        .where(ledger.c.at >= since_ms)
        .group_by("grouped")
        .order_by("grouped")
    )
    if key is not None:
        query = query.where(api_keys.c.name == key)
    with database.reading() as connection:
        rows = connection.execute(query).all()
    names = [str(_date(row[0])) if by == "day" else row[0] for row in rows]
    # PostgreSQL sums to its numeric type, which Python reads as Decimal.
    return [UsageRow(name, *map(int, row[1:])) for name, row in zip(names, rows)]


def _date(ms: int) -> object:
    return datetime.fromtimestamp(ms / 1000, UTC).date()


def since(text: str, now: float) -> int:
    """Milliseconds since 1970 of "2026-11-01" (midnight, UTC) or of "7d", "12h", "30m" ago."""
    if ago := re.fullmatch(r"(\d{1,6})([dhm])", text):
        return max(0, int(now * 1000) - int(ago[1]) * _UNITS_MS[ago[2]])
    try:
        moment = datetime.fromisoformat(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ConfigError(
            f"--since {text!r} is no time: give a date such as 2026-11-01, or 7d, 12h, 30m ago."
        ) from None


def audit(database: Database) -> list[str]:
    """Checks every key's balance and every row's cost; a sentence for each thing that is wrong.

    Balance, top-ups, ledger and holds are read by one statement, so it may run beside a server.
    """

    def total(column: sa.Column) -> sa.Label:
        inner = sa.select(sa.func.coalesce(sa.func.sum(column), 0))
        return inner.where(column.table.c.key_id == api_keys.c.id).scalar_subquery()

    sums = sa.select(
        api_keys.c.name,
        api_keys.c.balance_nano,
        total(topups.c.amount_nano),
        total(ledger.c.cost_nano),
        total(holds.c.amount_nano),
    ).order_by(api_keys.c.name)
    cost = (
        ledger.c.cache_hit_tokens * ledger.c.cache_hit_price
        + ledger.c.cache_miss_tokens * ledger.c.cache_miss_price
        + ledger.c.completion_tokens * ledger.c.output_price
    )
    wrong = sa.select(ledger.c.request_id, ledger.c.cost_nano, cost).where(
        ledger.c.cost_nano != cost
    )
    with database.reading() as connection:
        keys = connection.execute(sums).all()
        rows = connection.execute(wrong.order_by(ledger.c.id).limit(20)).all()
    findings = []
    for name, balance, added, spent, held in keys:
        expected = int(added) - int(spent) - int(held)
        if balance != expected:
            findings.append(
                f"key {name!r}: the balance is {format_usd(balance)} USD, but top-ups "
                f"{format_usd(int(added))} - ledger {format_usd(int(spent))} - holds "
                f"{format_usd(int(held))} = {format_usd(expected)} USD"
            )
    for request_id, charged, expected in rows:
        findings.append(
            f"request {request_id!r}: it cost {format_usd(charged)} USD, but its tokens at its "
            f"prices cost {format_usd(expected)} USD"
        )
    return findings
