"""The author with a model against a scripted chat server: the whole way up, and what goes wrong."""

import asyncio
import itertools
import json
from importlib import import_module

import pytest
from scripted_model import (
    CHEATING,
    DATA,
    EASY,
    GET_WORK,
    HARD,
    HARD_SOLUTION,
    HARD_TASK,
    HARD_VERIFY,
    TASK,
    TOOLS,
    ScriptedModel,
    calls,
    runs,
    says,
    serving,
    task_turns,
    writes,
)

from speciale.errors import ConfigError, DataError
from speciale.synth.llm import author, checks, example
from speciale.synth.llm.cost import costs
from speciale.synth.llm.making import MAKING, figures_of
from speciale.synth.llm.workshop import Workshop
from speciale.synth.store import Store
from speciale.synth.work import Rejected, Workman, author_of

pytestmark = pytest.mark.slow  # in .ci/run

PRICES = {"price_in": 1.0, "price_out": 2.0}
MAKE = "speciale.synth.llm.author:make"


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr("speciale.agents.http._WAIT_S", 0.01)


def item(url, levels=1, **budget):
    budget = {"rounds": 2, **PRICES, **budget}
    return next(author.items(url, "scripted", ["museum"], 1, levels=levels, budget=budget))


def made(model, levels=1, **budget):
    with serving(model) as url:
        return author.make(item(url, levels, **budget))


def refusal(model, levels=1, **budget):
    with pytest.raises(Rejected) as refused:
        made(model, levels, **budget)
    return str(refused.value)


def steps(family):
    return {step["step"]: step for step in json.loads(family.files[MAKING])["steps"]}


# ---- the whole way up ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workman():
    man = Workman()
    yield man
    man.close()


@pytest.fixture(scope="module")
def climbed(workman):
    """A model with faults that it mends when it is told, on a server with faults of its own."""
    leak = "import sqlite3\nROWS = sqlite3.connect('data.sqlite')\n\n\n"
    model = ScriptedModel(
        DATA,
        ("^Step 2", [writes("tools.py", "def list_works(db:\n")]),
        ("tools.py is not Python", [writes("tools.py", example.TOOLS)]),
        ("^Step 3", task_turns(TASK, example.TASK, example.SOLUTION, CHEATING)),
        ("verifier is too lenient", [writes(f"{TASK}/verify.py", example.VERIFY)]),
        (
            "^Step 4",
            [
                runs("python3 -c \"import sqlite3; d = sqlite3.connect('data.sqlite'); "
                     "d.execute('DELETE FROM loans'); d.commit()\"; mkdir -p tasks/002; "
                     "echo spoilt > tasks/000/verify.py; echo spoilt > schema.sql"),
                writes("tools.py", GET_WORK),
                *task_turns(HARD, HARD_TASK, leak + HARD_SOLUTION, HARD_VERIFY),
            ],
        ),
        ("more than calling tools", [writes(f"{HARD}/solution.py", HARD_SOLUTION)]),
        faults=[500, 429, "reset"],
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch, serving(model) as url:
        patch.setattr("speciale.agents.http._WAIT_S", 0.01)
        work = next(author.items(url, "scripted", ["museum"], 1, levels=2, budget=PRICES))
        return model, work, workman.work(work, MAKE)


def test_two_levels_pass_the_real_gates(climbed):
    _, _, result = climbed
    assert result.reason is None
    assert list(result.judged) == ["000", "001"]
    assert all(map(checks.holds, result.judged.values()))
    calls = [one.gates[5].evidence["calls"] for one in result.judged.values()]
    assert calls[0] < calls[1]


def test_family_is_what_was_made_and_not_what_was_claimed(climbed):
    _, work, result = climbed
    family = result.family
    about = family.tasks["001"].about
    assert (about.level, about.harder_than) == (2, "000")  # the model said 99 and 777
    assert family.tasks["000"].verify == example.VERIFY  # which it spoilt afterwards
    assert family.files["schema.sql"].decode() == example.SCHEMA
    assert family.files["tools.py"].decode() == GET_WORK
    assert family.about.id == work["key"] and family.about.generator == "llm:scripted"
    assert family.about.about == "A small museum that lends its works."
    assert set(family.files) == {"schema.sql", "data.sqlite", "tools.py", MAKING}


def test_faults_came_back_as_messages(climbed):
    model, _, result = climbed
    assert [step["rounds"] for step in steps(result.family).values()] == [1, 2, 2, 2]
    told = model.heard()
    assert any("gate 4 (rejects): The verifier is too lenient" in text for text in told)
    assert any("gate 2 (tools only)" in text and "sqlite3" in text for text in told)
    # What its own trial of the cheating verifier showed it.
    assert any("TOO LENIENT" in text for text in model.heard("tool"))


def test_every_token_is_accounted_for(climbed):
    model, _, result = climbed
    account = json.loads(result.family.files[MAKING])
    assert model.requests == len(model.bodies) + 3  # the faults were asked again
    assert account["completions"] == len(model.bodies)
    sizes = [len(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()) // 4
             for body in model.bodies]  # fmt: skip
    assert account["prompt_tokens"] == pytest.approx(sum(sizes), rel=0.01)
    cost = (account["prompt_tokens"] + 2 * account["completion_tokens"]) / 1e6
    assert account["cost"] == pytest.approx(cost, abs=1e-6)
    assert "127.0.0.1:" in account["host"] and account["ended"] is None


def test_leak_that_is_not_mended_is_recorded_and_paid_for(tmp_path, workman, climbed):
    told = example.TASK.replace("Which work", "Broken Winter brought 4305. Which work")
    task = task_turns(TASK, told, example.SOLUTION, example.VERIFY)[:3]
    model = ScriptedModel(DATA, TOOLS, ("^Step 3", task))
    with serving(model) as url, Store(tmp_path / "store") as store:
        leak = workman.work(item(url, 4, rounds=1) | {"key": "leak"}, MAKE)
        assert list(steps(leak.family)) == ["data", "tools", "level 1"]
        assert "The answer is in the prompt" in steps(leak.family)["level 1"]["faults"][0]
        committed = store.commit(leak)
        assert committed.accepted == 0 and committed.judged["000"].refusal.number == 5
        poor = item(url, tokens=6000) | {"key": "poor"}
        assert "budget of 6,000 tokens" in store.commit(workman.work(poor, MAKE)).reason
        assert store.commit(climbed[2]).accepted == 2
    accounts = [json.loads(one.family.files[MAKING]) for one in (leak, climbed[2])]
    found = costs(tmp_path / "store")
    assert (found.all.items, found.all.accepted, found.all.unpriced) == (3, 2, 0)
    none = found.by_model["no family"]
    assert none.completions == 1 and none.money > 0
    paid = sum(account["cost"] for account in accounts) + none.money
    assert found.all.money_a_task == pytest.approx(paid / 2)
    tokens = sum(one["prompt_tokens"] + one["completion_tokens"] for one in accounts)
    tokens += none.prompt_tokens + none.completion_tokens
    assert found.all.tokens_a_task == tokens / 2
    (tmp_path / "store/families" / climbed[2].key / MAKING).write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        costs(tmp_path / "store")


def test_new_tools_that_break_what_held_do_not_take_it_away():
    """The candidate is then judged with the tools that held."""
    broken = GET_WORK.replace('ORDER BY id", (gallery,)', 'ORDER BY id DESC", (gallery + "x",)')
    assert broken != GET_WORK
    task = task_turns(HARD, HARD_TASK, HARD_SOLUTION, HARD_VERIFY)[:3]
    family = made(
        ScriptedModel(DATA, TOOLS, EASY, ("^Step 4", [writes("tools.py", broken), *task])),
        levels=2, rounds=1,
    )  # fmt: skip
    assert family.files["tools.py"].decode() == example.TOOLS
    assert list(family.tasks) == ["000", "001"]
    assert "Task 000 is refused by gate 1" in steps(family)["level 2"]["faults"][0]


def test_endless_loop_in_a_solution(monkeypatch):
    monkeypatch.setattr("speciale.tasks.synthesised.world.WORK_S", 2.0)
    judging = import_module("speciale.synth.gates.judge")
    monkeypatch.setattr(judging, "RUNS", judging.RUNS[:1])
    endless = "def solve(tools):\n    while True:\n        pass\n"
    task = ("^Step 3", task_turns(TASK, example.TASK, endless, example.VERIFY)[:3])
    family = made(ScriptedModel(DATA, TOOLS, task), rounds=1)
    assert list(family.tasks) == ["000"]
    assert "the solution did not end within 2 s" in steps(family)["level 1"]["faults"][0]


# ---- what a model does wrong before there is a task ----------------------------------------------


def test_model_that_only_talks(tmp_path):
    (tmp_path / "harbours.txt").write_text("The harbour of Bergen is old.")
    model = ScriptedModel()
    with serving(model) as url, pytest.raises(Rejected) as refused:
        author.make(item(url) | {"search": str(tmp_path)})
    said = str(refused.value)
    tools = {tool["function"]["name"] for tool in model.bodies[0]["tools"]}
    assert {"bash", "python", "write_file", "search"} <= tools
    assert "collection of documents" in model.heard()[0]
    assert "did not get beyond the step 'data'" in said and "schema.sql" in said
    assert len(model.bodies) == 2  # a round each
    assert "What is wrong" in model.heard()[1]


def test_malformed_call_gets_a_result_that_says_so():
    model = ScriptedModel(("^Step 1", [calls("bash", raw='{"command": "ls'), calls("fly", x=1)]))
    refusal(model, rounds=1)
    malformed, unknown = model.heard("tool")
    assert "are no JSON" in malformed and "there is no tool 'fly'" in unknown


def test_endless_loop_in_bash_and_files_that_nobody_wants():
    """Too large, no regular file, thousands of tasks, names that lead elsewhere."""
    mess = (
        "head -c 300000 /dev/zero | tr '\\0' 'x' > schema.sql; mkfifo data.sqlite; "
        "mkdir -p tasks/../y && cd tasks && mkdir $(seq -f %03g 0 9999) && for n in *; do "
        "echo x > $n/task.json; done"
    )
    model = ScriptedModel(("^Step 1", [runs("while :; do :; done"), runs(mess)]))
    said = refusal(model, rounds=1, call_seconds=1.5)
    loop, *_ = model.heard("tool")
    assert "stopped by the limit on wall time, 1.5 s" in loop
    assert "schema.sql" in said and "longer than 200000 bytes" in said


@pytest.mark.parametrize(
    "turn, words",
    [
        (runs("head -c 9000 /dev/urandom > data.sqlite"), "cannot be opened"),
        (runs("truncate -s 40M data.sqlite"), "longer than 33554432 bytes"),
        (runs("rm -rf data.sqlite; mkdir data.sqlite"), "Is a directory"),
        (runs("rm data.sqlite; ln -s /etc/passwd data.sqlite"), "cannot be opened"),
        (runs("echo '-- other' >> schema.sql; sed -i s/fee/cost/ schema.sql"), "schema.sql"),
        (runs("printf '\\xff' >> schema.sql"), "no UTF-8"),
        (runs("python3 -c \"import sqlite3; d = sqlite3.connect('data.sqlite'); "
              "d.execute('DELETE FROM loans'); d.commit()\""), "has 36 rows"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_used(turn, words):
    model = ScriptedModel(("^Step 1", [*DATA[1], turn]))
    assert words in refusal(model, rounds=1)


# ---- budgets -------------------------------------------------------------------------------------


def test_model_that_never_stops_calling():
    model = ScriptedModel((".", [runs("echo again")] * 999))
    refusal(model, completions=3)
    assert len(model.bodies) == 6  # two rounds of three
    assert "You used all the messages of this round" in model.heard()[1]


@pytest.mark.parametrize(
    "budget, usage, words",
    [
        ({"tokens": 14_000}, True, "the budget of 14,000 tokens is used up"),
        ({"tokens": 20_000}, False, "the budget of 20,000 tokens is used up"),
        ({"cost": 0.015}, True, "the budget of 0.015 in money is used up"),
    ],
)
def test_budget_ends_it(budget, usage, words):
    model = ScriptedModel((".", [runs("echo again")] * 999), usage=usage)
    said = refusal(model, **budget)
    assert words in said
    assert 1 <= len(model.bodies) <= 4
    account = figures_of(said)
    assert account.completions == len(model.bodies)
    assert account.prompt_tokens + account.completion_tokens <= budget.get("tokens", 15_000)
    assert account.cost <= budget.get("cost", 1)


def test_completion_is_asked_to_be_no_longer_than_what_is_left():
    model = ScriptedModel()
    refusal(model, tokens=10_000, max_tokens=5_000, rounds=1)
    assert 64 <= model.bodies[0]["max_tokens"] < 5_000


def test_model_wants_the_newer_name_of_max_tokens():
    """And no seed, of which it speaks once the other is right."""
    model = ScriptedModel()
    plain, refused = model.answer, b'{"message": "Use \'%s\' instead."}'

    def answer(data):
        if b'"max_tokens"' in data:
            return 400, refused % b"max_completion_tokens"
        return (422, b'{"message": "no seed"}') if b'"seed"' in data else plain(data)

    model.answer = answer
    refusal(model, rounds=2, max_tokens=5_000)
    assert [body["max_completion_tokens"] for body in model.bodies] == [5_000, 5_000]
    assert model.requests == 4  # it is learnt once


# ---- the server's faults -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "faults, words",
    [
        ([500] * 9, "did not answer after 5 tries (status 500"),
        (["reset"] * 9, "did not answer after 5 tries"),
        ([401], "refused the request (status 401"),
        (["garbage"], "answered no JSON object"),
        (["empty"], "does not answer as a chat server does"),
    ],
)
def test_server_that_is_of_no_use(faults, words):
    assert words in refusal(ScriptedModel(DATA, faults=faults))


def test_server_that_stalls_costs_no_more_than_the_seconds():
    said = refusal(ScriptedModel(DATA, faults=["stall"]), seconds=1.0)
    assert "the budget of 1 s is used up" in said
    assert figures_of(said).prompt_tokens > 0  # it may have been paid for


def test_nobody_is_there(monkeypatch):
    monkeypatch.setattr("speciale.agents.http._TRIES", 2)
    with serving(ScriptedModel(faults=[200, 404, 401])) as url:
        author.check_server(url)
        author.check_server(url)  # without a list of models
        with pytest.raises(ConfigError, match="without a key"):
            author.check_server(url)
    with pytest.raises(ConfigError, match="does not answer"):
        author.check_server(url)
    with pytest.raises(Rejected, match="did not answer after 2 tries"):
        author.make(item(url))


def test_full_context_begins_a_new_conversation():
    """The files are all there, so the step goes on."""
    flood = runs("head -c 9000 /dev/zero | tr '\\0' 'x'")
    model = ScriptedModel(
        ("begun anew", DATA[1]), ("^Step 1", [flood, flood, flood]), longest=40_000
    )  # fmt: skip
    said = refusal(model)
    assert "beyond the step 'tools'" in said
    assert [len(body["messages"]) for body in model.bodies[:4]] == [2, 4, 6, 2]


def test_half_a_character_from_the_server():
    model = ScriptedModel(("^Step 1", [says("half a pair: \ud800"), says("again \udfff")]))
    assert "step 'data'" in refusal(model)
    assert len(model.bodies) == 2


def test_key_is_sent_and_never_told(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "sk-secret")
    model = ScriptedModel(faults=[])
    model.answer = lambda _: (401, b'{"error": "sk-secret is wrong"}')
    with serving(model) as url:
        work = next(author.items(url, "m", ["museum"], 1, api_key_env="SOME_KEY"))
        assert "sk-secret" not in json.dumps(work)
        with pytest.raises(Rejected) as refused:
            author.make(work)
    assert "401" in str(refused.value) and "sk-secret" not in str(refused.value)
    monkeypatch.delenv("SOME_KEY")
    with pytest.raises(ConfigError, match="SOME_KEY is not set"):
        author.make(work)


# ---- parts ---------------------------------------------------------------------------------------


class Texts:
    """A workshop's files without a sandbox."""

    def __init__(self, **task):
        self._task = task
        self.asked = []

    async def text(self, path):
        self.asked.append(path)
        return self._task.get(path.rpartition("/")[2], "pass\n")


GOOD = {"prompt": "Which?", "answer_schema": {"type": "object"}, "pattern": "one"}


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "cannot be read"),
        ("[]", "no object"),
        ('{"prompt": NaN}', "NaN is no JSON"),
        ("[" * 100_000, "cannot be read"),
        (json.dumps({**GOOD, "prompt": ""}), "prompt"),
        (json.dumps({**GOOD, "prompt": "x" * 7000}), "7,000 characters"),
        (json.dumps({**GOOD, "prompt": "half \ud800"}), "cannot be read"),
        (json.dumps({**GOOD, "solution": "x"}), "Extra inputs"),
        (json.dumps({**GOOD, "pattern": ""}), "have to be there"),
        ('{"prompt": ' + "9" * 5000 + "}", "cannot be read"),
    ],
)
def test_task_json_that_is_none(text, words):
    workshop = Texts(**{"task.json": text})
    task, faults = asyncio.run(checks.read_task(workshop, "003", 4, "002"))
    assert task is None and words in faults[0]
    assert workshop.asked == [f"tasks/003/{name}"
                              for name in ("task.json", "solution.py", "verify.py")]  # fmt: skip


@pytest.mark.parametrize(
    "path", ["tasks/../x", "../data.sqlite", "tasks/0000/task.json", "/work/tools.py", "tools.py\n"]
)
def test_no_other_file_is_read(path):
    with pytest.raises(ValueError, match="no file"):
        asyncio.run(Workshop(None, None).read(path))


def test_items_are_distinct_and_checked_at_once():
    url = "http://localhost:1/v1"
    three = list(itertools.islice(author.items(url, "m", ["travel", "shop"], 7), 3))
    assert [each["key"] for each in three] == [
        "travel-llm-7-000000", "shop-llm-7-000001", "travel-llm-7-000002",
    ]  # fmt: skip
    assert json.loads(json.dumps(three)) == three
    assert author_of(three[0]) == MAKE
    bad = [
        (("localhost", "m", ["a"], 1), {}, "http"),
        (("http://me:pw@host/v1", "m", ["a"], 1), {}, "credentials"),
        ((url, "m", ["Travel!"], 1), {}, "'Travel!'"),
        ((url, "m", [], 1), {}, "no category"),
        ((url, " ", ["a"], 1), {}, "no model"),
        ((url, "m", ["a"], 1), {"levels": 0}, "levels"),
        ((url, "m", ["a"], 1), {"flavour": "vanilla"}, "vanilla"),
        ((url, "m", ["a"], 1), {"api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
        ((url, "m", ["a"], 1), {"search": "/no/such/folder"}, "/no/such/folder"),
        ((url, "m", ["a"], 1), {"budget": {"cost": 1}}, "no prices"),
        ((url, "m", ["a"], 1), {"budget": {"tokens": -1}}, "tokens"),
        ((url, "m", ["a"], 1), {"budget": {"bananas": 1}}, "bananas"),
    ]
    for arguments, more, words in bad:
        with pytest.raises(ConfigError, match=words):
            author.items(*arguments, **more)
