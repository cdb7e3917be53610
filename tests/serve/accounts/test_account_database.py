"""Opening, upgrading and auditing a database; prices and sums."""

import asyncio
from decimal import localcontext

import pytest
import sqlalchemy as sa
from accounts_kit import Clock, make_key, run
from hypothesis import given
from hypothesis import strategies as st

from speciale.errors import ConfigError, SpecialeError
from speciale.serve.accounts import schema
from speciale.serve.accounts.accounts import Accounts
from speciale.serve.accounts.database import AccountsError, Database
from speciale.serve.accounts.metering import Spent
from speciale.serve.accounts.prices import NANO, format_usd, parse_usd
from speciale.serve.accounts.usage import audit, since, usage


def test_an_older_schema_is_upgraded_and_a_newer_one_refused(url, monkeypatch):
    make_key(url)
    upgrade = (("ALTER TABLE api_keys ADD COLUMN note TEXT", "UPDATE api_keys SET note = 'up'"),)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "UPGRADES", upgrade)
        for _ in range(2):  # once is enough
            database = Database(url)
            with database.reading() as connection:
                assert connection.scalar(sa.text("SELECT note FROM api_keys")) == "up"
                assert connection.scalar(sa.select(schema.schema_version.c.version)) == 2
            database.close()
    with pytest.raises(SpecialeError, match="schema version 2, and this speciale knows 1 to 1"):
        Database(url)


def test_what_cannot_be_opened_is_explained(tmp_path, sqlite_url):
    (tmp_path / "text.db").write_text("not a database, but a text of some length\n" * 100)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE holds (x)"))
    engine.dispose()
    for bad, message in [
        (f"sqlite:///{tmp_path}/text.db", "no intact SQLite database"),
        (f"sqlite:///{tmp_path}/other.db", "a table 'holds' that speciale did not make"),
        (f"sqlite:///{tmp_path}/text.db/a.db", "cannot be made"),
        ("sqlite://", "is a file"),
        ("mysql://user:hidden@host/db", "not in 'mysql'"),
        ("postgresql://user:hidden@host:port/db", "cannot be read"),
        ("postgresql://user:hidden@127.0.0.1:1/db", "postgresql://127.0.0.1:1/db failed"),
        ("postgresql://127.0.0.1:1/db?password=hidden", "postgresql://127.0.0.1:1/db failed"),
    ]:
        with pytest.raises(SpecialeError) as error:
            Database(bad)
        assert message in str(error.value)
        assert "hidden" not in str(error.value)
    with pytest.raises(AccountsError, match="no accounts database"):
        Database(sqlite_url, create=False)
    assert not (tmp_path / "a.db").exists()


def test_two_servers_may_make_the_tables_at_once(url):
    async def scenario():
        opened = await asyncio.gather(*(asyncio.to_thread(Accounts.open, url) for _ in range(4)))
        for accounts in opened:
            await accounts.close()

    asyncio.run(scenario())


def test_the_audit_finds_what_does_not_add_up(url):
    secret = make_key(url)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        await accounts.settle(await accounts.admit(key, "r", "m", 10, 10), Spent(0, 10, 1))

    run(url, scenario)
    database = Database(url)
    with database.writing() as connection:
        connection.execute(schema.ledger.update().values(cost_nano=1))
    balance, cost = audit(database)
    assert balance.startswith("key 'k': the balance is 0.99999678 USD, but top-ups 1.00")
    assert cost == (
        "request 'r': it cost 0.000000001 USD, but its tokens at its prices cost 0.00000322 USD"
    )
    database.close()


@given(st.integers(1, 10**9 * NANO))
def test_amounts_are_written_and_read_exactly(nano):
    with localcontext(prec=5):  # as a library may set it for the whole process
        assert parse_usd(format_usd(nano)) == nano


def test_amounts_that_are_none():
    assert [format_usd(n) for n in (9_990_000_000, 28, -500_000_000, 0)] == [
        "9.99",
        "0.000000028",
        "-0.50",
        "0.00",
    ]
    for bad in (
        "",
        "0",
        "-1",
        "nan",
        "inf",
        "1e99",
        "1e999999999",
        "0.0000000001",
        "ten",
        f"1.{'0' * 50}1",
    ):
        with pytest.raises(ConfigError, match="not an amount"):
            parse_usd(bad)


def test_usage_counts_from_a_time_and_by_day(sqlite_url):
    secret, clock = make_key(sqlite_url), Clock()
    clock.now = 1_793_491_200.0 - 1  # 2026-10-31T23:59:59 UTC

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        for i in range(3):
            await accounts.settle(await accounts.admit(key, f"r{i}", "m", 1, 1), Spent(0, 1, 1))
            clock.now += 1

    run(sqlite_url, scenario, clock=clock)
    database = Database(sqlite_url)
    days = [(row.group, row.requests) for row in usage(database, "day")]
    assert days == [("2026-10-31", 1), ("2026-11-01", 2)]
    start = since("2026-11-01", clock.now)
    assert [row.requests for row in usage(database, since_ms=start)] == [2]
    assert since("1d", 86_400 * 3) == 2 * 86_400_000
    assert since("2026-11-01T01:00+01:00", 0) == start
    for bad in ("", "yesterday", "7", "d", "2026-13-01"):
        with pytest.raises(ConfigError, match="is no time"):
            since(bad, 0)
    database.close()
