"""What the model is told: the contract, what the gates want, the steps, and what was wrong.

For any model that can call tools. One conversation a step (V3.2 report, 3.2.3: data, tools, a task
with solution and verifier, then harder ones); faults come back into it as messages of the user's.
Texts are templates of `string.Template`, filled by the functions at the end.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from string import Template

from speciale.synth.llm import example

SYSTEM = Template("""\
You build environments and tasks on which other AI agents are trained: tasks that are hard to \
solve and easy to verify. You work in a sandbox, a Linux machine without network, with the tools \
bash, python and file tools. All that counts are the files that you leave in /work. A program \
reads them when you end your turn, checks them, and tells you what is wrong; then you mend it.

You build ONE environment, step by step, each step when you are asked for it:
1. data: /work/schema.sql and /work/data.sqlite
2. tools: /work/tools.py
3. a simple task: /work/tasks/000/{task.json, solution.py, verify.py}
4. harder tasks: /work/tasks/001/..., and more tools where they are needed

Do what the current step asks and no more. Write the files with the tools (nothing that you only \
show in a message is read), try them out, and end the step with a short message without a tool call.

# The files

## schema.sql and data.sqlite
SQLite 3. data.sqlite is made by running the text of schema.sql with `executescript` in a new file \
and inserting rows, with nothing else: the tables of both are compared. No WAL mode. Data is \
invented but plausible and consistent; make it with a Python script and a seeded `random.Random`, \
so that there is much of it and no pattern that gives answers away.

## tools.py
The agents that are trained see only these functions, as tools. Each module-level function without \
a leading underscore is a tool; helpers start with an underscore.
- The first parameter is the connection, `db: sqlite3.Connection` (row_factory is sqlite3.Row; a \
transaction begins before each call, is committed after it, and rolled back on an exception).
- All other parameters are annotated with str, int, float, bool, list, dict, list[...], \
dict[..., ...], Literal[...], or `X | None`; no *args, no **kwargs; defaults are plain values.
- A docstring in Google style: one sentence, then `Args:` with a line about each parameter but db.
- It returns a JSON value (dicts, lists, texts, numbers, bools, None).
- For what a caller did wrong: `raise ValueError("There is no city 'X'.")`. Any other exception, \
whatever the arguments, is a bug.
- Imports: sqlite3, json, math, re, datetime, itertools, functools, collections, heapq, bisect, \
statistics, fractions, decimal, string, operator, typing, dataclasses, unicodedata, difflib. \
No files, no network, no random, no clock: neither datetime.now() nor date('now') nor random() in \
SQL. Results are in a fixed order (ORDER BY).
- Tools are small and general: list, search, look up, write one record. No tool answers a question \
of a task by itself; do not sum, rank or optimise in a tool. Long lists come in pages.

## tasks/NNN/task.json
    {"prompt": "...", "answer_schema": {...}, "pattern": "..."}
- prompt: what a user asks, complete and without doubt, in natural words; it names no tool and no \
table. It says the exact form of the answer, units, order and rounding, for example: Answer with \
JSON alone, such as {"hotel": "name", "total": 0}.
- answer_schema: the JSON schema of the answer. pattern: the kind of question in a few words.

## tasks/NNN/solution.py
    def solve(tools):
        rows = tools.list_hotels(city="Porto")   # keyword arguments; gives the JSON value
        ...
        return {"hotel": "...", "total": 120}    # the answer, a JSON value
It can do what an agent can and no more: call tools and compute. No database, no files, no \
sqlite3; imports as above without it; no open, exec, eval, getattr with made-up names, no names \
with double underscores. It has no knowledge that is not in the prompt: no numbers that were \
looked up before. A tool's ValueError arrives as `tools.Error`. 5 to 25 calls are good, 300 the \
most; less than a second of computing.

## tasks/NNN/verify.py
    def verify(answer, before, after):
`answer` is what an agent gave; `before` and `after` are read-only sqlite3 connections \
(row_factory sqlite3.Row) to the database at the start and as the agent left it. It returns \
exactly True, or a sentence that says why not. Same imports as tools.py. It does not search for \
the solution: it checks, with SQL over `before` or against a constant.
For a writing task take all rows of `before` (rows_of in the example below), put in what was to be \
written, and compare that with all rows of `after`; leave out ids that the database chose.

# The gates
A program judges every task; all gates must pass.
1. runs: three runs of the solution with other clocks and hash seeds are the same in every call.
2. tools only: the solution does nothing but call tools and compute.
3. accepts: the verifier returns True for the solution's answer and database.
4. rejects: the verifier refuses None, "", {}, [], 0, other types (true is no number, "12" is no \
12, [x] is no x), missing keys, every answer with one part changed (numbers by 1, a name by \
another name, "A or B", a list with an element missing, doubled or swapped), answers of other \
tasks; and the right answer over a wrong database. So compare exactly, check types first with \
`type(x) is int` or isinstance, and compare ALL tables of before and after: for a reading task \
nothing may change, for a writing task exactly the wanted rows and no others. The right answer \
must be unique: check that in the solution, and fix the order of lists in the prompt.
5. no shortcut: the answer does not stand in the prompt, and no single call with arguments out of \
the prompt gives it (nor the first or last row of a result, its length, or the sum, least or \
greatest of a column). A yes or no is no answer. Ask for two or more parts that need several \
calls.
6. difficulty: at least 2 calls. A harder task has no fewer calls and no smaller space of answers \
than the easier one, and more of at least one. (The space: for each part of the answer and each \
written value, how many values tools show in its place.) More parts in the answer and more calls \
make it rise.
7. new: no task says nearly the same words as another one whose solution has the same form.
8. pass rate: a forgetful agent follows your solution and misreads each result with probability \
0.1 (it loses a third of a list, or a number changes). Of 16 attempts some must pass and some \
must fail. With more than about 30 calls that all matter nobody passes; with calls that do not \
matter nobody fails.

Try a task out as the gates do: `cd /work && python3 try.py 000` prints calls, answer, and what \
the verifier says of it and of wrong answers. It works on a copy. Never call tools that write on \
/work/data.sqlite itself: copy it first.

# A worked example, of another world
schema.sql
```sql
$schema```
make_data.py (its own file, run once)
```python
$make_data```
tools.py
```python
$tools```
tasks/000/task.json
```json
$task```
tasks/000/solution.py
```python
$solution```
tasks/000/verify.py
```python
$verify```
""").substitute(
    schema=example.SCHEMA, make_data=example.MAKE_DATA, tools=example.TOOLS, task=example.TASK,
    solution=example.SOLUTION, verify=example.VERIFY,
)  # fmt: skip

DATA = Template("""\
Step 1 of the environment: data.

Category: $category. Make it particular: $angle.

Write /work/schema.sql and /work/data.sqlite: 4 to 8 tables that refer to one another, 300 to \
3,000 rows in all, names that tell things apart, numbers that vary. Leave room for questions with \
several constraints (prices, times, capacities, preferences, exceptions) and for actions: empty \
or short tables for bookings, orders, assignments or the like, which tools will write. Also write \
/work/about.txt: one sentence on what this world is. The data is fixed after this step: later \
tasks of up to $levels levels of difficulty have to be possible with it.""")

SEARCH = """

The tools search and open look into a collection of documents: find facts there that fit the \
category, and let the data be made of them as far as they go; invent the rest."""

TOOLS = Template("""\
Step 2 of the environment: tools.

Write /work/tools.py: 4 to 10 tools over the data, among them at least one that writes. The data \
is fixed now: do not change schema.sql or data.sqlite.

$about

schema.sql
```sql
$schema
```
Rows: $rows""")

TASK = Template("""\
Step 3 of the environment: a simple task.

Write /work/tasks/000/task.json, solution.py and verify.py: level 1, the easiest one, but still a \
question that takes 4 to 12 calls and a little computing. You may mend tools.py where it stands in \
the way; the data is fixed. Try it with `python3 try.py 000`.

schema.sql
```sql
$schema
```
tools.py
```python
$tools
```""")

HARDER = Template("""\
Step 4 of the environment: a harder task, level $level.

Write /work/tasks/$number/task.json, solution.py and verify.py: harder than task $easier in \
substance, not in wording: $way. Its prompt is new, its solution has more calls, its answer more \
parts. Add tools to tools.py where those there do not suffice; those there keep their names and \
what they do, because the tasks before must still hold. The data is fixed, and so are the tasks \
before. Try it with `python3 try.py $number`.

schema.sql
```sql
$schema
```
tools.py
```python
$tools
```
The task before, $easier:
$task
```python
$solution
```
```python
$verify
```""")

FEEDBACK = Template("""\
This step does not hold yet. What is wrong:

$faults

Mend the files in /work (not the data, after step 1), try them out, and end with a short message \
without a tool call.""")

HINTS = {
    1: "The code runs three times and must give the same each time; mend what it says.",
    2: "Let the solution call tools and compute, and do nothing else.",
    3: "Find out which of the two is wrong, solution or verifier, and mend that one; never make "
    "the verifier accept more than the right answer.",
    4: "Check the type of every part, compare every part exactly, and compare all tables of "
    "before and after.",
    5: "Ask for something that has to be put together from several calls, and let tools give "
    "single records or pages, not results.",
    6: "Let it take more calls, and let the answer have more parts that could be many values.",
    8: "Let every call matter, and keep the calls between 5 and 25.",
}

# Of a round that ended in another way than by the model's own word.
STOPS = {
    "turns": "You used all the messages of this round: work with fewer calls.",
    "length": "Your last message was cut off at its longest: write files in smaller pieces.",
    "context": "The conversation was too long and was begun anew; your files are all there.",
    "error": "The conversation broke and was begun anew; your files are all there.",
}

PLACES = ["an island", "a mountain valley", "a port city", "a university town", "a border region",
          "a chain with twelve branches", "a family business", "a state agency", "a festival week",
          "a research station", "a co-operative", "an old quarter of a capital"]  # fmt: skip
TRAITS = ["prices that depend on the date", "opening hours that overlap", "limited places",
          "members with different rights", "parts with alternatives", "distances that matter",
          "allergies and exclusions", "staff with qualifications", "orders in several states",
          "measurements with gaps", "rules with exceptions",
          "two names for some things"]  # fmt: skip
WAYS = ["several constraints at once, of which each rules something out that the others allow",
        "the best of many combinations under a limit, with exactly one optimum",
        "something has to be found first that decides where to look next, several times over",
        "the state is changed by several writes that must fit together, and a report is given",
        "records of two sources are compared, and what does not agree is set right"]  # fmt: skip


def angle(rng: random.Random) -> str:
    """What makes one world of a category unlike the next one."""
    first, second = rng.sample(TRAITS, 2)
    return f"{rng.choice(PLACES)}, with {first} and {second}"


def way(rng: random.Random) -> str:
    """How a task could be harder."""
    return rng.choice(WAYS)


def feedback(faults: Sequence[str], stop: str) -> str:
    lines = [f"- {fault}" for fault in [*faults, *filter(None, [STOPS.get(stop)])]]
    return FEEDBACK.substitute(faults="\n".join(lines))


def shown(text: str, most: int) -> str:
    """A file of the model's own, at most so many characters of it."""
    text = text.rstrip("\n")
    return text if len(text) <= most else f"{text[:most]}\n... (cut here: read the file)"
