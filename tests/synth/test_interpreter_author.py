"""The author of kernel problems: the same item gives the same bytes, what cells print is what the
author found by another way, and whole families pass the gates."""

import asyncio
import hashlib
import json
import subprocess
import sys
from itertools import islice
from random import Random

import pytest

from speciale.sandbox import Sandbox
from speciale.synth.gates import judge
from speciale.synth.interpreter import algebra, counting, logic, numbers, solvers, totals, windows
from speciale.synth.interpreter.asking import chain
from speciale.synth.interpreter.author import CATEGORIES, MATHEMATICS, items, make
from speciale.synth.interpreter.measures import rises, space_log10
from speciale.synth.interpreter.records import make_records
from speciale.synth.interpreter.tables import read_tables
from speciale.synth.work import author_of
from speciale.tasks.synthesised.family import read_family, write_family

# Runs cells one problem after the other, each with names of its own, and tells the last lines.
RUNNER = """
import contextlib, io, json
told = []
for cells in json.load(open('cells.json')):
    names = {}
    for cell in cells:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(cell, names)
    told.append(json.loads(printed.getvalue().splitlines()[-1]))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def sandbox():
    box = Sandbox()
    yield box
    box.close()


def printed(sandbox, problems, files=None):
    data = {path: text.encode() for path, text in (files or {}).items()}
    data["cells.json"] = json.dumps([each.cells for each in problems]).encode()
    outcome = asyncio.run(sandbox.run(["python3", "-c", RUNNER], files=data))
    assert outcome.exit_code == 0, outcome.stderr.decode()[-1000:]
    return json.loads(outcome.stdout)


def item(category, index=0):
    key = f"interpreter-{category}-3-{index:06d}"
    return {"author": "interpreter", "key": key, "category": category, "seed": 3, "index": index}


def digest(family):
    paths = family.paths()
    return hashlib.sha256(repr(sorted(paths.items())).encode()).hexdigest()


def test_items_go_round_the_categories_and_name_an_author():
    found = list(islice(items(["data", "mathematics"], 5), 3))
    assert [each["key"] for each in found] == [
        "interpreter-data-5-000000", "interpreter-mathematics-5-000001",
        "interpreter-data-5-000002",
    ]  # fmt: skip
    assert author_of(found[0]) == "speciale.synth.interpreter.author:make"


def test_same_item_same_bytes_in_every_process(tmp_path):
    made = [item("data"), item("mathematics")]
    code = (
        "import sys, json, hashlib\nfrom speciale.synth.interpreter.author import make\n"
        "for item in json.loads(sys.argv[1]):\n    paths = sorted(make(item).paths().items())\n"
        "    print(hashlib.sha256(repr(paths).encode()).hexdigest())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, json.dumps(made)],
        capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7", "PATH": "/usr/bin"},
    )  # fmt: skip
    families = [make(each) for each in made]
    assert told.stdout.split() == [digest(family) for family in families]
    assert digest(make(item("data", 1))) != digest(families[0])
    write_family(tmp_path, families[0])
    assert digest(read_family(tmp_path)) == digest(families[0])


@pytest.mark.parametrize("category", ["data", "mathematics"])
def test_levels_rise_in_chains(category):
    tasks = make(item(category)).tasks
    assert len(tasks) >= 8 and max(task.about.level for task in tasks.values()) >= 3
    for task in tasks.values():
        easier = task.about.harder_than
        assert (easier is None) == (task.about.level == 1)
        assert easier is None or tasks[easier].about.level == task.about.level - 1


@pytest.mark.parametrize("seed", range(2))
def test_cells_print_what_was_found_by_another_way(sandbox, seed):
    problems = [each for maker in MATHEMATICS for each in maker(Random(f"{seed}"))]
    assert len(problems) > 30
    assert printed(sandbox, problems) == [each.answer for each in problems]


@pytest.mark.parametrize("seed", range(2))
def test_cells_find_the_clean_rows_in_untidy_files(sandbox, seed):
    rng = Random(f"{seed}")
    records = make_records(rng)
    makers = (*totals.CHAINS, *windows.CHAINS)
    problems = [each for chosen in makers for each in chain(chosen, records, rng)]
    assert len(problems) >= 10
    assert printed(sandbox, problems, records.files) == [each.answer for each in problems]
    facts = next(t for t in read_tables(records.files) if t.path == f"{records.theme.facts}.csv")
    assert len(facts.rows) > len(records.rows) * 1.1  # copies, gaps and void rows lie among them


def test_truths_agree_with_plain_counting():
    assert numbers._by_digits(5000, 6, (5, 2), 4) == sum(
        n % 2 and n % 3 and n % 5 == 2 and sum(map(int, str(n))) % 4 == 0 for n in range(1, 5001)
    )
    assert numbers._total(9, [1, 1, 2], [3, 1, 4], 10**9) == 1171
    assert counting._avoiding("ABA", 2, 3) == 7
    assert counting._by_rooks(3, [(1, 1), (2, 2), (3, 3)]) == 2
    assert counting._subset_sums(4, 5, 0, 2, True) == 1  # {1, 4}
    assert algebra._by_minors([[0, 2, 1], [1, 3, 0], [4, 0, 5]]) == -22
    assert algebra._quadrature([0, 0, 3], algebra.Fraction(1), algebra.Fraction(2)) == 7


def test_a_puzzle_with_two_solutions_is_left_out():
    solution = [[1 + (3 * (i % 3) + i // 3 + j) % 9 for j in range(9)] for i in range(9)]
    puzzle = [[0 if i == 4 else value for value in row] for i, row in enumerate(solution)]
    about = {"puzzle": puzzle, "solution": solution}
    _, right, _ = logic._sudoku(about, "")
    assert right == {"filled": "".join(map(str, solution[4]))}
    empty = {"puzzle": [[0] * 9 for _ in range(9)], "solution": solution}
    assert logic._sudoku(empty, "") is None
    # 23 + 5 = 28 and many more are AB + C = AD.
    assert not logic._alone(solvers.cryptarithm(["AB", "C"], "AD"))


def test_space_is_what_a_guesser_chooses_from():
    tables = read_tables({"a.csv": "name,side\nx,north\ny,south\nz,south\n"})
    assert space_log10({"side": "south", "total": 123}, {}, tables) == pytest.approx(3.3, abs=0.01)
    assert space_log10({"ok": True}, {}, tables) == pytest.approx(0.3, abs=0.01)
    base = {"calls": 1, "lines": 9, "rows": 0, "space_log10": 4.0, "characters": 100}
    assert rises({**base, "lines": 12}, base) and not rises(base, base)
    assert not rises({**base, "lines": 12, "space_log10": 3.0}, base)


@pytest.mark.slow
@pytest.mark.parametrize("category", CATEGORIES)
def test_whole_families_pass_the_gates(sandbox, category):
    family = make(item(category, 4))
    verdicts = asyncio.run(judge(family, sandbox))
    refused = {number: one.refusal for number, one in verdicts.items() if one.refusal}
    assert len(refused) <= len(verdicts) // 5, refused
    assert {number: one.gates for number, one in asyncio.run(judge(family, sandbox)).items()} == {
        number: one.gates for number, one in verdicts.items()
    }
