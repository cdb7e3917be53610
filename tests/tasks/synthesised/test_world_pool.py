"""Warm worlds: the verdicts are those of processes of an attempt's own, states do not mix, and what
breaks is replaced."""

import asyncio
import json
import sqlite3
from dataclasses import replace

import pytest

from speciale.sandbox import Sandbox
from speciale.tasks.synthesised.family import About, Family, TaskAbout, TaskFiles
from speciale.tasks.synthesised.pool import WorldPool
from speciale.tasks.synthesised.processes import Broke
from speciale.tasks.synthesised.purity import is_pure
from speciale.tasks.synthesised.source import family_task
from speciale.tasks.task import Attempt

SCHEMA = "CREATE TABLE cups (name TEXT NOT NULL, n INTEGER NOT NULL);\n"
TOOLS = '''
import sqlite3


def count(db: sqlite3.Connection, name: str) -> int:
    """How many there are."""
    row = db.execute("SELECT n FROM cups WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise ValueError(f"there is no {name}")
    return row[0]


def add(db: sqlite3.Connection, name: str, n: int) -> int:
    """Adds some."""
    db.execute("UPDATE cups SET n = n + ? WHERE name = ?", (n, name))
    return count(db, name)


def spin(db: sqlite3.Connection) -> int:
    """Ends its process."""
    raise SystemExit(3)
'''
KEEPS = (
    TOOLS
    + '''

_seen = []


def often(db: sqlite3.Connection) -> int:
    """How often it was called, which no row says."""
    _seen.append(1)
    return len(_seen)
'''
)
VERIFY = """
def verify(answer, before, after):
    if answer == "die":
        raise SystemExit(4)
    n = after.execute("SELECT n FROM cups WHERE name = 'red'").fetchone()[0]
    if n != 5:
        return f"There are {n} and not 5."
    return True if answer == 5 else "It is another one."
"""


def family(tools=TOOLS, id="cups-1"):
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA + "INSERT INTO cups VALUES ('red', 3), ('blue', 1);")
    about = About(
        id=id, kind="general", category="cups", seed=0, generator="procedural", speciale="0"
    )
    task = TaskFiles(
        TaskAbout(prompt="Have five red cups.", answer_schema={"type": "integer"}),
        {"solution.py": b"", "verify.py": VERIFY.encode()},
    )
    files = {"schema.sql": SCHEMA.encode(), "data.sqlite": db.serialize(),
             "tools.py": tools.encode()}  # fmt: skip
    return Family(about, files, {"000": task})


def attempt(answer, *calls):
    made = [
        {"role": "assistant", "content": "", "tool_calls": [
            {"id": "1", "type": "function",
             "function": {"name": name, "arguments": json.dumps(arguments)}}
        ]}
        for name, arguments in calls
    ]  # fmt: skip
    return Attempt(answer, made)


RED = {"name": "red"}
ATTEMPTS = [
    (1.0, attempt("5", ("count", RED), ("add", {**RED, "n": 2}))),
    (1.0, attempt("5", ("add", {**RED, "n": 1}), ("add", {**RED, "n": 1}))),
    (0.0, attempt("6", ("add", {**RED, "n": 2}))),  # the state is right, the answer is not
    (0.0, attempt("5", ("add", {**RED, "n": 3}))),  # the other way round
    (0.0, attempt("5", ("count", RED))),
    (0.0, attempt("5")),
    (0.0, attempt("none")),
    (0.0, attempt("5", ("nothing", {}), ("add", {"n": 2}), ("add", {**RED, "n": "2"}))),
    (1.0, attempt("5", ("count", {"name": "x"}), ("add", {**RED, "n": 2}), ("nothing", {}))),
    (0.0, attempt("5", ("add", {**RED, "n": 2}), ("spin", {}))),
    (0.0, attempt("5", ("spin", {}), ("add", {**RED, "n": 2}))),
]


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


@pytest.mark.parametrize("tools,attempts", [(TOOLS, ATTEMPTS), (KEEPS, ATTEMPTS[1::4])])
def test_verdicts_are_those_of_processes_of_ones_own(sandbox, tools, attempts):
    async def judged():
        async with WorldPool(sandbox) as pool:
            own = family_task(family(tools), "000", sandbox=sandbox)
            warm = family_task(family(tools), "000", sandbox=sandbox, pool=pool)
            for score, each in attempts:
                verdict = await own.verify(each)
                assert verdict.score == score, verdict
                for _ in range(2):  # the second time from memory
                    assert await warm.verify(each) == verdict
            assert (await warm.verify(Attempt('"die"'))).score == 0
            assert (await warm.verify(ATTEMPTS[0][1])).score == 1

    asyncio.run(judged())


def test_open_worlds_do_not_see_each_other(sandbox):
    async def acted():
        async with WorldPool(sandbox, most=2) as pool:
            task = family_task(family(), "000", pool=pool)
            async with task.open() as one, task.open() as other, task.open() as third:
                assert (await one.call("add", {**RED, "n": 2})).text == "5"
                assert (await other.call("count", RED)).text == "3"
                assert (await other.call("add", {**RED, "n": 9})).text == "12"
                both = await asyncio.gather(one.call("count", RED), other.call("count", RED))
                assert [each.text for each in both] == ["5", "12"]
                assert (await third.call("count", RED)).text == "3"
                assert (await one.call("count", {"name": "x"})).error
                assert [tool["function"]["name"] for tool in one.tools] == ["count", "add", "spin"]

    asyncio.run(acted())


def test_tools_that_keep_more_than_rows(sandbox):
    """Their calls are made again in order, reading ones too."""

    async def acted():
        async with WorldPool(sandbox, most=2) as pool:
            task = family_task(family(KEEPS), "000", pool=pool)
            async with task.open() as one, task.open() as other:
                for seen in ("1", "2", "3"):
                    for world in (one, other):
                        assert (await world.call("often", {})).text == seen

    asyncio.run(acted())


def test_a_process_that_broke_is_replaced_and_few_are_kept(sandbox):
    async def acted():
        async with WorldPool(sandbox, most=2) as pool:
            task = family_task(family(), "000", pool=pool)
            async with task.open() as world:
                with pytest.raises(Broke):
                    await world.call("spin", {})
            begun = pool.started
            async with task.open() as world:
                assert (await world.call("count", RED)).text == "3"
            assert pool.started == begun + 1
            others = [family(id=f"cups-{number}") for number in range(2, 6)]
            tasks = [family_task(each, "000", pool=pool) for each in others]
            verdicts = await asyncio.gather(
                *(each.verify(ATTEMPTS[0][1]) for each in tasks for _ in range(3))
            )
            assert [each.score for each in verdicts] == [1.0] * 12
            assert len(pool._slots) <= 2

    asyncio.run(acted())


def test_a_cancelled_call_leaves_no_reply_behind(sandbox):
    slow = (
        TOOLS
        + '''

def slow(db: sqlite3.Connection) -> int:
    """Takes its time."""
    n = 0
    while n < 3_000_000:
        n += 1
    return n
'''
    )

    async def acted():
        async with WorldPool(sandbox) as pool:
            task = family_task(family(slow), "000", pool=pool)
            async with task.open() as world:
                assert (await world.call("count", RED)).text == "3"
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(world.call("slow", {}), 0.02)
                assert (await world.call("add", {**RED, "n": 1})).text == "4"

    asyncio.run(acted())


def test_an_edited_family_is_another_one(sandbox):
    async def acted():
        async with WorldPool(sandbox) as pool:
            first = family_task(family(), "000", pool=pool)
            assert (await first.verify(ATTEMPTS[0][1])).score == 1
            edited = family()
            files = {**edited.tasks["000"].files, "verify.py": VERIFY.replace("5", "6").encode()}
            task = replace(edited.tasks["000"], files=files)
            second = family_task(replace(edited, tasks={"000": task}), "000", pool=pool)
            assert (await second.verify(ATTEMPTS[0][1])).score == 0

    asyncio.run(acted())


def test_what_is_pure():
    assert is_pure(TOOLS) and is_pure("LIMIT = 3\n" + TOOLS)
    for bad in (
        KEEPS, "SEEN = []\n" + TOOLS, TOOLS.replace("return row[0]", "count.n = 1"),
        TOOLS.replace("name: str)", "name: str, seen: list = [])"),
        TOOLS.replace("UPDATE cups", "CREATE TEMP TABLE t(a); UPDATE cups"), "def f(:",
        TOOLS.replace("    raise SystemExit(3)", "    global x\n    x = 1"),
        "import functools\n\n\n@functools.cache\n" + TOOLS.lstrip().split("\n\n\n", 1)[1],
    ):  # fmt: skip
        assert not is_pure(bad), bad
