"""An author of tiny families and gates that need no sandbox, for the tests of store and pools.

Items say what goes wrong: "wrong" names a fault, "copy" makes the prompts of another item.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import sys
import tempfile
import time
from pathlib import Path

from speciale.sandbox import SandboxError
from speciale.synth import database as db
from speciale.synth.gates.gate import GATES, Gate, Judged
from speciale.synth.work import Rejected, Result
from speciale.tasks.synthesised.family import About, Family, TaskAbout, TaskFiles

AUTHORS = {"small": "small_worlds:make"}
JUDGE = "small_worlds:judge"
VERIFY = b"def verify(answer, before, after):\n    return answer == 1\n"
TOOLS = b'''
def look(db, name: str) -> dict:
    """Looks one up.

    Args:
        name: Of what.
    """
    return {"a": 1}
'''
SHAPES = (
    "    return tools.look(name={0!r})\n",
    "    found = tools.look(name={0!r})\n    return found['a'] + {1}\n",
    "    return [x for x in tools.all(page={1}) if x > {1}]\n",
    "    total = {1}\n    for row in tools.all(page=1):\n        total -= row\n    return total\n",
)


def items(count, start=0, **more):
    """Items small-0000 and on; every seventh is rejected by its author, every ninth fails."""
    for number in range(start, start + count):
        item = {"author": "small", "key": f"small-{number:04d}", "number": number, **more}
        if number % 7 == 6:
            item["wrong"] = "rejects"
        elif number % 9 == 8:
            item["wrong"] = "raises"
        yield item


def words(rng, count):
    return " ".join("".join(rng.choices("abcdefghijklmnop", k=5)) for _ in range(count))


def make(item):
    wrong = item.get("wrong")
    if item.get("sleep"):
        time.sleep(random.Random(item["key"]).random() * item["sleep"])
    if wrong == "rejects":
        raise Rejected("no world came of it")
    if wrong == "raises":
        raise ZeroDivisionError("a fault of the author's")
    if wrong == "dies":
        os.kill(os.getpid(), 9)
    if wrong == "dies once" and not (mark := Path(item["mark"])).exists():
        mark.write_text("")
        sys.stdout.flush()
        os._exit(3)
    if wrong == "hangs":
        time.sleep(600)
    number = item["number"]
    rng = random.Random(item.get("copy", number))
    tasks = {}
    for index in range(item.get("tasks", 3)):
        name, constant = words(rng, 1), rng.randrange(1000)
        shape = SHAPES[rng.randrange(len(SHAPES))]
        solution = f"def solve(tools):\n{shape.format(name, constant)}"
        about = TaskAbout(
            prompt=f"{words(rng, 12)} Answer with JSON alone.", level=index % 3 + 1,
            pattern=f"p{index}", metadata={"index": index, "wrong": wrong},
        )  # fmt: skip
        tasks[f"{index:03d}"] = TaskFiles(
            about, {"solution.py": solution.encode(), "verify.py": VERIFY}
        )
    about = About(
        id=item["key"] if wrong != "renames" else "other", kind="general",
        category=("travel", "shop")[number % 2], seed=number, generator="procedural", speciale="0",
    )  # fmt: skip
    data = words(rng, 50).encode() + b"\xff"
    files = {"schema.sql": b"create table t(a);\n", "data.sqlite": data, "tools.py": TOOLS}
    if wrong == "path":
        files["a b"] = b"x"
    if wrong == "long path":
        files["a" * 300] = b"x"
    if wrong == "vanishes":
        files["x.pyc"] = b"x"
    return Family(about, files, tasks)


async def judge(family, sandbox):
    """Gate 4 refuses the task whose constants ask for it; about one in four."""
    judged = {}
    for number, task in family.tasks.items():
        wrong = task.about.metadata["wrong"]
        if wrong == "no sandbox":
            raise SandboxError("there is no sandbox")
        if wrong == "judge raises":
            raise ValueError("a fault of the gates'")
        if wrong == "no JSON":
            return {number: Judged("", (Gate(1, True, {"a": {1, 2}}),))}
        refused = wrong == "all refused" or sum(task.files["solution.py"]) % 4 == 0
        gates = []
        for gate in sorted(set(GATES) - {7}):
            evidence = {"seen": len(task.files), "name": "é"}
            if gate == 3:
                evidence = {"answer": {"it": [1, "é"]}, "changed": False}
            if gate == 6:
                evidence = {"calls": 3 + task.about.level, "space_log10": 2.5 * task.about.level}
            if gate == 8:
                evidence = {"passed": 8, "attempts": 16}
            if refused and gate == 4:
                gates.append(Gate(4, False, evidence, "The verifier accepts null."))
                break
            gates.append(Gate(gate, True, evidence))
        judged[number] = Judged(family.digest(number), tuple(gates))
    return judged


@contextlib.contextmanager
def quick_folder():
    """In memory, where there is such a place: these tests sync thousands of files."""
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=place) as made:
        yield Path(made)


def tree(folder):
    """Every file of a store's families and rejected items, by its path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for part in ("families", "rejected")
        for path in sorted(Path(folder, part).rglob("*"))
        if path.is_file()
    }


class Inline:
    """A pool that works in this process, without a sandbox."""

    def results(self, items, needed=None):
        for item in items:
            try:
                family = make(item)
            except Rejected as refusal:
                yield Result(item, reason=str(refusal))
            except ArithmeticError as error:
                yield Result(item, reason=str(error), failed=True)
            else:
                yield Result(item, family, asyncio.run(judge(family, None)))


def index_rows(store):
    """What the index says, whole."""
    with store.index.database.reading() as connection:
        return {
            table.name: sorted(map(repr, connection.execute(table.select())))
            for table in (db.families, db.tasks, db.bands)
        }
