"""Bad candidates, each with the gate that has to refuse it and words of its reason.

TASKS go into one family beside two good tasks; WORLDS each are a family with another tools.py,
schema or database around the good reading task.
"""

import inn
from inn import READ, TOOLS, VERIFY_READ, VERIFY_WRITE, WRITE, reading, task, writing

PRICE, CROWN = "answer.get('price')", "answer.get('inn') == 'Crown'"
STRICT = f"type({PRICE}) is int and {PRICE} == 52"
FILL = {"town": "Ely", "beds": 2}
SOLVE, CHECK = READ.format(**FILL), VERIFY_READ.format(**FILL)
BOOK, BOOKED = WRITE.format(**FILL), VERIFY_WRITE.format(**FILL)
PROMPT, BOOKING = reading().about.prompt, writing().about.prompt


def solving(first="", instead="", **more):
    """The reading task; `first` lines in its solution, or another solution."""
    body = instead or SOLVE.replace("    best = None\n", f"    best = None\n{first}")
    return task(PROMPT, body, CHECK, **more)


def line(text):
    return solving(f"    {text}\n")


def top(text):
    return task(PROMPT, f"{text}\n\n\n{SOLVE}", CHECK)


def checking(body, of=None):
    """The reading task with another verifier's body."""
    return task(PROMPT, SOLVE, "def verify(answer, before, after):\n" + body)


def booking(body):
    return task(BOOKING, BOOK, "def verify(answer, before, after):\n" + body)


def ends(expression):
    """The reading task whose solution and verifier both hold `expression` for the answer."""
    return task(
        PROMPT,
        SOLVE.replace('{"inn": best[0], "price": best[1]}', expression),
        f"def verify(answer, before, after):\n    return answer == {expression!s}\n",
    )


def strict(condition):
    """A verifier that also sees that nothing was booked."""
    return (
        "def verify(answer, before, after):\n"
        "    if after.execute('SELECT 1 FROM bookings').fetchone():\n"
        "        return 'Nothing was to be booked.'\n"
        f"    return {condition}\n"
    )


COUNT = """\
def solve(tools):
    inns = tools.list_inns(town="Ely")
    tools.list_inns(town="York")
    return {answer}
"""


def counted(answer, right, prompt="How many inns are there in Ely, and what else? Think hard."):
    verify = strict(f"type(answer) is type({right!r}) and answer == {right!r}")
    return task(prompt, COUNT.format(answer=answer), verify)


def only(condition):
    """The reading task whose verifier wants no more of an object than this."""
    return task(PROMPT, SOLVE, strict(f"isinstance(answer, dict) and {condition}"))


LONG = """\
def solve(tools):
    total = 0
    for _ in range(250):
        total += sum(room["price"] for room in tools.list_rooms(inn_id=1))
    return total
"""
LONG_PROMPT = "Add up the prices of all rooms of the inn number 1, 250 times over. A number alone."

# name -> (gate, words of the reason, task)
TASKS = {
    # 1: runs
    "solution is no Python": (1, "not Python", task(PROMPT, "def solve(tools:\n", CHECK)),
    "no function solve": (1, "'solve'", task(PROMPT, "def other(tools):\n    return 1\n", CHECK)),
    "verifier is no Python": (1, "not Python", task(PROMPT, SOLVE, "def verify(:\n")),
    "no function verify": (1, "'verify'", task(PROMPT, SOLVE, "verify = True\n")),
    "solution opens a socket": (1, "network", top("import socket")),
    "solution asks the web": (1, "network", line("from urllib.request import urlopen")),
    "solution uses requests": (1, "network", top("import requests")),
    "verifier asks the web": (1, "network", checking("    import http.client\n    return True\n")),
    "solution reads the clock": (1, "clock", line("import time; time.time()")),
    "solution asks for today": (1, "clock", line("import datetime; datetime.date.today()")),
    "solution asks for now": (
        1, "clock", top("from datetime import datetime as d\nNOW = d.now()"),
    ),
    "verifier reads the database's clock": (
        1, "clock", checking('    before.execute("SELECT date(\'now\')")\n    return True\n'),
    ),
    "verifier throws dice": (
        1, "chance", checking('    before.execute("SELECT random()")\n    return True\n'),
    ),
    "solution throws dice": (1, "chance", line("import random; random.random()")),
    "solution makes a uuid": (1, "chance", top("import uuid")),
    "solution takes an id": (1, "chance", line("id(best)")),
    "order of a set": (
        1, "differ in their answer", ends("sorted({'a', 'b', 'c', 'd', 'e', 'f'}, key=len)[0]"),
    ),
    "hash of a text": (1, "differ in their answer", ends("hash('a') % 1000")),
    "calls in the order of a set": (
        1, "differ in their calls",
        line("[tools.list_inns(town=t) for t in {'Ely', 'York', 'Ayr', 'Bath', 'Hull', 'Wells'}]"),
    ),
    "solution never ends": (1, "did not end", solving("    while True: pass\n")),
    "solution raises": (1, "ZeroDivisionError", line("1 / 0")),
    "solution eats memory": (1, "MemoryError", line("[0] * 10**11")),
    "solution makes 400 calls": (
        1, "more than 300 calls", line("[tools.list_inns(town='Ely') for _ in range(400)]"),
    ),
    "solution calls what is not there": (1, "there is no tool", line("tools.delete_all()")),
    "solution calls with wrong types": (1, "beds", line("tools.list_inns(town='Ely', beds=2)")),
    "answer is no JSON": (1, "set", solving(instead="def solve(tools):\n    return {1, 2}\n")),
    "answer is not a number": (
        1, "ValueError", solving(instead="def solve(tools):\n    return float('nan')\n"),
    ),
    "solution exits": (1, "ended its process", line("raise SystemExit(0)")),
    "verifier never ends": (1, "did not end", checking("    while True: pass\n")),
    "verifier opens a database of its own": (
        1, "database", checking("    import sqlite3\n    sqlite3.connect('x')\n    return True\n"),
    ),
    "verifier reads a file": (1, "system", checking("    open('/etc/passwd')\n    return True\n")),
    "verifier lists files by a back way": (
        1, "must not",
        checking("    import collections\n    collections._sys.modules['os'].listdir('.')\n"
                 "    return True\n"),
    ),
    # 2: tools only
    "solution reads the database": (
        2, "sqlite3",
        top("import sqlite3\nROWS = list(sqlite3.connect('data.sqlite').execute('SELECT 1'))"),
    ),
    "solution opens the database's file": (2, "'open'", line("open('data.sqlite', 'rb')")),
    "solution opens a verifier": (2, "'open'", line("open('000.py').read()")),
    "solution runs eval": (2, "'eval'", line("eval('1')")),
    "solution runs exec": (2, "'exec'", line("exec('1')")),
    "solution imports by name": (2, "__import__", line("__import__('sqlite3')")),
    "solution climbs classes": (
        2, "hidden", line("().__class__.__base__.__subclasses__()"),
    ),
    "solution takes a function apart": (2, "__closure__", line("tools.list_inns.__closure__")),
    "solution makes an attribute's name": (
        2, "getattr", line("getattr(best, '_' + '_class_' + '_')"),
    ),
    "solution formats its way out": (2, "__class__", line("'{0.__class__}'.format(tools)")),
    "solution lists the folder": (2, "'os'", top("import os")),
    "solution starts a program": (2, "'subprocess'", line("import subprocess")),
    "solution looks for files": (2, "'pathlib'", line("from pathlib import Path")),
    "solution imports inspect": (2, "'inspect'", line("import inspect")),
    "solution reads its globals": (2, "'globals'", line("globals()")),
    "solution lists files by a back way": (
        2, "os.listdir",
        top("import collections\n\n\ndef look():\n    try:\n"
            "        collections._sys.modules['os'].listdir('.')\n    except Exception:\n"
            "        pass\n\n\nlook()"),
    ),
    "solution opens files by a back way": (
        2, "open",
        top("import json\n\n\ntry:\n    json.codecs.open('data.sqlite', 'rb')\n"
            "except Exception:\n    pass"),
    ),
    "solution starts programs by a back way": (
        2, "os.system",
        top("import enum\n\n\ntry:\n    enum.sys.modules['os'].system('true')\n"
            "except Exception:\n    pass"),
    ),
    "solution reaches for the network by a back way": (
        2, "socket",
        top("import collections\n\n\ntry:\n    lib = collections._sys.modules['importlib']\n"
            "    lib.import_module('socket').socket()\nexcept Exception:\n    pass"),
    ),
    # 3: accepts
    "verifier has another answer": (
        3, "No", checking('    return True if answer == {"inn": "x"} else "No"\n'),
    ),
    "verifier gives nothing": (3, "None", checking("    return None\n")),
    "verifier gives 1": (3, "gave 1", checking("    return 1\n")),
    "verifier raises": (3, "KeyError", checking("    return answer['hotel'] == 1\n")),
    "verifier recurses": (
        3, "RecursionError",
        task(PROMPT, SOLVE, "def verify(answer, before, after):\n"
             "    return verify(answer, before, after)\n"),
    ),
    "unsolvable": (
        3, "another one",
        task(
            PROMPT.replace("at least 2", "at least 9"),
            'def solve(tools):\n    tools.list_inns(town="Ely")\n    tools.list_rooms(inn_id=1)\n'
            '    return {"inn": "none", "price": 0}\n',
            CHECK,
        ),
    ),
    "solution forgets to write": (
        3, "Other rooms",
        task(BOOKING, BOOK.replace('tools.book(room_id=room, guest="Ada")', "pass"), BOOKED),
    ),
    # 4: rejects
    "accepts everything": (4, "nothing", checking("    return True\n")),
    "accepts every object": (4, "nothing", checking("    return isinstance(answer, dict)\n")),
    "accepts every inn": (
        4, "", checking("    return isinstance(answer, dict) and 'inn' in answer\n"),
    ),
    "accepts the right text alone": (4, "near misses", only(f"{CROWN} and type({PRICE}) is int")),
    "accepts a text within": (
        4, "Crown", only(f"'Crown' in str(answer.get('inn')) and {STRICT}"),
    ),
    "accepts prices nearby": (
        4, "near misses", only(f"{CROWN} and type({PRICE}) is int and abs({PRICE} - 52) < 5"),
    ),
    "accepts numbers as texts": (4, "wrong types", only(f"{CROWN} and str({PRICE}) == '52'")),
    "accepts it in a list": (
        4, "wrong types",
        checking("    answer = answer[0] if isinstance(answer, list) and answer else answer\n"
                 "    return answer == {'inn': 'Crown', 'price': 52}\n"),
    ),
    "accepts what others answer": (
        4, "other tasks",
        checking("    return answer in ({'inn': 'Crown', 'price': 52}, 105)\n"),
    ),
    "accepts an empty answer": (
        4, "nothing", checking("    return not answer or answer == dict(inn='Crown', price=52)\n"),
    ),
    "accepts after an error": (
        4, "",
        checking("    try:\n        return answer['inn'] == 'Crown' and answer['price'] == 52\n"
                 "    except Exception:\n        return True\n"),
    ),
    "does not look for writes": (
        4, "a write too many", checking("    return answer == {'inn': 'Crown', 'price': 52}\n"),
    ),
    "looks at the answer of a booking only": (
        4, "nothing written", booking("    return answer == 105 and answer is not True\n"),
    ),
    "looks for one of two bookings": (
        4, "one write",
        booking("    rows = after.execute('SELECT 1 FROM bookings WHERE room_id = 31').fetchall()\n"
                "    return type(answer) is int and answer == 105 and len(rows) == 1\n"),
    ),
    "counts bookings": (
        4, "one write changed",
        booking("    rows = after.execute('SELECT 1 FROM bookings').fetchall()\n"
                "    return type(answer) is int and answer == 105 and len(rows) == 2\n"),
    ),
    "takes lists as sets": (
        4, "near misses",
        task(
            'Name the inns of "Ely" by number, the lowest first, then those of York.',
            "def solve(tools):\n"
            '    both = tools.list_inns(town="Ely") + tools.list_inns(town="York")\n'
            '    return [inn["id"] for inn in both]\n',
            strict("type(answer) is list and len(answer) < 9 and set(map(type, answer)) == {int} "
                   "and set(answer) == {1, 2, 3, 4, 5}"),
        ),
    ),
    "takes true for 1": (
        4, "nothing",
        task(PROMPT, COUNT.format(answer="inns[0]['id']"), strict("answer == 1")),
    ),
    # 5: no shortcut
    "answer in the prompt": (
        5, "in the prompt", counted("'Crown'", "Crown", "Is it the Crown that is cheapest?"),
    ),
    "answer is yes": (5, "guessed", counted("len(inns) == 3", True, "Are there three?")),
    "one call counts": (5, "One call", counted("len(inns)", 3)),
    "one call has it first": (5, "One call", counted("inns[0]['name']", "The Bell")),
    "one call has it last": (5, "One call", counted("inns[-1]['name']", "Crown")),
    "one call sums up": (5, "One call", counted("sum(inn['id'] for inn in inns) + 0", 6)),
    "one call lists it": (
        5, "One call", counted("[inn['name'] for inn in inns]", ["The Bell", "Red Lion", "Crown"]),
    ),
    "one write does it": (
        5, "One call",
        task(
            'Book room 31 for the guest "Ada". Answer with the number of the room and 2 more.',
            'def solve(tools):\n    tools.list_rooms(inn_id=3)\n'
            '    return tools.book(room_id=31, guest="Ada")\n',
            "def verify(answer, before, after):\n    rows = [tuple(row) for row in "
            "after.execute('SELECT * FROM bookings')]\n"
            "    return answer == {'booked': 31} and rows == [(31, 'Ada')]\n",
        ),
    ),
    # 6: difficulty
    "one call solves it": (
        6, "1 call",
        task(
            "What is the sum of the squares of the numbers of the inns in Ely, times 77?",
            'def solve(tools):\n    inns = tools.list_inns(town="Ely")\n'
            '    return 77 * sum(inn["id"] ** 2 for inn in inns)\n',
            strict("type(answer) is int and answer == 1078"),
        ),
    ),
    "no harder than the easier": (6, "no harder", reading(beds=3, level=2, harder_than="000")),
    "harder but of the same level": (6, "level", writing("York", level=1, harder_than="000")),
    "harder than nothing": (6, "'900'", writing("York", level=2, harder_than="900")),
    # 8: pass rate
    "solution knows the answer": (
        8, "Every attempt",
        task(
            "Which number do all inns of Ely and York have in common, by their stars? Think.",
            COUNT.format(answer=4711),
            strict("type(answer) is int and answer == 4711"),
        ),
    ),
    "nobody reads 250 results right": (
        8, "None of 16", task(LONG_PROMPT, LONG, strict("type(answer) is int and answer == 81000")),
    ),
}  # fmt: skip


def tools(old, new):
    assert old in TOOLS
    return {"tools": TOOLS.replace(old, new)}


_INNS = '    rows = db.execute("SELECT id, name FROM inns WHERE town = ? ORDER BY id", (town,))\n'


def in_inns(text):
    return tools(_INNS, text + _INNS)


# name -> (gate, words of the reason, what is another in the family)
WORLDS = {
    "tools are no Python": (1, "not Python", {"tools": "def list_inns(db:\n"}),
    "no tools": (1, "no functions", {"tools": "import sqlite3\n"}),
    "a tool with any names": (
        1, "* or **", tools("town: str)", "town: str, **more)"),
    ),
    "a tool without types": (1, "without a type", tools("town: str)", "town)")),
    "a tool with a type of its own": (1, "type", tools("town: str)", "town: open('x'))")),
    "a tool with a default that is code": (
        1, "default", tools("town: str)", "town: str = open('x').read())"),
    ),
    "tools open a socket": (1, "network", tools("import sqlite3", "import sqlite3\nimport socket")),
    "tools ask the web": (1, "network", in_inns("    import urllib.request\n")),
    "tools read the clock": (1, "clock", in_inns("    import time\n    time.time()\n")),
    "tools ask for now": (
        1, "clock", in_inns("    import datetime\n    datetime.datetime.now()\n"),
    ),
    "tools ask the database for now": (
        1, "clock", in_inns("    db.execute(\"SELECT date('now')\")\n"),
    ),
    "tools throw dice": (1, "chance", in_inns("    import random\n")),
    "tools throw the database's dice": (
        1, "chance", in_inns('    db.execute("SELECT random()")\n'),
    ),
    "tools throw the database's dice by a back way": (
        1, "authorized", in_inns('    db.execute("SELECT " + "ran" + "dom()")\n'),
    ),
    "tools list files": (1, "system", in_inns("    import os\n    os.listdir('/')\n")),
    "tools open a file": (1, "system", in_inns("    open('/etc/passwd')\n")),
    "tools attach a database": (
        1, "authorized", in_inns("    db.commit()\n    db.execute(\"ATTACH 'x.db' AS x\")\n"),
    ),
    "tools open another database": (1, "database", in_inns("    sqlite3.connect('other')\n")),
    "a tool fails": (1, "KeyError", in_inns("    {}['x']\n")),
    "a tool never ends": (1, "did not end", in_inns("    while True:\n        pass\n")),
    "a tool gives no JSON": (
        1, "no JSON value", tools("return [dict(row) for row in rows]", "return set(rows)"),
    ),
    "tools do not load": (1, "NameError", {"tools": TOOLS + "\n\nx = y\n"}),
    "tools leave their process": (1, "SystemExit", {"tools": f"{TOOLS}\n\nraise SystemExit\n"}),
    "no database": (1, "cannot be opened", {"data": b"no database at all" * 100}),
    "another schema": (1, "schema.sql", {"schema": inn.SCHEMA.replace("beds", "cots")}),
    "schema is no SQL": (1, "cannot be opened", {"schema": "CREATE TABEL x;"}),
}  # fmt: skip
