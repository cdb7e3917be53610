"""The agents' suite: solutions solve their tasks, BFCL's right calls too; guessing solves none."""

import asyncio
import json

import pytest

from speciale.errors import ConfigError
from speciale.evals.attempts import Settings
from speciale.evals.evaluation import evaluate
from speciale.evals.policies import scripted
from speciale.evals.suites import SUITES
from speciale.evals.suites.suite import Choice
from speciale.sandbox import Sandbox
from speciale.synth.gates import gates_json, judge
from speciale.synth.gates.gate import Gate, Judged
from speciale.synth.starter import make
from speciale.tasks.synthesised.family import Family, write_family

SUITE = SUITES["agent"]
BFCL = ("bfcl/simple_python", "bfcl/parallel", "bfcl/irrelevance", "bfcl/multi_turn_base")
pytestmark = pytest.mark.slow  # in .ci/run


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Held-out tasks of two environments, of which one writes."""
    root = tmp_path_factory.mktemp("tasks")
    box = Sandbox()
    for pattern, domain in (("hops", "rooms-a"), ("move", "shelves-a")):
        found = make({
            "author": "starter", "key": f"starter-{pattern}", "category": pattern,
            "domain": domain, "seed": 0, "index": 0,
        })  # fmt: skip
        held = [item for item in found.tasks.items() if item[1].about.metadata["split"] != "train"]
        few = Family(found.about, found.files, dict(held[:3]))
        judged = {
            number: Judged(one.digest, (*one.gates, Gate(7, True)))
            for number, one in asyncio.run(judge(few, box)).items()
        }
        folder = root / "families" / few.about.id
        folder.mkdir(parents=True)
        write_family(folder, few)
        (folder / "gates.json").write_text(json.dumps(gates_json(judged)))
    box.close()
    return root


def asked(policy, folder, choice, samples=1):
    target = scripted(policy, SUITE, 0)
    return asyncio.run(evaluate(target, SUITE, choice, Settings(samples=samples), folder))


@pytest.mark.parametrize("policy", ["oracle", "random"])
def test_environments_of_a_store(tmp_path, store, policy):
    found = asked(policy, tmp_path, Choice(("synth:" + str(store),), 4, store=store))
    [row] = found.rows
    assert row["pass1"] == (policy == "oracle") and row["not_measured"] == 0
    names = {question.cell for question in SUITE.questions(Choice(tasks=1, store=store))}
    assert {"synth#starter-hops", "synth#starter-move"} < names and BFCL[0] in names


@pytest.mark.parametrize("policy", ["oracle", "random"])
def test_functions_of_bfcl(tmp_path, policy):
    rows = {row["cell"]: row for row in asked(policy, tmp_path, Choice(BFCL, 4)).rows}
    assert all(row["not_measured"] == 0 for row in rows.values())
    if policy == "oracle":
        assert all(row["pass1"] == 1 for row in rows.values()), rows
    else:
        assert all(rows[cell]["pass1"] == 0 for cell in BFCL[:2])


def test_a_folder_that_is_no_store_is_said(tmp_path):
    with pytest.raises(ConfigError, match="no store of tasks"):
        SUITE.questions(Choice(store=tmp_path))
