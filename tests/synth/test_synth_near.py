"""Gate 7: planted near-duplicates are found, and what only looks alike is not one."""

import random
from dataclasses import replace

import pytest
from small_worlds import make, words

from speciale.synth.gates.gate import GATES, Gate, Judged
from speciale.synth.near import (
    BANDS,
    NEAR,
    ROWS,
    Other,
    is_new,
    jaccard,
    print_of,
    shingles,
    structure_of,
)
from speciale.synth.store import Store
from speciale.synth.work import Result
from speciale.tasks.synthesised.family import Family

PROMPT = (
    "Find the cheapest hotel in Porto for three nights from the 4th of May that takes dogs and has "
    "a garden, and add what two guests pay for breakfast on each of the mornings there."
)
SOLUTION = b'''
def solve(tools):
    """Looks for it."""
    best = None
    for page in range(1, 4):
        for row in tools.list_hotels(city="Porto", page=page)["rows"]:
            if row["dogs"] and (best is None or row["price"] < best["price"]):
                best = row
    return {"hotel": best["name"], "total": best["price"] * 3 + 12}
'''
# Other names, texts and numbers, and another docstring.
SAME = (
    SOLUTION.replace(b"best", b"found").replace(b"Porto", b"Rome").replace(b"12", b"99")
).replace(b"Looks for it.", b"")
ORDERED = SOLUTION.replace(b"<", b">")
PLAIN = b"def solve(tools):\n    return tools.cheapest(city='Porto')\n"


def family(prompt, solution=SOLUTION, id="new", data=b"some rows"):
    made = make({"key": id, "number": 0, "tasks": 1})
    task = made.tasks["000"]
    files = {**task.files, "solution.py": solution}
    task = replace(task, about=task.about.model_copy(update={"prompt": prompt}), files=files)
    return Family(made.about, {"data.sqlite": data}, {"000": task})


def gate(prompt, earlier=PROMPT, solution=SOLUTION, others=SOLUTION):
    """Gate 7 on a prompt beside one earlier task, through bands as the store does."""
    new, old = print_of(family(prompt, solution), "000"), print_of(family(earlier, others), "000")
    near = {*new.bands} & {*old.bands} and new.structure == old.structure
    return is_new(new, [Other("old/000", old.prompt, "another")] if near else [])


@pytest.mark.parametrize(
    "prompt",
    [
        PROMPT,
        PROMPT.upper(),
        PROMPT.replace(",", " -- ").replace(".", "!"),
        PROMPT.replace("garden", "terrace"),
        "Please: " + PROMPT,
        PROMPT + " Answer soon.",
    ],
)
def test_near_duplicates_are_refused_with_the_nearest(prompt):
    found = gate(prompt, solution=SAME)
    assert not found.passed and found.number == 7
    assert found.evidence["nearest"] == "old/000" and found.evidence["jaccard"] >= NEAR
    assert "old/000" in found.reason


@pytest.mark.parametrize(
    ("prompt", "solution"),
    [
        (PROMPT, ORDERED),  # the dearest one
        (PROMPT, PLAIN),
        (PROMPT.replace("4th of May", "9th of July").replace("Porto", "Rome"), SAME),
        (PROMPT.replace("three", "2").replace("two", "6").replace("dogs", "cats"), SAME),
        ("How many rooms are there in all?", SAME),
    ],
)
def test_other_structures_and_other_wording_are_new(prompt, solution):
    assert gate(prompt, solution=solution).passed


def test_the_structure_is_without_names_constants_and_docstrings():
    assert structure_of(SOLUTION) == structure_of(SAME)
    assert len({structure_of(each) for each in (SOLUTION, ORDERED, PLAIN, b"", b"x")}) == 5
    # What is no Python counts by its words.
    assert structure_of(b"fix it(1) now\nif") == structure_of(b"fix it(2) now\nif")
    assert structure_of(b"fix it now\nif") != structure_of(b"fix that now\nif")
    assert structure_of(b"\xff\0\n(") and structure_of(b"(" * 100_000)


def test_numbers_in_a_prompt_are_words():
    assert shingles("Buy 3 RED Apples!") == {"buy 3 red", "3 red apples"}
    assert shingles("") == {""} and shingles("Two words") == {"two words"}
    assert jaccard(shingles("a b c 1"), shingles("A, b: c 2")) == 1 / 3


def test_the_bands_miss_next_to_no_near_duplicate_and_keep_strangers_apart():
    assert (1 - NEAR**ROWS) ** BANDS < 1e-5
    rng = random.Random(3)
    missed = strangers = near = 0
    for _ in range(300):
        text = words(rng, 60).split()
        other = list(text)
        other[rng.randrange(60)] = "changed"
        other.insert(rng.randrange(60), "more")
        one, two = print_of(family(" ".join(text)), "000"), print_of(family(" ".join(other)), "000")
        if jaccard(shingles(one.prompt), shingles(two.prompt)) >= NEAR:
            near += 1
            missed += not {*one.bands} & {*two.bands}
        three = print_of(family(words(rng, 60)), "000")
        strangers += bool({*one.bands} & {*three.bands})
    assert near > 200 and missed == 0 and strangers == 0


def passed(family):
    """The verdicts of gates that a whole family passed."""
    gates = tuple(Gate(number, True) for number in sorted(set(GATES) - {7}))
    return {number: Judged(family.digest(number), gates) for number in family.tasks}


def commit(store, family):
    result = Result({"key": family.about.id}, family, passed(family))
    return store.commit(result).judged["000"]


def test_the_store_refuses_planted_duplicates_and_keeps_their_reason(tmp_path):
    with Store(tmp_path / "store") as store:
        assert commit(store, family(PROMPT, id="a")).accepted
        refused = commit(store, family("So: " + PROMPT, SAME, id="b", data=b"other rows"))
        assert (refused.refusal.number, refused.refusal.evidence["nearest"]) == (7, "a/000")
        twin = commit(store, family(PROMPT + "!", PLAIN, id="c"))  # the same data, solved otherwise
        assert twin.refusal.evidence["same_data"] and "data and the prompt" in twin.refusal.reason
        assert commit(store, family(PROMPT, PLAIN, id="d", data=b"other rows")).accepted
        # Refused tasks are no measure: this one is near to b alone.
        assert store.entry("b").judged["000"].refusal.number == 7
        rows = {row["family"]: row["gate"] for row in store.index.tasks()}
    assert rows == {"a": None, "b": 7, "c": 7, "d": None}


def test_within_a_family_the_later_of_two_alike_is_refused(tmp_path):
    one = family(PROMPT, id="x")
    both = replace(one, tasks={"000": one.tasks["000"], "001": one.tasks["000"]})
    with Store(tmp_path / "store") as store:
        judged = store.commit(Result({"key": "x"}, both, passed(both))).judged
    assert [each.accepted for each in judged.values()] == [True, False]
    assert judged["001"].refusal.evidence["nearest"] == "x/000"
