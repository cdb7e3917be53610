"""API keys: made, looked up by secret, limited, topped up, revoked.

A secret has 256 random bits, so its SHA-256 is all that is stored: nobody can guess what it is of,
and slow hashes (for passwords) would only cost time at every request.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from speciale.errors import ConfigError
from speciale.serve.accounts.database import AccountsError, Database
from speciale.serve.accounts.prices import format_usd
from speciale.serve.accounts.schema import api_keys, holds, topups

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+ -]{0,63}")
_LARGEST_BALANCE = 4 * 10**18  # nano-dollars; the column ends at 9.2e18
_LARGEST_RATE = 10**12  # a minute; times 60,000 it still fits the column


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it was when it was read. `prefix` is all that is known of its secret.

    Rates are per minute, None without limit. `reserved_tokens_per_minute` are served ahead of
    others; past them, `spill_over` says whether a request takes its turn or is refused.
    """

    id: int
    name: str
    prefix: str
    models: tuple[str, ...] | None  # None: all
    requests_per_minute: int | None
    tokens_per_minute: int | None
    reserved_tokens_per_minute: int | None
    spill_over: bool
    balance_nano: int  # what may still be spent
    created_at: int  # ms since 1970, likewise below
    revoked_at: int | None

    def may_use(self, model: str) -> bool:
        return self.models is None or model in self.models


@dataclass(frozen=True, slots=True)
class Balance:
    """Nano-dollars: what may be spent now, and what requests under way hold."""

    available_nano: int
    held_nano: int

    def as_deepseek(self) -> dict[str, Any]:
        """The body of DeepSeek's GET /user/balance. What is held is not spent yet."""
        total = format_usd(self.available_nano + self.held_nano)
        return {
            "is_available": self.available_nano > 0,
            "balance_infos": [
                {
                    "currency": "USD",
                    "total_balance": total,
                    "granted_balance": "0.00",
                    "topped_up_balance": total,
                }
            ],
        }


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def read_key(row: sa.Row) -> Key:
    fields = {name: getattr(row, name) for name in Key.__slots__}
    fields["models"] = None if row.models is None else tuple(json.loads(row.models))
    return Key(**fields)


def create_key(
    database: Database, name: str, limits: Mapping[str, Any], clock=time.time
) -> tuple[Key, str]:
    """A new key with a balance of 0, and its secret, which cannot be had again.

    `limits`: any of Key's models, requests_per_minute, tokens_per_minute,
    reserved_tokens_per_minute, spill_over. AccountsError where the name is taken.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot name a key: use 1 to 64 letters, digits, spaces and . _ @ + -, "
            "beginning with a letter or digit."
        )
    secret = _new_secret()
    now = int(clock() * 1000)
    row = {
        "name": name,
        **_of_secret(secret),
        "created_at": now,
        "rates_at": now,
        "balance_nano": 0,
        "spill_over": False,
        **_columns(limits),
    }
    try:
        with database.writing() as connection:
            connection.execute(api_keys.insert(), row)
            return _find(connection, name), secret
    except sa.exc.IntegrityError:
        raise AccountsError(
            f"There is a key named {name!r} already, used or revoked: choose another name."
        ) from None


def find_key(database: Database, name: str) -> Key:
    with database.reading() as connection:
        return _find(connection, name)


def key_of_secret(database: Database, secret_hash: str) -> Key | None:
    """The key with this hash, unless it is revoked."""
    found = sa.select(api_keys).where(
        api_keys.c.secret_hash == secret_hash, api_keys.c.revoked_at.is_(None)
    )
    with database.reading() as connection:
        row = connection.execute(found).one_or_none()
    # The index compared the hashes already; what its timing tells of a hash helps nobody to find
    # a secret with it. Comparing again costs nothing and does not rest on the database's collation.
    if row is None or not hmac.compare_digest(row.secret_hash, secret_hash):
        return None
    return read_key(row)


def list_keys(database: Database) -> list[tuple[Key, Balance]]:
    """All keys, revoked ones too, by name."""
    with database.reading() as connection:
        rows = connection.execute(_with_held().order_by(api_keys.c.name)).all()
    return [(read_key(row), Balance(row.balance_nano, int(row.held_nano))) for row in rows]


def balance_of(database: Database, key_id: int) -> Balance:
    with database.reading() as connection:
        row = connection.execute(_with_held().where(api_keys.c.id == key_id)).one()
    return Balance(row.balance_nano, int(row.held_nano))


def top_up(database: Database, name: str, nano: int, clock=time.time) -> Key:
    """Adds `nano` > 0 to the balance, and a row to `topups`."""
    assert nano > 0, "a top-up adds"
    with database.writing() as connection:
        key = _find(connection, name, lock=True)
        if key.balance_nano + nano > _LARGEST_BALANCE:
            raise AccountsError(
                f"The balance of {name!r} would pass {format_usd(_LARGEST_BALANCE)} USD: add less."
            )
        row = {"key_id": key.id, "at": int(clock() * 1000), "amount_nano": nano}
        connection.execute(topups.insert(), row)
        changed = {"balance_nano": api_keys.c.balance_nano + nano}
        connection.execute(api_keys.update().where(api_keys.c.id == key.id).values(changed))
        return _find(connection, name)


def set_limits(database: Database, name: str, limits: Mapping[str, Any]) -> Key:
    """Changes the given ones of create_key's `limits`; the rest stays."""
    with database.writing() as connection:
        key = _find(connection, name, lock=True)
        if limits:
            changed = _columns(limits)
            connection.execute(api_keys.update().where(api_keys.c.id == key.id).values(changed))
        return _find(connection, name)


def replace_secret(database: Database, name: str, secret: str | None = None) -> str:
    """Gives the key a new secret, `secret` or a random one, and returns it; the old one is void.

    A revoked key is of use again. `secret` must be as hard to guess as a random one; AccountsError
    where it is another key's.
    """
    secret = secret or _new_secret()
    try:
        with database.writing() as connection:
            key = _find(connection, name, lock=True)
            changed = {**_of_secret(secret), "revoked_at": None}
            connection.execute(api_keys.update().where(api_keys.c.id == key.id).values(changed))
    except sa.exc.IntegrityError:
        raise AccountsError(
            f"The secret for the key {name!r} is another key's already: choose another one."
        ) from None
    return secret


def revoke_key(database: Database, name: str, clock=time.time) -> Key:
    """Nothing is admitted for it again. Requests under way end, and are charged."""
    with database.writing() as connection:
        key = _find(connection, name, lock=True)
        if key.revoked_at is None:
            changed = {"revoked_at": int(clock() * 1000)}
            connection.execute(api_keys.update().where(api_keys.c.id == key.id).values(changed))
        return _find(connection, name)


def _new_secret() -> str:
    return "sk-" + secrets.token_urlsafe(32)


def _of_secret(secret: str) -> dict[str, str]:
    prefix = secret[: min(7, len(secret) // 4)]  # of one that somebody chose, never the most
    return {"secret_hash": hash_secret(secret), "prefix": prefix}


def _with_held() -> sa.Select:
    held = (
        sa.select(sa.func.coalesce(sa.func.sum(holds.c.amount_nano), 0))
        .where(holds.c.key_id == api_keys.c.id)
        .scalar_subquery()
        .label("held_nano")
    )
    return sa.select(api_keys, held)


def _find(connection: sa.Connection, name: str, lock: bool = False) -> Key:
    found = sa.select(api_keys).where(api_keys.c.name == name)
    row = connection.execute(found.with_for_update() if lock else found).one_or_none()
    if row is None:
        raise AccountsError(f"There is no key named {name!r}: `speciale keys list` shows them.")
    return read_key(row)


def _columns(limits: Mapping[str, Any]) -> dict[str, Any]:
    columns = dict(limits)
    models: Sequence[str] | None = columns.get("models")
    if models is not None:
        columns["models"] = json.dumps(list(models))
    for name in ("requests_per_minute", "tokens_per_minute", "reserved_tokens_per_minute"):
        rate = columns.get(name)
        if rate is not None and not 1 <= rate <= _LARGEST_RATE:
            raise ConfigError(
                f"A rate of {rate} a minute is not from 1 to {_LARGEST_RATE}: give one that is."
            )
    return columns
