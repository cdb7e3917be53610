"""`speciale keys ...` and `speciale usage`: the accounts from the command line, beside a running
server. Nothing heavy is imported before a command runs.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from speciale.terminal import print_table, visible

if TYPE_CHECKING:
    from speciale.serve.accounts.database import Database
    from speciale.serve.accounts.keys import Balance, Key
    from speciale.serve.accounts.usage import UsageRow

keys_app = typer.Typer(
    help="Make and manage the keys of the server: their balance, rates and models.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

NameArgument = Annotated[str, typer.Argument(help="The key's name.")]
DatabaseOption = Annotated[
    str | None,
    typer.Option(
        help="sqlite:///FILE, a file, or postgresql://USER:PASSWORD@HOST/NAME; "
        "unless given $SPECIALE_DATABASE or ./speciale.db."
    ),
]
RequestsOption = Annotated[
    int | None, typer.Option("--requests-per-minute", min=0, help="0: no limit.")
]
TokensOption = Annotated[
    int | None,
    typer.Option("--tokens-per-minute", min=0, help="Of prompts and answers. 0: no limit."),
]
ReserveOption = Annotated[
    int | None,
    typer.Option("--reserve", min=0, help="Tokens a minute served ahead of others. 0: none."),
]
SpillOption = Annotated[
    bool | None,
    typer.Option(
        "--spill-over/--no-spill-over", help="Past the reserve: wait in line, or be refused."
    ),
]
ModelsOption = Annotated[
    str | None, typer.Option(help="Names with commas between them; 'all' for all.")
]


class ByChoice(StrEnum):
    key = "key"
    model = "model"
    day = "day"


@keys_app.command()
def create(
    name: NameArgument,
    balance: Annotated[str | None, typer.Option(help="USD to begin with; 0 unless given.")] = None,
    models: ModelsOption = None,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
    reserve: ReserveOption = None,
    spill_over: SpillOption = None,
    database: DatabaseOption = None,
) -> None:
    """Make a key. Its secret is printed this once: only a hash of it is kept.

    \b
    Examples:
      speciale keys create alice --balance 10
      speciale keys create bot --balance 2.50 --models deepseek-chat --tokens-per-minute 100000
      speciale keys create shop --balance 500 --reserve 50000 --spill-over
      export OPENAI_API_KEY=$(speciale keys create me --balance 5)
    """
    from speciale.serve.accounts.keys import create_key, top_up
    from speciale.serve.accounts.prices import parse_usd

    nano = 0 if balance is None or balance == "0" else parse_usd(balance)
    limits = _limits(models, requests_per_minute, tokens_per_minute, reserve, spill_over)
    opened = _open(database, create=True)
    key, secret = create_key(opened, name, limits)
    print(secret)  # alone on standard output, for $(...)
    sys.stdout.flush()
    if nano:
        key = top_up(opened, name, nano)
    _remark(f"key {name!r} in {opened.shown}, {_money(key.balance_nano)} to spend")
    _remark("Keep the secret now: it cannot be shown again.")
    if not nano:
        _remark(f"It can spend nothing before `speciale keys topup {name!r} USD`.")


@keys_app.command("list")
def list_all(database: DatabaseOption = None) -> None:
    """Show every key with its balance and limits.

    \b
    Examples:
      speciale keys list
      speciale keys list --database postgresql://speciale@db.local/speciale
    """
    from speciale.serve.accounts.keys import list_keys

    rows = [_key_cells(key, balance) for key, balance in list_keys(_open(database))]
    print_table(_KEY_COLUMNS, rows, right={"balance", "held"})


@keys_app.command()
def show(name: NameArgument, database: DatabaseOption = None) -> None:
    """Show one key.

    \b
    Example:
      speciale keys show alice
    """
    _show(_open(database), name)


@keys_app.command()
def topup(
    name: NameArgument,
    usd: Annotated[str, typer.Argument(help="What to add, such as 10 or 0.25.")],
    database: DatabaseOption = None,
) -> None:
    """Add to a key's balance; it counts at once.

    \b
    Example:
      speciale keys topup alice 10
    """
    from speciale.serve.accounts.keys import top_up
    from speciale.serve.accounts.prices import parse_usd

    nano = parse_usd(usd)
    key = top_up(_open(database), name, nano)
    print(f"{name}: {_money(nano)} added, {_money(key.balance_nano)} to spend")


@keys_app.command()
def limit(
    name: NameArgument,
    models: ModelsOption = None,
    requests_per_minute: RequestsOption = None,
    tokens_per_minute: TokensOption = None,
    reserve: ReserveOption = None,
    spill_over: SpillOption = None,
    database: DatabaseOption = None,
) -> None:
    """Change a key's limits; those not named stay. They count from its next request on.

    \b
    Examples:
      speciale keys limit alice --requests-per-minute 60 --tokens-per-minute 100000
      speciale keys limit alice --requests-per-minute 0      # no limit any more
      speciale keys limit shop --reserve 100000 --no-spill-over --models all
    """
    from speciale.serve.accounts.keys import set_limits

    limits = _limits(models, requests_per_minute, tokens_per_minute, reserve, spill_over)
    opened = _open(database)
    set_limits(opened, name, limits)
    _show(opened, name)


@keys_app.command()
def revoke(name: NameArgument, database: DatabaseOption = None) -> None:
    """End a key for good. Requests under way finish and are charged; new ones are refused.

    \b
    Example:
      speciale keys revoke alice
    """
    from speciale.serve.accounts.keys import revoke_key

    key = revoke_key(_open(database), name)
    print(f"{name}: revoked {_when(key.revoked_at)}, {_money(key.balance_nano)} left unspent")


def usage(
    key: Annotated[str | None, typer.Option(help="Only of the key with this name.")] = None,
    since: Annotated[
        str | None, typer.Option(help="2026-11-01 (UTC), or 7d, 12h, 30m ago; all unless given.")
    ] = None,
    by: Annotated[ByChoice, typer.Option(help="One row for each.")] = ByChoice.key,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV.")] = False,
    audit: Annotated[
        bool, typer.Option("--audit", help="Check that balances and ledger agree; 1 if not.")
    ] = False,
    database: DatabaseOption = None,
) -> None:
    """Show what was used and what it cost, from the ledger.

    \b
    Examples:
      speciale usage --since 7d --by day
      speciale usage --key alice --by model --json
      speciale usage --since 2026-11-01 --csv > november.csv
      speciale usage --audit
    """
    from speciale.errors import ConfigError
    from speciale.serve.accounts.keys import find_key
    from speciale.serve.accounts.usage import since as moment
    from speciale.serve.accounts.usage import usage as sums

    if as_json and as_csv:
        raise ConfigError("--json and --csv exclude each other: give one of them.")
    since_ms = moment(since, time.time()) if since else 0
    opened = _open(database)
    if audit:
        _audit(opened)
        return
    if key is not None:
        find_key(opened, key)  # a misspelt name is no key without usage
    _print_usage(sums(opened, by.value, key, since_ms), by.value, as_json, as_csv)


def _print_usage(rows: list[UsageRow], by: str, as_json: bool, as_csv: bool) -> None:
    from speciale.serve.accounts.prices import format_usd

    names = (by, "requests", "cache hit", "cache miss", "completion", "reasoning", "USD")
    cells = [(*list(asdict(row).values())[:-1], format_usd(row.cost_nano)) for row in rows]
    if as_json:
        fields = [{by: row[0], **asdict(usage), "usd": row[-1]} for row, usage in zip(cells, rows)]
        for field in fields:
            del field["group"]
        print(json.dumps(fields, indent=2))
    elif as_csv:
        out = csv.writer(sys.stdout, lineterminator="\n")
        out.writerow([name.replace(" ", "_").lower() for name in names])
        out.writerows(cells)
    else:
        total = ("total", *(sum(row[i] for row in cells) for i in range(1, 6)))
        cost = format_usd(sum(row.cost_nano for row in rows))
        shown = [*cells, (*total, cost)] if len(cells) > 1 else cells
        numbers = [[_number(cell) for cell in row] for row in shown]
        print_table(names, numbers, right=names[1:7])


def _audit(opened: Database) -> None:
    from speciale.serve.accounts.usage import audit

    findings = audit(opened)
    for finding in findings:
        print(visible(finding))
    if findings:
        _remark(f"error: {opened.shown} has {len(findings)} differences: look at them one by one.")
        raise typer.Exit(1)
    print("every balance = top-ups - ledger - holds, and every row's cost is right")


def _open(url: str | None, create: bool = False) -> Database:
    from speciale.errors import ConfigError

    try:
        from speciale.serve.accounts.database import Database, default_url
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The accounts need the package {error.name}: run `pip install 'speciale[serve]'`."
        ) from None
    return Database(url or default_url(), create)


def _limits(
    models: str | None,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    reserve: int | None,
    spill_over: bool | None,
) -> dict[str, Any]:
    """The limits that were named, in create_key's form."""
    from speciale.errors import ConfigError

    rates = {
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "reserved_tokens_per_minute": reserve,
    }
    limits: dict[str, Any] = {
        name: rate or None for name, rate in rates.items() if rate is not None
    }
    if spill_over is not None:
        limits["spill_over"] = spill_over
    if models is not None:
        names = [name.strip() for name in models.split(",") if name.strip()]
        if not names:
            raise ConfigError("--models names no model: give names, or 'all'.")
        limits["models"] = None if names == ["all"] else names
    return limits


def _show(opened: Database, name: str) -> None:
    from speciale.serve.accounts.keys import balance_of, find_key

    key = find_key(opened, name)
    for label, value in zip(_KEY_COLUMNS, _key_cells(key, balance_of(opened, key.id))):
        print(f"{label:8} {visible(value)}")


_KEY_COLUMNS = ("name", "secret", "balance", "held", "limits", "models", "state")


def _key_cells(key: Key, balance: Balance) -> list[str]:
    limits = []
    if key.requests_per_minute:
        limits.append(f"{key.requests_per_minute:,} requests/min")
    if key.tokens_per_minute:
        limits.append(f"{key.tokens_per_minute:,} tokens/min")
    if key.reserved_tokens_per_minute:
        past = "then in line" if key.spill_over else "then refused"
        limits.append(f"{key.reserved_tokens_per_minute:,} reserved/min, {past}")
    return [
        key.name,
        f"{key.prefix}...",
        _money(balance.available_nano),
        _money(balance.held_nano),
        ", ".join(limits) or "none",
        "all" if key.models is None else ", ".join(key.models),
        f"revoked {_when(key.revoked_at)}" if key.revoked_at else f"since {_when(key.created_at)}",
    ]


def _number(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def _money(nano: int) -> str:
    from speciale.serve.accounts.prices import format_usd

    return f"{format_usd(nano)} USD"


def _when(ms: int | None) -> str:
    return f"{datetime.fromtimestamp((ms or 0) / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _remark(text: str) -> None:
    print(text, file=sys.stderr)
