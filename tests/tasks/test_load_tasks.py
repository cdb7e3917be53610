"""`load_tasks`: names, the same tasks in every process, splits that stay apart."""

import asyncio
import json
import subprocess
import sys

import pytest

from speciale.errors import DataError
from speciale.tasks import FAMILIES, load_tasks, split_of

# Families whose items would depend on the process: sets of strings, global generators.
UNSTEADY = ("codeio", "isomorphic_strings", "list_functions", "ransom_note")


def drawn(source, **arguments):
    return [
        (task.id, task.source, list(task.prompt), task.answer)
        for task in load_tasks(source, **arguments)
    ]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("reasoning-gim", "no source of tasks 'reasoning-gim': did you mean reasoning-gym or"),
        ("reasoning-gym/cuntdown", "no family 'cuntdown': did you mean countdown"),
        ("reasoning-gym/zzz", "no family 'zzz': `speciale tasks list`"),
        ("reasoning-gym/composite", "no family 'composite'"),
        ("bfcl", "no source of tasks 'bfcl': did you mean bfcl/CATEGORY"),
        ("bfcl/simpel", "no category 'simpel'"),
        ("mine.json", "a file of tasks ends in .jsonl"),
        ("verifiers:", "no source of tasks 'verifiers:': did you mean verifiers:ENVIRONMENT"),
        ("", "no source of tasks ''"),
    ],
)
def test_unknown_sources_are_named(source, message):
    with pytest.raises(DataError, match=message):
        load_tasks(source)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"split": "test"}, "no split 'test'; choose one of train, heldout"),
        ({"count": -1}, "the count is -1: give 0 or more"),
        ({"level": 5}, "no level 5 of gcd: 1 to 4"),
        ({"level": 0}, "no level 0 of gcd"),
    ],
)
def test_wrong_arguments_fail_at_once(arguments, message):
    with pytest.raises(DataError, match=message):
        load_tasks("reasoning-gym/gcd", **arguments)
    with pytest.raises(DataError, match="bfcl/simple_python has no levels"):
        load_tasks("bfcl/simple_python", level=1)


def test_verifiers_missing_says_how_to_install_it():
    with pytest.raises(DataError, match="needs the package verifiers: `pip install"):
        load_tasks("verifiers:wordle")


def test_the_same_tasks_in_another_process_with_another_hash_seed():
    code = f"""
import json
from speciale.tasks import load_tasks
rows = []
for family in {UNSTEADY}:
    for task in load_tasks("reasoning-gym/" + family, count=3, seed=7):
        rows.append([task.id, task.source, list(task.prompt), task.answer])
print(json.dumps(rows))
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONHASHSEED": "5", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    ours = [drawn(f"reasoning-gym/{family}", count=3, seed=7) for family in UNSTEADY]
    assert [tuple(row) for row in json.loads(done.stdout)] == [row for rows in ours for row in rows]


def test_seeds_levels_and_turns():
    first = drawn("reasoning-gym/gcd", count=8, seed=1)
    assert first == drawn("reasoning-gym/gcd", count=8, seed=1)
    assert first != drawn("reasoning-gym/gcd", count=8, seed=2)
    assert [id.split("/")[:2] for id, *_ in first] == [["gcd", str(n)] for n in (1, 2, 3, 4)] * 2
    second = [task.level for task in load_tasks("reasoning-gym/gcd", count=3, level=2)]
    assert second == [2, 2, 2]
    assert drawn("reasoning-gym/gcd", count=0) == []
    names = [id.split("/")[0] for id, *_ in drawn("reasoning-gym", count=3, level=2)]
    assert names == ["ab", "advanced_geometry", "aiw"]  # acre has no second level


def test_the_splits_are_disjoint_and_those_of_problems():
    def questions(split):
        tasks = load_tasks("reasoning-gym/chain_sum", level=2, count=15, split=split)
        return {task.metadata["entry"]["question"] for task in tasks}

    train, heldout = questions("train"), questions("heldout")
    assert len(train) == len(heldout) == 15 and not train & heldout
    assert {split_of("chain_sum", question) for question in heldout} == {"heldout"}
    # A data set that `problems` words anew is split by those words.
    for task in load_tasks("reasoning-gym/word_sequence_reversal", count=4, split="heldout"):
        words = FAMILIES["word_sequence_reversal"].restate(task.metadata["entry"])[0]
        assert split_of("word_sequence_reversal", words) == "heldout"


def test_a_family_without_another_question_ends():
    tasks = list(load_tasks("reasoning-gym/products", level=1, split="heldout", count=300))
    assert 5 < len(tasks) < 20  # of the hundred products of two digits
    assert len({task.prompt[0]["content"] for task in tasks}) == len(tasks)


def test_a_task_says_how_to_answer_and_why_not():
    (task,) = load_tasks("reasoning-gym/gcd", count=1)
    assert task.prompt[0]["content"].endswith("between <answer> and </answer>.")

    async def verdicts():
        answers = [f"So: <answer>{task.answer}</answer>", "0", "", "7" * 1_000_001]
        return [await task.verify(answer) for answer in answers]

    right, wrong, empty, long = asyncio.run(verdicts())
    assert right.score == 1.0 and right.reasons == ()
    assert wrong.reasons == (f"The answer is '0'; right is, for one, '{task.answer}'.",)
    assert empty.reasons == ("The answer is empty.",)
    assert long.reasons == ("The answer has 1,000,001 characters: too many to score.",)
