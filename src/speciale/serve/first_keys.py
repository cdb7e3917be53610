"""Keys that a server makes for itself: a demo key where there is none, the one that the environment
gives, and the one that stands for everybody on a server without authentication.
"""

from __future__ import annotations

from speciale.serve.accounts.database import Database
from speciale.serve.accounts.keys import (
    Key,
    create_key,
    find_key,
    list_keys,
    replace_secret,
    top_up,
)
from speciale.serve.accounts.prices import NANO

DEMO, ENVIRONMENT, LOOPBACK = "demo", "environment", "loopback"
_DEMO_BALANCE = 10 * NANO
_OWN_BALANCE = 1_000_000 * NANO  # the operator's own: accounted for, never short


def demo_secret(database: Database) -> str | None:
    """A fresh secret of the demo key; None where the operator has made keys."""
    names = {key.name for key, _ in list_keys(database) if key.revoked_at is None}
    if names - {DEMO, ENVIRONMENT, LOOPBACK}:
        return None
    return _fresh(database, DEMO, _DEMO_BALANCE, None)[1]


def environment_key(database: Database, secret: str) -> Key:
    return _fresh(database, ENVIRONMENT, _OWN_BALANCE, secret)[0]


def loopback_key(database: Database) -> Key:
    return _fresh(database, LOOPBACK, _OWN_BALANCE, None)[0]


def _fresh(database: Database, name: str, balance: int, secret: str | None) -> tuple[Key, str]:
    """The key `name` with a new secret, or with `secret`, and at least `balance` nano-dollars."""
    known = {key.name: key for key, _ in list_keys(database)}
    key = known.get(name) or create_key(database, name, {})[0]
    secret = replace_secret(database, name, secret)
    if key.balance_nano < balance:
        key = top_up(database, name, balance - key.balance_nano)
    return find_key(database, name), secret
