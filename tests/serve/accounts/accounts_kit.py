"""What the tests of the accounts share: keys, a clock, other processes, an audit after each."""

import asyncio
import subprocess
import sys

import sqlalchemy as sa

from speciale.serve.accounts import keys, schema
from speciale.serve.accounts.accounts import Accounts
from speciale.serve.accounts.database import Database
from speciale.serve.accounts.prices import NANO
from speciale.serve.accounts.usage import audit


class Clock:
    """Time that passes when told to."""

    def __init__(self):
        self.now = 2_000_000_000.0  # later than this test, as keys are made in true time

    def __call__(self):
        return self.now


def make_key(url, nano=NANO, name="k", **limits):
    database = Database(url)
    _, secret = keys.create_key(database, name, limits)
    if nano:
        keys.top_up(database, name, nano)
    database.close()
    return secret


def run(url, scenario, prices=None, **options):
    """Runs `scenario(accounts)` with the accounts open, and audits the database after it."""

    async def whole():
        accounts = Accounts.open(url, prices, **options)
        try:
            return await scenario(accounts)
        finally:
            await accounts.close()

    result = asyncio.run(whole())
    database = Database(url)
    assert audit(database) == []
    assert count(database, schema.holds) == 0
    database.close()
    return result


def count(database, table):
    with database.reading() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table))


async def eventually(condition):
    while not await asyncio.to_thread(condition):
        await asyncio.sleep(0.02)


WORKER = """
import asyncio, sys
from speciale.serve.accounts.accounts import Accounts
from speciale.serve.accounts.metering import Refused, Spent

url, secret, name, what = sys.argv[1:]

async def overspend(accounts, key):
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    asked = (accounts.admit(key, f"{name}{i}", "m", 100, 50) for i in range(100))
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert all(isinstance(a, Refused) for a in answers if isinstance(a, Exception)), answers
    print(sum(a.held_nano for a in answers if not isinstance(a, Exception)), flush=True)
    await asyncio.to_thread(sys.stdin.readline)  # its holds last as long as it lives

async def settle(accounts, key):
    for i in range(5):
        await accounts.admit(key, f"{name}never{i}", "m", 100, 50)
    async def stream(i):
        n = 0
        while True:
            admission = await accounts.admit(key, f"{name}{i}-{n}", "m", 100, 50)
            await accounts.settle(admission, Spent(0, 100, 5, 0, "stop"))
            print(admission.request_id, flush=True)
            n += 1
    await asyncio.gather(*(stream(i) for i in range(20)))

async def main():
    accounts = Accounts.open(url)
    key = await accounts.authenticate(secret)
    await globals()[what](accounts, key)
    await accounts.close()

asyncio.run(main())
"""


def worker(*arguments):
    command = [sys.executable, "-c", WORKER, *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
