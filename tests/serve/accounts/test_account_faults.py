"""A killed server, a full disk, a database that goes away: the money stays right."""

import asyncio
import signal

import pytest
import sqlalchemy as sa
from accounts_kit import Clock, count, eventually, make_key, run, worker

from speciale.serve.accounts import schema
from speciale.serve.accounts.accounts import Accounts
from speciale.serve.accounts.database import AccountsError, Database
from speciale.serve.accounts.metering import Spent
from speciale.serve.accounts.prices import NANO
from speciale.serve.accounts.usage import audit


def test_kill_minus_9_loses_no_row_and_strands_no_money(url):
    secret = make_key(url, 10 * NANO)
    acknowledged = []
    for name in "ab":
        process = worker(url, secret, name, "settle")
        acknowledged += [process.stdout.readline() for _ in range(100)]
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        acknowledged += [line for line in rest.splitlines(True) if line.endswith("\n")]
        assert process.returncode == -signal.SIGKILL
    database = Database(url)
    assert count(database, schema.holds) >= 5  # those of b, which died last
    assert audit(database) == []

    async def scenario(accounts):
        assert count(database, schema.holds) == 0
        with database.reading() as connection:
            rows = list(connection.scalars(sa.select(schema.ledger.c.request_id)))
        assert len(rows) == len(set(rows))
        assert {line.strip() for line in acknowledged} <= set(rows)
        key = await accounts.authenticate(secret)
        cost = 100 * 280 + 5 * 420
        assert (await accounts.balance(key)).available_nano == 10 * NANO - len(rows) * cost

    run(url, scenario)
    assert count(database, schema.instances) == 0
    database.close()


def test_holds_of_a_silent_machine_are_given_back_and_its_settle_still_counts(url):
    secret, clock, late = make_key(url), Clock(), Clock()

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        admission = await accounts.admit(key, "r", "m", 10, 10)
        database = Database(url)
        with database.writing() as connection:  # as if it were elsewhere: not to be asked
            connection.execute(schema.instances.update().values(host="elsewhere", id="other"))
            connection.execute(schema.holds.update().values(instance_id="other"))
        late.now += 59
        await Accounts.open(url, clock=late).close()
        assert count(database, schema.holds) == 1
        late.now += 2
        await Accounts.open(url, clock=late).close()
        assert count(database, schema.holds) == 0
        database.close()
        await accounts.settle(admission, Spent(0, 10, 10))
        assert (await accounts.balance(key)).available_nano == NANO - 7000

    run(url, scenario, clock=clock)


def test_a_full_disk_is_told_and_survived(sqlite_url):
    secret, pages = make_key(sqlite_url), {"most": 10**6}

    async def scenario(accounts):
        def limit(connection, *_):
            connection.execute(f"PRAGMA max_page_count={pages['most']}")

        sa.event.listen(accounts._database._engine, "checkout", limit)
        key = await accounts.authenticate(secret)
        settled = [await accounts.admit(key, f"r{i}", "m" * 3000, 1, 1) for i in range(20)]
        pages["most"] = 1  # SQLite takes that for "no more than there are"
        calls = (accounts.settle(admission, Spent(0, 1, 1)) for admission in settled)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {AccountsError}
        assert "no more space on its disk: free some" in str(outcomes[0])
        assert await accounts.usage() == []
        assert (await accounts.balance(key)).held_nano == 20 * 700  # nothing happened in part
        pages["most"] = 10**6
        await accounts.settle(settled[0], Spent(0, 1, 0))  # the newer word counts
        database = Database(sqlite_url)
        await eventually(lambda: count(database, schema.ledger) == 20)  # and the rest by itself
        database.close()
        assert (await accounts.balance(key)).available_nano == NANO - 20 * 280 - 19 * 420

    run(sqlite_url, scenario, tick_s=0.05)


def test_a_database_that_goes_and_comes_back(cluster):
    url = cluster.create("comes_back")
    secret = make_key(url)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        admission = await accounts.admit(key, "r", "m", 10, 10)
        await accounts.settle(await accounts.admit(key, "durable", "m", 1, 1), Spent(0, 1, 1))
        cluster.stop()
        try:
            with pytest.raises(AccountsError, match=r"comes_back failed \(") as error:
                await accounts.settle(admission, Spent(0, 10, 2))
            assert "unused-password" not in str(error.value)
            with pytest.raises(AccountsError):
                await accounts.admit(key, "s", "m", 10, 10)
            accounts._known.clear()
            with pytest.raises(AccountsError):
                await accounts.authenticate(secret)
        finally:
            cluster.start()
        assert (await accounts.authenticate(secret)).name == "k"
        database = Database(url)
        await eventually(lambda: count(database, schema.ledger) == 2)
        database.close()
        assert (await accounts.admit(key, "s", "m", 10, 10)).max_tokens == 10

    run(url, scenario, tick_s=0.05)


def test_a_hold_that_nobody_was_told_of_is_given_back(url):
    """As when the connection breaks after the commit, before its answer."""
    secret = make_key(url)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        kept = await accounts.admit(key, "kept", "m", 10, 10)
        database = Database(url)
        stray = dict(request_id="stray", key_id=key.id, at=0, amount_nano=99)
        with database.writing() as connection:
            connection.execute(
                schema.holds.insert(), {**stray, "instance_id": accounts._instance.id}
            )
            less = schema.api_keys.c.balance_nano - 99
            connection.execute(schema.api_keys.update().values(balance_nano=less))
        accounts._writer._in_doubt = True
        await eventually(lambda: count(database, schema.holds) == 1)
        database.close()
        assert (await accounts.balance(key)).held_nano == kept.held_nano

    run(url, scenario, tick_s=0.05)


def test_a_settlement_is_synced_to_the_disk_and_an_admission_need_not_be(url):
    """A lost page cache cannot be had in a test, so this reads what the database is told."""
    secret = make_key(url)

    async def scenario(accounts):
        told = []
        sa.event.listen(
            accounts._database._engine,
            "before_cursor_execute",
            lambda _c, _cursor, statement, *_: told.append(statement),
        )

        def synced():
            marks = [line for line in told if "synchronous" in line]
            told.clear()
            return marks in ([], ["PRAGMA synchronous=FULL"])

        key = await accounts.authenticate(secret)
        admission = await accounts.admit(key, "r", "m", 1, 1)
        assert not synced()
        await accounts.settle(admission, Spent(0, 1, 1))
        assert synced()

    run(url, scenario, tick_s=600)


def test_one_row_that_cannot_be_written_does_not_hurt_the_others(url):
    secret = make_key(url)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        admitted = [await accounts.admit(key, f"r{i}", "m", 1, 1) for i in range(3)]
        counts = (1, 2**63, 1)  # a column has 63 bits
        calls = (accounts.settle(a, Spent(0, n, 1)) for a, n in zip(admitted, counts))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [type(None), AccountsError, type(None)]
        assert "'r1' cannot be settled" in str(outcomes[1])

    run(url, scenario)


def test_a_top_up_beside_the_server_is_waited_for_and_counts(url):
    secret = make_key(url, 0)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        database = Database(url)
        with database.writing() as connection:  # as top_up does, but slowly
            more = schema.api_keys.c.balance_nano + NANO
            connection.execute(schema.api_keys.update().values(balance_nano=more))
            row = {"key_id": key.id, "at": 0, "amount_nano": NANO}
            connection.execute(schema.topups.insert(), row)
            asked = asyncio.create_task(accounts.admit(key, "r", "m", 1, 1))
            await asyncio.sleep(0.2)
            assert not asked.done()
        assert (await asked).held_nano == 700
        database.close()

    run(url, scenario)


def test_closed_accounts_refuse_instead_of_hanging(sqlite_url):
    secret = make_key(sqlite_url)

    async def scenario():
        accounts = Accounts.open(sqlite_url)
        key = await accounts.authenticate(secret)
        await accounts.close()
        with pytest.raises(AccountsError, match="closed"):
            await accounts.admit(key, "r", "m", 1, 1)

    asyncio.run(scenario())
