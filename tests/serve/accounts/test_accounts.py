"""Keys and money: secrets are hashed, holds never overspend, the ledger is exact."""

import asyncio
from collections import Counter

import pytest
from accounts_kit import count, eventually, make_key, run, worker

from speciale.errors import ConfigError
from speciale.serve.accounts import keys, schema
from speciale.serve.accounts.database import AccountsError, Database
from speciale.serve.accounts.metering import Refused, Spent
from speciale.serve.accounts.prices import NANO, Price, Prices
from speciale.serve.accounts.usage import audit


def test_a_secret_is_nowhere_in_the_file_and_others_are_refused(sqlite_url, tmp_path):
    secret = make_key(sqlite_url)
    assert secret.startswith("sk-") and len(secret) == 3 + 43  # 32 bytes in base64

    async def scenario(accounts):
        assert (await accounts.authenticate(secret)).name == "k"
        for wrong in ("", "sk-", secret[:-1], secret + "x", secret.upper(), "sk-\ud800"):
            assert await accounts.authenticate(wrong) is None

    run(sqlite_url, scenario)
    for file in tmp_path.iterdir():
        held = file.read_bytes()
        assert secret[3:].encode() not in held and secret[8:].encode() not in held
        assert file.stat().st_mode & 0o077 == 0  # nobody else reads it


def test_a_revoked_key_is_refused(url):
    secret = make_key(url)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        admission = await accounts.admit(key, "r1", "m", 10, 10)
        await asyncio.to_thread(keys.revoke_key, Database(url), "k")
        with pytest.raises(Refused, match="revoked") as refused:  # at once, remembered or not
            await accounts.admit(key, "r2", "m", 10, 10)
        assert (refused.value.kind, refused.value.status) == ("revoked", 401)
        await accounts.settle(admission, Spent(0, 10, 10))  # what was under way is charged
        accounts._known.clear()  # as after two seconds
        assert await accounts.authenticate(secret) is None

    run(url, scenario)


def test_a_secret_replaced_voids_the_old_one(url):
    old = make_key(url)
    other = make_key(url, name="other")
    database = Database(url)
    keys.revoke_key(database, "k")
    new = keys.replace_secret(database, "k")
    assert keys.replace_secret(database, "other", "sk-chosen-by-hand") == "sk-chosen-by-hand"
    assert keys.find_key(database, "other").prefix == "sk-c"  # a quarter of it at most
    with pytest.raises(AccountsError, match="another key's"):
        keys.replace_secret(database, "k", "sk-chosen-by-hand")
    found = [keys.key_of_secret(database, keys.hash_secret(s)) for s in (old, other, new)]
    assert [key and key.name for key in found] == [None, None, "k"]
    database.close()


def test_authentication_asks_the_database_once_for_many(sqlite_url, monkeypatch):
    secret, asked = make_key(sqlite_url), []
    real = keys.key_of_secret
    monkeypatch.setattr(keys, "key_of_secret", lambda *given: asked.append(1) or real(*given))

    async def scenario(accounts):
        found = await asyncio.gather(*(accounts.authenticate(secret) for _ in range(50)))
        assert {key.name for key in found} == {"k"}
        assert len(asked) == 1

    run(sqlite_url, scenario)


def test_a_name_is_taken_once_and_only_of_plain_characters(url):
    make_key(url)
    database = Database(url)
    with pytest.raises(AccountsError, match="'k' already"):
        keys.create_key(database, "k", {})
    for bad in ("", " k", "a\x1b[2J", "x" * 65, "=1+1"):
        with pytest.raises(ConfigError, match="cannot name a key"):
            keys.create_key(database, bad, {})
    with pytest.raises(AccountsError, match="no key named 'nobody'"):
        keys.top_up(database, "nobody", 1)
    with pytest.raises(AccountsError, match="add less"):
        keys.top_up(database, "k", 4 * 10**18)
    database.close()


def test_a_request_costs_exactly_its_tokens(url):
    secret = make_key(url, 10 * NANO)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        admission = await accounts.admit(key, "r", "m", 1000, 500)
        worst = 1000 * 280 + 500 * 420
        assert (admission.held_nano, admission.max_tokens, admission.priority) == (worst, 500, 0)
        balance = await accounts.balance(key)
        assert (balance.available_nano, balance.held_nano) == (10 * NANO - worst, worst)
        assert balance.as_deepseek()["balance_infos"][0]["total_balance"] == "10.00"
        await accounts.settle(admission, Spent(600, 400, 123, 100, "stop"))
        balance = await accounts.balance(key)
        spent = 600 * 28 + 400 * 280 + 123 * 420  # by hand: 180,460 nano-dollars
        assert (balance.available_nano, balance.held_nano) == (10 * NANO - spent, 0)
        assert balance.as_deepseek() == {
            "is_available": True,
            "balance_infos": [
                {
                    "currency": "USD",
                    "total_balance": "9.99981954",
                    "granted_balance": "0.00",
                    "topped_up_balance": "9.99981954",
                }
            ],
        }

    run(url, scenario)


def test_many_requests_at_once_sum_up_exactly(url):
    secret = make_key(url, 10 * NANO)
    other = make_key(url, 10 * NANO, name="other")
    sizes = [(i * 7 % 50, i * 13 % 90, i * 31 % 70) for i in range(300)]

    async def scenario(accounts):
        both = [await accounts.authenticate(secret), await accounts.authenticate(other)]

        async def request(i, hit, miss, out):
            admission = await accounts.admit(both[i % 2], f"r{i}", f"m{i % 3}", hit + miss, 100)
            await accounts.settle(admission, Spent(hit, miss, out, out // 2, "stop"))

        await asyncio.gather(*(request(i, *size) for i, size in enumerate(sizes)))
        left = [(await accounts.balance(key)).available_nano for key in both]
        return left, await accounts.usage("key"), await accounts.usage("model", key="other")

    left, by_key, by_model = run(url, scenario)
    costs = [hit * 28 + miss * 280 + out * 420 for hit, miss, out in sizes]
    assert left == [10 * NANO - sum(costs[0::2]), 10 * NANO - sum(costs[1::2])]
    assert [(row.group, row.requests, row.cost_nano) for row in by_key] == [
        ("k", 150, sum(costs[0::2])),
        ("other", 150, sum(costs[1::2])),
    ]
    assert [row.group for row in by_model] == ["m0", "m1", "m2"]
    assert sum(row.completion_tokens for row in by_model) == sum(out for *_, out in sizes[1::2])


def test_200_admissions_at_once_do_not_overspend(url):
    worst = 100 * 280 + 50 * 420
    capped = 100 * 280 + 7 * 420  # what is left pays for 7 tokens of answer
    secret = make_key(url, 10 * worst + capped + 419)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        asked = (accounts.admit(key, f"r{i}", "m", 100, 50) for i in range(200))
        answers = await asyncio.gather(*asked, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, Refused)]
        admitted = [answer for answer in answers if not isinstance(answer, Exception)]
        assert len(refused) == 189
        assert {(r.kind, r.status, r.retry_after_s) for r in refused} == {("balance", 402, None)}
        assert Counter(a.max_tokens for a in admitted) == {50: 10, 7: 1}
        assert (await accounts.balance(key)).available_nano == 419
        for admission in admitted:
            await accounts.settle(admission, Spent(0, 100, admission.max_tokens))
        assert (await accounts.balance(key)).available_nano == 419

    run(url, scenario)


def test_two_processes_do_not_overspend_together(url):
    worst = 100 * 280 + 50 * 420
    secret = make_key(url, 40 * worst)  # each of the two would use it up alone
    both = [worker(url, secret, name, "overspend") for name in "ab"]
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    held = [int(process.stdout.readline()) for process in both]
    assert sum(held) == 40 * worst
    database = Database(url)
    assert count(database, schema.holds) == 40
    assert audit(database) == []
    for process in both:
        process.communicate("end\n")
        assert process.returncode == 0
    assert count(database, schema.holds) == 0
    database.close()


def test_a_second_settle_changes_nothing(url):
    secret = make_key(url)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        admission = await accounts.admit(key, "r", "m", 10, 10)
        spent = Spent(0, 10, 1)
        await asyncio.gather(*(accounts.settle(admission, spent) for _ in range(5)))
        await accounts.settle(admission, Spent(0, 10, 9))
        assert [row.completion_tokens for row in await accounts.usage()] == [1]
        assert (await accounts.balance(key)).available_nano == NANO - 2800 - 420
        with pytest.raises(AccountsError, match="'r' was used before"):
            await accounts.admit(key, "r", "m", 10, 10)
        # One bad id among others of the same batch is refused alone.
        asked = (accounts.admit(key, name, "m", 10, 10) for name in ("s", "r", "t", "s"))
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(o, AccountsError) for o in outcomes] == [False, True, False, True]

    run(url, scenario)


def test_more_than_was_held_is_charged_too(url):
    """An upstream may count a prompt otherwise than we do: the row is right, and nothing starts."""
    secret = make_key(url, 10 * 280 + 420)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        admission = await accounts.admit(key, "r", "m", 10, 10)
        assert admission.max_tokens == 1
        await accounts.settle(admission, Spent(0, 12, 1))
        balance = await accounts.balance(key)
        assert balance.available_nano == -2 * 280
        assert not balance.as_deepseek()["is_available"]
        with pytest.raises(Refused, match=r"-0\.00000056 USD.*does not pay"):
            await accounts.admit(key, "s", "m", 0, 1)

    run(url, scenario)


def test_an_admission_that_nobody_waits_for_is_given_back(url):
    secret = make_key(url)

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        asked = [asyncio.create_task(accounts.admit(key, f"r{i}", "m", 9, 9)) for i in range(20)]
        await asyncio.sleep(0)  # they are with the writer now
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        last = await accounts.admit(key, "last", "m", 9, 9)  # in turn: they were admitted before
        database = Database(url)
        await eventually(lambda: count(database, schema.holds) == 1)
        database.close()
        await accounts.settle(last, Spent(0, 0, 0))
        assert (await accounts.balance(key)).available_nano == NANO
        assert [row.requests for row in await accounts.usage()] == [1]

    run(url, scenario)


def test_models_and_their_prices(url):
    secret = make_key(url, 1000, models=["free", "dear"])
    prices = Prices(models={"free": Price(0, 0, 0), "dear": Price(1, 10, 100)})

    async def scenario(accounts):
        key = await accounts.authenticate(secret)
        with pytest.raises(Refused, match="only free, dear") as refused:
            await accounts.admit(key, "r", "other", 1, 1)
        assert (refused.value.kind, refused.value.status) == ("model", 404)
        admission = await accounts.admit(key, "r", "free", 10**6, 10**6)
        assert (admission.held_nano, admission.max_tokens) == (0, 10**6)
        assert (await accounts.admit(key, "s", "dear", 50, 100)).max_tokens == 5

    run(url, scenario, prices)
