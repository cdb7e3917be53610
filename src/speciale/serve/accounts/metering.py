"""What one transaction does to balances, rates, holds and the ledger, for many requests at once.

All keys of a batch are locked first, in the order of their ids so that two servers never wait for
each other; then every request is decided on the locked figures, and each table is written once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from speciale.errors import SpecialeError
from speciale.serve.accounts.database import AccountsError
from speciale.serve.accounts.keys import Key, read_key
from speciale.serve.accounts.prices import Price, format_usd
from speciale.serve.accounts.rates import refill, take, wait_ms
from speciale.serve.accounts.schema import api_keys, holds, ledger

Kind = Literal["balance", "requests", "tokens", "reserved", "model", "revoked"]
_STATUS = {"balance": 402, "requests": 429, "tokens": 429, "reserved": 429, "model": 404}


class Refused(SpecialeError):
    """The request was not admitted, and nothing was taken. `status` is HTTP's.

    `retry_after_s`: whole seconds after which it would be admitted; None where waiting is no help.
    """

    def __init__(self, kind: Kind, message: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.kind, self.retry_after_s = kind, retry_after_s

    @property
    def status(self) -> int:
        return _STATUS.get(self.kind, 401)


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave to run a request. Exactly one `settle` must follow.

    `max_tokens`: of all its choices together; less than was asked for where the balance pays for
    no more. `priority`: 1 within the key's reserved rate, else 0.
    """

    request_id: str
    key_id: int
    model: str
    prompt_tokens: int
    max_tokens: int
    priority: int
    price: Price
    held_nano: int


@dataclass(frozen=True, slots=True)
class Spent:
    """What a request used in the end: tokens of the prompt, found in the cache or not, and of the
    answer (all choices; reasoning tokens are among the completion tokens), and its HTTP status."""

    cache_hit_tokens: int = 0
    cache_miss_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    finish_reason: str | None = None
    status: int = 200

    @property
    def total_tokens(self) -> int:
        return self.cache_hit_tokens + self.cache_miss_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True)
class Admit:
    """Asks for an Admission; answered by one, or by Refused."""

    key_id: int
    request_id: str
    model: str
    prompt_tokens: int
    max_tokens: int
    price: Price
    instance_id: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Ends an admission. Without `spent` it never ran: the money is free again, with no row."""

    admission: Admission
    spent: Spent | None

    @property
    def key_id(self) -> int:
        return self.admission.key_id

    @property
    def request_id(self) -> str:
        return self.admission.request_id


Job = Admit | Settle


@dataclass(slots=True)
class _Account:
    """A locked key's row under change."""

    key: Key
    balance: int
    requests: int | None
    tokens: int | None
    reserved: int | None
    rates_at: int


@dataclass(slots=True)
class _Batch:
    """What is known of the requests at the batch's start, and what is to be written at its end."""

    accounts: dict[int, _Account]
    held: dict[str, int]  # request id -> nano-dollars
    written: set[str]  # request ids in the ledger
    now: int
    new_holds: list[dict[str, Any]] = field(default_factory=list)
    old_holds: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


def apply(connection: sa.Connection, jobs: Sequence[Job], now: int) -> list[Any]:
    """Decides and writes `jobs` in order, at `now` ms. One result each: Admission, None, or an
    exception to raise (Refused; AccountsError for a request id that was used before)."""
    ids = [job.request_id for job in jobs]
    batch = _Batch(
        accounts=_lock({job.key_id for job in jobs}, connection, now),
        **_known(connection, ids),
        now=now,
    )
    results = [
        _admit(batch, job) if isinstance(job, Admit) else _settle(batch, job) for job in jobs
    ]
    if batch.new_holds:
        connection.execute(holds.insert(), batch.new_holds)
    if batch.old_holds:
        connection.execute(holds.delete().where(holds.c.request_id.in_(batch.old_holds)))
    if batch.rows:
        connection.execute(ledger.insert(), batch.rows)
    _write_back(connection, batch.accounts.values())
    return results


def release(connection: sa.Connection, stray: sa.ColumnElement[bool], now: int) -> int:
    """Gives the holds that `stray` selects back to their keys, without charge; returns how many."""
    key_ids = set(connection.scalars(sa.select(holds.c.key_id).where(stray).distinct()))
    accounts = _lock(key_ids, connection, now)
    # Read again under the locks: another server may have swept them meanwhile.
    rows = connection.execute(sa.select(holds).where(stray)).all()
    rows = [row for row in rows if row.key_id in accounts]
    for row in rows:
        accounts[row.key_id].balance += row.amount_nano
    if rows:
        gone = [row.request_id for row in rows]
        connection.execute(holds.delete().where(holds.c.request_id.in_(gone)))
        _write_back(connection, accounts.values())
    return len(rows)


def _lock(key_ids: Iterable[int], connection: sa.Connection, now: int) -> dict[int, _Account]:
    found = sa.select(api_keys).where(api_keys.c.id.in_(key_ids)).order_by(api_keys.c.id)
    accounts = {}
    for row in connection.execute(found.with_for_update()):
        key = read_key(row)
        # Clocks of two machines differ a little: time that passed for one must not pass again.
        rates_at = max(now, row.rates_at)
        elapsed = rates_at - row.rates_at
        accounts[key.id] = _Account(
            key,
            row.balance_nano,
            refill(row.requests_level, key.requests_per_minute, elapsed),
            refill(row.tokens_level, key.tokens_per_minute, elapsed),
            refill(row.reserved_level, key.reserved_tokens_per_minute, elapsed),
            rates_at,
        )
    return accounts


_IDS = sa.bindparam("ids", expanding=True)
_KNOWN = sa.union_all(  # one question to the database where two would do
    sa.select(holds.c.request_id, holds.c.amount_nano).where(holds.c.request_id.in_(_IDS)),
    sa.select(ledger.c.request_id, sa.null()).where(ledger.c.request_id.in_(_IDS)),
)


def _known(connection: sa.Connection, ids: Sequence[str]) -> dict[str, Any]:
    rows = connection.execute(_KNOWN, {"ids": ids}).all()
    held = {name: amount for name, amount in rows if amount is not None}
    return {"held": held, "written": {name for name, amount in rows if amount is None}}


_UPDATE = (
    api_keys.update()
    .where(api_keys.c.id == sa.bindparam("of_key"))
    .values({name: sa.bindparam(name) for name in (
        "balance_nano", "requests_level", "tokens_level", "reserved_level", "rates_at"
    )})
)  # fmt: skip


def _write_back(connection: sa.Connection, accounts: Iterable[_Account]) -> None:
    rows = [
        {
            "of_key": account.key.id,
            "balance_nano": account.balance,
            "requests_level": account.requests,
            "tokens_level": account.tokens,
            "reserved_level": account.reserved,
            "rates_at": account.rates_at,
        }
        for account in accounts
    ]
    if rows:
        connection.execute(_UPDATE, rows)


def _admit(batch: _Batch, job: Admit) -> Admission | SpecialeError:
    account = batch.accounts[job.key_id]
    if job.request_id in batch.held or job.request_id in batch.written:
        return AccountsError(f"Request id {job.request_id!r} was used before: give a new one.")
    try:
        priority = _check(account, job)
        max_tokens, held = _cover(account, job)
    except Refused as refusal:
        return refusal
    account.requests = take(account.requests, 1)
    if priority:
        account.reserved = take(account.reserved, job.prompt_tokens)
    else:
        account.tokens = take(account.tokens, job.prompt_tokens)
    account.balance -= held
    batch.held[job.request_id] = held
    batch.new_holds.append(
        {
            "request_id": job.request_id,
            "key_id": job.key_id,
            "instance_id": job.instance_id,
            "at": batch.now,
            "amount_nano": held,
        }
    )
    return Admission(
        job.request_id, job.key_id, job.model, job.prompt_tokens, max_tokens, priority, job.price,
        held,
    )  # fmt: skip


def _check(account: _Account, job: Admit) -> int:
    """The priority that key, model and rates allow; Refused where they do not."""
    key = account.key
    if key.revoked_at is not None:
        raise Refused("revoked", f"The key {key.name!r} was revoked: use another one.")
    if not key.may_use(job.model):
        raise Refused(
            "model",
            f"The key {key.name!r} may not use the model {job.model!r}, "
            f"only {', '.join(key.models or ())}: name one of these.",
        )
    if key.requests_per_minute is not None:
        wait = wait_ms(account.requests or 0, key.requests_per_minute, 1)
        _refuse_if(wait, "requests", f"{key.requests_per_minute} requests")
    if key.reserved_tokens_per_minute is not None:
        reserved = key.reserved_tokens_per_minute
        wait = wait_ms(account.reserved or 0, reserved, job.prompt_tokens)
        if not wait:
            return 1
        if not key.spill_over:
            _refuse_if(wait, "reserved", f"{reserved} reserved tokens")
    if key.tokens_per_minute is not None:
        wait = wait_ms(account.tokens or 0, key.tokens_per_minute, job.prompt_tokens)
        _refuse_if(wait, "tokens", f"{key.tokens_per_minute} tokens")
    return 0


def _refuse_if(wait: int, kind: Kind, rate: str) -> None:
    if wait:
        seconds = -(-wait // 1000)
        message = f"The key's {rate} a minute are used up: try again in {seconds} s."
        raise Refused(kind, message, seconds)


def _cover(account: _Account, job: Admit) -> tuple[int, int]:
    """The tokens of answer that the balance pays for, and what to hold; Refused below one."""
    affordable = job.price.answer_tokens(job.prompt_tokens, account.balance)
    if affordable is not None and affordable < 1:
        least = job.price.cost(0, job.prompt_tokens, 1)
        raise Refused(
            "balance",
            f"The balance of {format_usd(account.balance)} USD (without what requests under way "
            f"may cost) does not pay for the prompt and one token, {format_usd(least)} USD: "
            "top it up.",
        )
    max_tokens = job.max_tokens if affordable is None else min(job.max_tokens, affordable)
    return max_tokens, job.price.cost(0, job.prompt_tokens, max_tokens)


def _settle(batch: _Batch, job: Settle) -> None:
    """Releases the hold, if it is still there, and charges, unless that was done before."""
    account, admission, spent = batch.accounts[job.key_id], job.admission, job.spent
    held = batch.held.pop(job.request_id, None)
    if held is not None:
        account.balance += held
        batch.old_holds.append(job.request_id)
    if job.request_id in batch.written or (spent is None and held is None):
        return
    # The prompt was taken at admission, the answer is taken now.
    more = (spent.total_tokens if spent else 0) - admission.prompt_tokens
    if admission.priority:
        account.reserved = take(account.reserved, more)
    else:
        account.tokens = take(account.tokens, more)
    if spent is not None:
        row = _row(admission, spent, batch.now)
        account.balance -= row["cost_nano"]
        batch.written.add(job.request_id)
        batch.rows.append(row)


def _row(admission: Admission, spent: Spent, now: int) -> Mapping[str, Any]:
    price = admission.price
    return {
        "request_id": admission.request_id,
        "key_id": admission.key_id,
        "at": now,
        "model": admission.model,
        "cache_hit_tokens": spent.cache_hit_tokens,
        "cache_miss_tokens": spent.cache_miss_tokens,
        "completion_tokens": spent.completion_tokens,
        "reasoning_tokens": spent.reasoning_tokens,
        "finish_reason": spent.finish_reason,
        "status": spent.status,
        "priority": admission.priority,
        "cache_hit_price": price.cache_hit,
        "cache_miss_price": price.cache_miss,
        "output_price": price.output,
        "cost_nano": price.cost(
            spent.cache_hit_tokens, spent.cache_miss_tokens, spent.completion_tokens
        ),
    }
