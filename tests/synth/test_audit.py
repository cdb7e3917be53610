"""An audit runs all gates again: it believes what the folders do, not what they say."""

import asyncio
import json
import shutil

import inn
import planted
import pytest
from typer.testing import CliRunner

from speciale.cli import app
from speciale.errors import DataError
from speciale.sandbox import Sandbox
from speciale.synth.audit import audit, items
from speciale.synth.gates import judge
from speciale.synth.store import Store
from speciale.synth.work import AUTHORS, Result, Workman
from speciale.tasks.synthesised.family import write_family

pytestmark = pytest.mark.slow  # in .ci/run


class Here:
    """A pool without processes."""

    def __init__(self):
        self.workman = Workman()

    def results(self, items):
        return (self.workman.work(item, AUTHORS[item["author"]]) for item in items)


@pytest.fixture(scope="module")
def pool():
    here = Here()
    yield here
    here.workman.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A store of one family: two accepted tasks and one whose verifier is too lenient."""
    root = tmp_path_factory.mktemp("audit") / "store"
    _, _, lenient = planted.TASKS["accepts every object"]
    family = inn.family([*inn.family().tasks.values(), lenient])
    box = Sandbox()
    judged = asyncio.run(judge(family, box))
    box.close()
    with Store(root) as store:
        committed = store.commit(Result({"author": "general", "key": "inn-1"}, family, judged))
    assert committed.accepted == 2
    return root


@pytest.fixture
def store(made, tmp_path):
    return shutil.copytree(made, tmp_path / "store")


def states(found):
    return {(each.id, each.number): (each.state, each.gate) for each in found.findings}


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


TASKS = "families/inn-1/tasks"


def test_an_untouched_store_holds(store, pool):
    found = audit(store, pool)
    assert found.holds
    assert states(found) == {("inn-1", n): ("holds", None) for n in ("000", "001", "002")}
    assert [each.accepted for each in found.findings] == [True, True, False]


def test_hand_edits_are_judged_by_what_they_do(store, pool):
    edit(store / TASKS / "000/solution.py", "best = None", "best = None  # so far")
    edit(store / TASKS / "001/verify.py", "booked == sorted", "booked or booked == sorted")
    found = audit(store, pool)
    assert not found.holds
    assert states(found)["inn-1", "000"] == ("edited", None)
    assert states(found)["inn-1", "001"] == ("fails", 4)


def test_a_weaker_tool_fails_what_uses_it(store, pool):
    edit(
        store / "families/inn-1/tools.py",
        '    rows = db.execute("SELECT id, beds',
        '    import time\n    rows = db.execute("SELECT id, beds',
    )
    assert {state for state, _ in states(audit(store, pool)).values()} >= {"fails"}


def test_evidence_that_was_made_up(store, pool):
    edit(store / "families/inn-1/gates.json", '"passed": 1', '"passed": 2')
    assert "differs" in {state for state, _ in states(audit(store, pool)).values()}


def test_a_refused_candidate_that_is_good(store, pool):
    good = store / TASKS / "000/verify.py"
    bad = store / "rejected/inn-1/tasks/002/verify.py"
    gates = store / "rejected/inn-1/gates.json"
    prompt = store / "rejected/inn-1/tasks/002/task.json"
    edit(
        prompt,
        "cheapest room with at least 2 beds",
        "least expensive of all rooms that have two beds or more and lie",
    )
    bad.write_bytes(good.read_bytes())
    assert states(audit(store, pool))["inn-1", "002"] == ("holds", None)  # nobody judged it
    with Store(store) as opened:
        digest = opened.entry("inn-1").family.digest("002")
    told = json.loads(gates.read_text())
    told["tasks"]["002"]["digest"] = digest
    gates.write_text(json.dumps(told))
    assert states(audit(store, pool))["inn-1", "002"] == ("differs", 4)


def test_near_duplicates_put_there_by_hand(store, pool):
    shutil.copytree(store / TASKS / "000", store / TASKS / "003")
    edit(store / TASKS / "003/task.json", "I look for", "We look for")
    found = states(audit(store, pool))
    assert found["inn-1", "000"] == found["inn-1", "003"] == ("fails", 7)


def test_broken_folders_do_not_stop_it(store, pool):
    shutil.copytree(store / "families/inn-1", store / "families/inn-2")
    (store / "families/inn-2/tasks/000/task.json").unlink()
    (store / "families/inn-3").mkdir()
    found = states(audit(store, pool))
    assert found["inn-2", ""][0] == found["inn-3", ""][0] == "unread"
    assert found["inn-1", "000"] == ("holds", None)


def test_one_family_made_by_hand(tmp_path, pool):
    folder = tmp_path / "inn-1"
    folder.mkdir()
    write_family(folder, inn.family())
    found = audit(folder, pool)
    assert found.holds and {each.state for each in found.findings} == {"edited"}


def test_nothing_to_audit(tmp_path, pool):
    with pytest.raises(DataError, match="is no store and no family"):
        items(tmp_path)
    (tmp_path / "families").mkdir()
    assert not audit(tmp_path, pool).holds


def test_the_command(store):
    done = CliRunner().invoke(app, ["synth", "audit", str(store), "--workers", "1"])
    assert done.exit_code == 0, done.output
    assert "accepted tasks: 2 holds" in done.output and "Every gate holds." in done.output
    edit(store / TASKS / "000/verify.py", "def verify", "def check")
    done = CliRunner().invoke(app, ["synth", "audit", str(store), "--workers", "1"])
    assert done.exit_code == 1
    assert "no function 'verify'" in done.output
    assert "accepted tasks: 1 fails, 1 holds" in done.output
