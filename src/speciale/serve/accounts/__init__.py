"""Keys, balances, rates and the ledger, in one database."""

from typing import Any

_HOMES = {
    "Accounts": "accounts",
    "AccountsError": "database",
    "Admission": "metering",
    "Balance": "keys",
    "Database": "database",
    "Key": "keys",
    "Prices": "prices",
    "Refused": "metering",
    "Spent": "metering",
    "default_url": "database",
}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """The public names, imported when first asked for: the command line needs no SQLAlchemy."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
