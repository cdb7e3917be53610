"""The interpreter kind's planted bad candidates, each refused by the gate it was planted for.

All of them lie in one family beside two good tasks, over one small data file.
"""

import asyncio
import json

import pytest

from speciale.sandbox import Sandbox
from speciale.synth.gates import GATES, gates_json, judge
from speciale.synth.interpreter import kernels
from speciale.synth.interpreter.problem import Problem
from speciale.synth.interpreter.slips import fewer_rows, off_by_one
from speciale.tasks.synthesised import world
from speciale.tasks.synthesised.family import About, Family, TaskFiles

pytestmark = pytest.mark.slow  # in .ci/run

ROWS = [(day, day * 37 % 401, "north" if day % 3 else "south") for day in range(1, 121)]
FILES = {"log.csv": "day,load,side\n" + "".join(f"{d},{load},{s}\n" for d, load, s in ROWS)}
TOTAL = sum(d * load for d, load, side in ROWS if side == "south")
LOAD = """
import csv
import json
with open('log.csv', newline='') as file:
    rows = [(int(row['day']), int(row['load']), row['side']) for row in csv.DictReader(file)]
"""
SUM = "total = sum(day * load for day, load, side in rows if side == 'south')"
TELL = "print(json.dumps({'total': total}))"
ASKED = "log.csv has day, load and side. What is the sum of day times load on the south side? "
FORM = 'Answer with JSON alone, such as {"total": 0}.'
GOOD = Problem(ASKED + FORM, {"total": TOTAL}, (LOAD, f"{SUM}\n{TELL}"), "products")
PRIMES = Problem(
    'How many primes are below 30,000? Answer with JSON alone, such as {"count": 0}.',
    {"count": 3245},
    ("import json\nsieve = [True] * 30000\nsieve[0] = sieve[1] = False\n"
     "for n in range(2, 174):\n    if sieve[n]:\n        for k in range(n * n, 30000, n):\n"
     "            sieve[k] = False\nprint(json.dumps({'count': sum(sieve)}))",),
    "primes",
)  # fmt: skip


def task(problem=GOOD, level=1, easier=None, **files):
    made = problem.files(level, easier)
    texts = {f"{name}.py": text.encode() for name, text in files.items()}
    return TaskFiles(made.about, {**made.files, **texts})


def cells(*codes, answer=None, prompt=GOOD.prompt):
    return task(Problem(prompt, answer or {"total": TOTAL}, codes, "planted"))


def extra(code):
    """The good task with one more line in its second cell."""
    return cells(LOAD, f"{code}\n{SUM}\n{TELL}")


def checking(body):
    return task(verify=f"def verify(answer, before, after):\n{body}")


def solving(body):
    return task(solution=f"import json\n\n\ndef solve(tools):\n{body}")


def plain(answer, code, prompt="What does the log say of the south side?"):
    return cells(LOAD, f"{code}\nprint(json.dumps({{'total': total}}))", answer={"total": answer},
                 prompt=f"{prompt} {FORM}")  # fmt: skip


RUN = "    tools.python(code='import json')\n"
ANSWER = json.dumps({"total": TOTAL})
PLANTED = {
    # What goes on in cells.
    "chance": (1, "chance", extra("import random\nrandom.random()")),
    "clock": (1, "clock", extra("from datetime import date\ndate.today()")),
    "module of time": (1, "clock", extra("import time\ntime.time()")),
    "clock by name": (1, "clock", extra("from operator import methodcaller as m\nm('now')")),
    "network": (1, "network", extra("import urllib.request")),
    "program": (1, "system", extra("import subprocess")),
    "magic": (1, "not plain Python", extra("!ls")),
    "writing": (1, "more than reading", extra("open('left.txt', 'w').write('x')")),
    "foreign file": (1, "not the task's", extra("open('/etc/passwd').read()")),
    "database on disk": (1, "a file", extra("import sqlite3\nsqlite3.connect('x.db')")),
    "kernel's insides": (1, "get_ipython", extra("get_ipython().history_manager")),
    "never ends": (1, "Interrupted", extra("while True:\n    pass")),
    "fails": (1, "ZeroDivisionError", extra("1 / 0")),
    "order of a set": (1, "differ in their calls", extra("print({side for _, _, side in rows})")),
    "another's variable": (1, "NameError", cells("import json\n" + SUM + "\n" + TELL)),
    "made at run time": (1, "chance", solving(
        f"    tools.python(code='imp' + 'ort ' + 'ran' + 'dom')\n    return {ANSWER}\n")),
    "no such tool": (1, "no tool 'bash'", solving(f"    return {ANSWER}, tools.bash(code='ls')\n")),
    "many cells": (1, "more than", solving(
        f"    for n in range(99):\n        tools.python(code='1')\n    return {ANSWER}\n")),
    "verifier's network": (1, "network", checking("    import socket\n    return True\n")),
    "verifier never ends": (1, "did not end", checking("    while True:\n        pass\n")),
    # What goes on in solutions.
    "opens a file": (2, "open", solving(f"    open('log.csv')\n    return {ANSWER}\n")),
    "no cell": (2, "no cell", task(solution="def solve(tools):\n    return {}\n")),
    "known beforehand": (2, "by no cell", solving(f"{RUN}    return {ANSWER}\n")),
    "computed outside": (2, "by no cell", solving(
        RUN + f"    return {{'total': sum([{TOTAL - 1}, 1])}}\n")),
    # Verifiers.
    "refuses": (3, "refuses", checking("    return 'no'\n")),
    "refuses by an error": (3, "raised", checking("    return answer['sum'] > 0\n")),
    "always accepts": (4, "lenient", checking("    return True\n")),
    "any number": (4, "lenient", checking("    return isinstance(answer, dict)\n")),
    "near enough": (4, "near misses", checking(
        f"    ok = isinstance(answer, dict) and set(answer) == {{'total'}}\n"
        f"    ok = ok and isinstance(answer['total'], int)\n"
        f"    return ok and abs(answer['total'] - {TOTAL}) < 5\n")),
    "texts too": (4, "wrong types", checking(
        f"    return isinstance(answer, dict) and int(answer.get('total') or 0) == {TOTAL}\n")),
    # Shortcuts.
    "in the prompt": (5, "in the prompt", plain(
        TOTAL, SUM, f"Is the sum of day times load on the south side {TOTAL}, or what is it?")),
    "yes or no": (5, "guessed", plain(True, f"{SUM}\ntotal = total > 5")),
    "one digit": (5, "guessed", plain(7, f"{SUM}\ntotal = total * 0 + 7")),
    "round number": (5, "plain guess", plain(1000, f"{SUM}\ntotal = total * 0 + 1000")),
    "rows": (5, "rows", plain(120, "total = len(rows)")),
    "greatest": (5, "load", plain(max(r[1] for r in ROWS), "total = max(r[1] for r in rows)")),
    "raw sum": (5, "sum", plain(sum(r[1] for r in ROWS), "total = sum(r[1] for r in rows)")),
    # Difficulty.
    "no harder": (6, "no harder", task(GOOD, 2, "000")),
    "harder than none": (6, "no task", task(GOOD, 2, "099")),
    "of one level": (6, "level 1", task(GOOD, 1, "000")),
    # Reference policy.
    "nothing to slip": (8, "solved", solving(
        f"    tools.python(code='print({TOTAL})')\n    return {ANSWER}\n")),
}  # fmt: skip


def family(tasks, **fields):
    about = About(id="interpreter-test", kind="interpreter", category="data", seed=0,
                  generator="procedural", speciale="0")  # fmt: skip
    files = {f"files/{path}": text.encode() for path, text in FILES.items()}
    numbered = {f"{number:03d}": each for number, each in enumerate(tasks)}
    return Family(about, fields.get("files", files), numbered)


@pytest.fixture(scope="module")
def sandbox():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "CELL_S", 3.0)  # what never ends should end sooner here
        patch.setattr(kernels, "WORK_S", 8.0)
        patch.setattr(world, "WORK_S", 3.0)
        box = Sandbox()
        yield box
        box.close()


@pytest.fixture(scope="module")
def judged(sandbox):
    bad = [each for _, _, each in PLANTED.values()]
    verdicts = asyncio.run(judge(family([task(), task(PRIMES), *bad]), sandbox))
    return verdicts, dict(zip(PLANTED, list(verdicts)[2:]))


@pytest.mark.parametrize("name", PLANTED)
def test_planted_task_is_refused(judged, name):
    verdicts, numbers = judged
    gate, words, _ = PLANTED[name]
    refusal = verdicts[numbers[name]].refusal
    assert refusal is not None and refusal.number == gate, refusal
    assert words in refusal.reason, refusal.reason


def test_good_tasks_pass_beside_all_those(judged):
    verdicts, _ = judged
    for number in ("000", "001"):
        assert verdicts[number].refusal is None
        assert {gate.number for gate in verdicts[number].gates} == set(GATES) - {7}  # the store's
    evidence = {gate.number: gate.evidence for gate in verdicts["000"].gates}
    assert evidence[1]["runs"] == 3 and "'south'" in evidence[1]["trace"][1]["arguments"]["code"]
    assert evidence[3]["answer"] == {"total": TOTAL}
    assert evidence[6]["calls"] == 2 and evidence[6]["rows"] == 120
    assert 0 < evidence[8]["passed"] < evidence[8]["attempts"]
    assert json.dumps(gates_json(verdicts))


def test_files_that_are_no_text_are_refused(sandbox):
    verdicts = asyncio.run(judge(family([task()], files={"files/log.csv": b"\xff\xfe"}), sandbox))
    assert verdicts["000"].refusal.number == 1 and "no text" in verdicts["000"].refusal.reason


def test_slips_change_a_cell_and_a_file():
    from random import Random

    code = "while n > 3:\n    n -= 1\nprint(n <= 7)"
    seen = {off_by_one(code, Random(seed)) for seed in range(30)}
    assert len(seen) == 3 and all("n > 3" in each and "n -= 1" in each for each in seen)
    rows = fewer_rows("a\n1\n2\n3\n4\n5\n6\n", Random(0)).splitlines()
    assert rows[0] == "a" and len(rows) == 5
