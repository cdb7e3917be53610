"""Harnesses: what they wrote is read whole or not at all, and the relay makes no score of a fault.

`harness_output` was written by lm-eval 0.4.13 and Inspect 0.3.285, on three sums of which the
second was answered wrongly; only what nobody reads was cut out.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from harness_tasks import Oracle, completion
from starlette.responses import JSONResponse, Response

from speciale.agents import http
from speciale.agents.chat_server import ChatServer
from speciale.errors import ConfigError
from speciale.evals.attempts import Settings
from speciale.evals.evaluation import suite_named
from speciale.evals.harnesses import HARNESSES, harness, inspect_ai, lm_eval
from speciale.evals.harnesses.harness import Ask, Cell
from speciale.evals.harnesses.relay import Relay, listening
from speciale.evals.run import Request, run_eval
from speciale.evals.suites.suite import Choice
from speciale.evals.target import ServerOptions

OUTPUT = Path(__file__).parent / "harness_output"
RESULTS, SAMPLES, LOG = "results_lm_eval.json", "samples_sums_lm_eval.jsonl", "inspect.json"


class Heard:
    """A relay to which nothing happened."""

    def reason(self, text):
        return "it was down" if "MARK" in text else None

    def usage(self, sample, messages):
        assert messages[0]["role"] == "user"
        return 2, 7


@pytest.fixture
def ask(tmp_path):
    for path in OUTPUT.iterdir():
        shutil.copy(path, tmp_path)
    return Ask(Cell("sums.yaml", None), 0, "http://x/v1", "key", 3, 0.0, 16, 4, tmp_path)


def only(ask, *names):
    for path in ask.out.iterdir():
        if path.name not in names:
            path.unlink()
    return ask


def edit(path, change):
    """Changes a JSON file, or each line of it."""
    lines = path.suffix == ".jsonl"
    values = [json.loads(t) for t in path.read_text().splitlines()] if lines else None
    if values is None:
        values = [json.loads(path.read_text())]
    for value in values:
        change(value)
    path.write_text("\n".join(json.dumps(value) for value in values) + "\n")


def scores(docs):
    return [(doc.cell, doc.id, doc.score) for doc in docs]


def test_real_output_is_read(ask):
    docs = lm_eval.read(ask, Heard())
    assert scores(docs) == [("sums", "0", 1.0), ("sums", "1", 0.0), ("sums", "2", 1.0)]
    assert [doc.answer for doc in docs] == ["4", "no idea", "12"]
    assert all((doc.tokens, doc.prompt_tokens, doc.error) == (2, 7, None) for doc in docs)
    assert lm_eval.version(ask.out) == "0.4.13"
    docs = inspect_ai.read(only(ask, LOG), Heard())
    assert scores(docs) == [("sums", "1", 1.0), ("sums", "2", 0.0), ("sums", "3", 1.0)]
    assert [doc.answer for doc in docs] == ["4", "no idea", "12"]
    assert all((doc.tokens, doc.prompt_tokens, doc.error) == (2, 7, None) for doc in docs)
    assert inspect_ai.version(ask.out) == "0.3.285"


def test_samples_that_are_missing_are_not_measured(ask):
    path = ask.out / SAMPLES
    path.write_text(path.read_text()[:-100])  # the last line is torn
    docs = lm_eval.read(ask, Heard())
    assert [doc.score for doc in docs] == [1.0, 0.0, None] and "nothing of it" in docs[2].error
    path.unlink()
    assert [doc.score for doc in lm_eval.read(ask, Heard())] == [None] * 3
    edit(ask.out / LOG, lambda log: log["samples"].pop(0))
    docs = inspect_ai.read(only(ask, LOG), Heard())
    assert [doc.score for doc in docs] == [None, 0.0, 1.0] and "nothing of it" in docs[0].error


def test_samples_with_a_fault_are_not_measured(ask):
    def spoil(line):
        if line["doc_id"] == 1:
            line["resps"] = [["it says MARK"]]
        if line["doc_id"] == 2:
            line["exact_match"] = 17.5

    edit(ask.out / SAMPLES, spoil)
    docs = lm_eval.read(ask, Heard())
    assert [doc.score for doc in docs] == [1.0, None, None]
    assert docs[1].error == "it was down" and "exact_match is 17.5" in docs[2].error

    def damage(log):
        log["samples"][0] |= {"scores": None, "error": {"message": "400: MARK"}}
        log["samples"][1]["scores"]["match"]["value"] = float("nan")
        log["samples"][2]["scores"] = {}

    edit(ask.out / LOG, damage)
    docs = inspect_ai.read(only(ask, LOG), Heard())
    assert [doc.score for doc in docs] == [None] * 3
    assert docs[0].error == "it was down" and "no share" in docs[1].error


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_results_that_are_cut_off_are_said(ask, kept):
    for name, module in ((RESULTS, lm_eval), (LOG, inspect_ai)):
        path = ask.out / name
        path.write_text(path.read_text()[:kept])
        with pytest.raises(ConfigError, match=f"{name} is no whole result"):
            module.read(only(ask, RESULTS, SAMPLES) if name == RESULTS else ask, Heard())
        path.unlink()
        with pytest.raises(ConfigError, match="left no result"):
            module.read(ask, Heard())
        shutil.copy(OUTPUT / LOG, ask.out)


def test_a_run_that_inspect_ended_is_said(ask):
    edit(ask.out / LOG, lambda log: log.update(status="error", error={"message": "no such tool"}))
    with pytest.raises(ConfigError, match=r"could not finish sums.yaml \(no such tool"):
        inspect_ai.read(only(ask, LOG), Heard())


def test_another_score_is_named(ask):
    path = ask.out / SAMPLES
    edit(path, lambda line: line.update(metrics=["exact_match", "close"], close=0.25))
    path.write_text(
        path.read_text() + path.read_text().replace('"none"', '"last"').replace("1.0", "0.5")
    )

    def read(score):
        return scores(lm_eval.read(replace(ask, cell=Cell("sums.yaml", score)), Heard()))

    assert [score for *_, score in read(None)] == [1.0, 0.0, 1.0]
    assert read("last")[0] == ("sums#last", "0", 0.5)
    assert [score for *_, score in read("close")] == [0.25] * 3
    with pytest.raises(ConfigError, match="no score 'far': it has none, last, exact_match, close"):
        read("far")
    edit(ask.out / RESULTS, lambda r: r["higher_is_better"]["sums"].update(exact_match=False))
    with pytest.raises(ConfigError, match="better the lower it is"):
        read(None)
    only(ask, LOG)
    with pytest.raises(ConfigError, match="no score 'far': it has match"):
        inspect_ai.read(replace(ask, cell=Cell("sums.py", "far")), Heard())
    assert len(inspect_ai.read(replace(ask, cell=Cell("sums.py", "match")), Heard())) == 3


# ---- the relay ----------------------------------------------------------------------------------


def relayed(url, folder, *bodies, sample=0, in_words=False, key=None, settings=None):
    """The relay, and what it answered to these bodies one after the other."""

    async def work():
        async with ChatServer(url, "m", api_key="sk-theirs", flavour="deepseek") as model:
            relay = Relay(
                model, "digest", settings or Settings(max_tokens=20), folder / "answers.jsonl",
                concurrency=2, fails_in_words=in_words,
            )  # fmt: skip
            async with listening(relay) as address, httpx.AsyncClient() as client:
                headers = {"authorization": f"Bearer {key or relay.key}"}
                place = f"{address}/{sample}/v1/chat/completions"
                return relay, [
                    await client.post(place, json=body, headers=headers) for body in bodies
                ]

    return asyncio.run(work())


def asking(text, **more):
    return {"model": "model", "messages": [{"role": "user", "content": text}], **more}


def test_the_relay_asks_as_our_own_suites_do(tmp_path):
    oracle = Oracle()
    with oracle.serving() as url:
        body = asking("1 + 2?", max_tokens=500, temperature=0.5, stop=[], seed=1, tools=None)
        relay, [answer] = relayed(url, tmp_path, body)
        assert answer.json()["choices"][0]["message"]["content"] == "3"
        assert relay.usage(0, body["messages"]) == (2, 7) and relay.usage(1, []) == (None, None)
        relayed(url, tmp_path, asking("1 + 2?", max_completion_tokens=9), sample=1)
        relayed(url, tmp_path, asking("1 + 2?"), settings=Settings(seed=1, max_tokens=20))
    one, two, three = oracle.bodies
    assert one["max_tokens"] == 20 and two["max_tokens"] == 9
    assert "max_completion_tokens" not in two
    assert one["model"] == "m" and one["temperature"] == 0.5 and "stop" not in one
    assert one["thinking"] == {"type": "enabled"} and "tools" not in one
    assert len({one["seed"], two["seed"], three["seed"], 1}) == 4
    assert set(oracle.keys) == {"Bearer sk-theirs"}


def test_the_relay_keeps_answers_and_asks_nothing_twice(tmp_path):
    oracle, path = Oracle(), tmp_path / "answers.jsonl"
    with oracle.serving() as url:
        first = relayed(url, tmp_path, asking("1 + 2?"), asking("2 + 2?"))[1]
        path.write_bytes(path.read_bytes()[:-20])  # as a kill would
        again = relayed(url, tmp_path, asking("1 + 2?"), asking("2 + 2?"), asking("2 + 2?"))[1]
    assert [a.json() for a in again] == [first[0].json(), first[1].json(), first[1].json()]
    assert len(oracle.bodies) == 3
    # What is kept needs no server.
    relay, answers = relayed(url, tmp_path, asking("1 + 2?"), asking("2 + 2?"))
    assert all(a.is_success for a in answers) and not relay.failures


def test_the_relay_answers_nobody_else(tmp_path):
    oracle = Oracle()
    with oracle.serving() as url:
        [answer] = relayed(url, tmp_path, asking("1 + 2?"), key="guessed")[1]
    assert answer.status_code == 401 and not oracle.bodies
    assert "sk-theirs" not in "".join(p.read_text() for p in tmp_path.iterdir())


NONSENSE = [
    JSONResponse({"hello": "world"}),
    JSONResponse([1, 2]),
    JSONResponse({"choices": []}),
    JSONResponse({"choices": [{"message": {"content": 5}}]}),
    JSONResponse({"choices": [{"message": "yes"}]}),
    JSONResponse(completion("half", finish_reason="insufficient_system_resource")),
    Response("<html>It works!</html>"),
    JSONResponse({"error": "who are you"}, 401),
]


@pytest.mark.parametrize("nonsense", NONSENSE)
@pytest.mark.parametrize("in_words", [True, False])
def test_nonsense_is_no_answer(tmp_path, nonsense, in_words):
    oracle = Oracle(wrong=lambda _question: nonsense)
    with oracle.serving() as url:
        relay, [answer] = relayed(url, tmp_path, asking("1 + 2?"), in_words=in_words)
        assert answer.status_code == (200 if in_words else 400)
        assert url in relay.reason(answer.text) and relay.reason("4") is None
        oracle.wrong = lambda _question: None
        [answer] = relayed(url, tmp_path, asking("1 + 2?"))[1]  # it was not kept
    assert answer.json()["choices"][0]["message"]["content"] == "3"


def test_a_server_that_is_down_is_not_waited_for_by_all(tmp_path, monkeypatch):
    tries = []
    monkeypatch.setattr(http, "_WAIT_S", 0.0)
    post = http.Server.post
    monkeypatch.setattr(http.Server, "post", lambda *a: tries.append(a) or post(*a))
    bodies = [asking(f"{n} + {n}?") for n in range(5)]
    relay, answers = relayed("http://127.0.0.1:9/v1", tmp_path, *bodies)
    assert [a.status_code for a in answers] == [400] * 5 and len(tries) == 2
    assert all("127.0.0.1:9/v1 did not answer" in relay.reason(a.text) for a in answers)


STARTER = """
import asyncio, os, sys
from speciale.evals.harnesses.serving import started
async def work():
    code = "import os, time; print(os.getpid(), flush=True); time.sleep(99)"
    await (await started([sys.executable, "-c", code], os.environ)).wait()
asyncio.run(work())
"""


def test_a_harness_does_not_outlive_who_started_it():
    starter = subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True)
    with starter:
        child = int(starter.stdout.readline())
        starter.kill()
        # Its output is the starter's, and closes when the last who has it is gone.
        assert starter.stdout.read() == ""
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


# ---- what cannot be asked -----------------------------------------------------------------------


def request(name, cells=(), target="http://127.0.0.1:9/v1", **more):
    return Request(
        (target,), (name,), Choice(cells, 2), Settings(), ServerOptions(model="m"), **more
    )


def test_what_cannot_be_asked_is_said_before_anything_starts(monkeypatch, tmp_path):
    monkeypatch.setattr(harness.Harness, "program", lambda self: ["false"])
    for asked, words in (
        (request("lm-eval"), "no tasks by itself"),
        (request("inspect", ("no/such.py@sums",)), "names the file no/such.py, which is not there"),
        (request("lm-eval", ("gsm8k",), "oracle"), "oracle does not know the tasks of lm-eval"),
        (request("lm-eval", ("gsm8k",), budgets=(4,)), "leave --budgets out"),
    ):
        with pytest.raises(ConfigError, match=words):
            run_eval(asked)
    with pytest.raises(ConfigError, match=r"lm-eval \(tasks of lm-eval-harness"):
        suite_named("lmeval")
    with pytest.raises(ConfigError, match=r"lm_eval ended with status 1 on gsm8k \(it said"):
        run_eval(request("lm-eval", ("gsm8k",), out=tmp_path))


def test_a_harness_that_is_not_installed_is_said(monkeypatch):
    there = {"starlette", "uvicorn"}
    monkeypatch.setattr(harness, "find_spec", lambda name: name if name in there else None)
    monkeypatch.setattr(harness.shutil, "which", lambda name: None)
    for name, module in (("lm-eval", "lm_eval"), ("inspect", "inspect_ai")):
        with pytest.raises(ConfigError, match=f"{module}: run `pip install 'speciale.harness.'`"):
            run_eval(request(name, ("a",)))
    monkeypatch.setattr(harness.shutil, "which", lambda name: f"/bin/{name}")
    assert HARNESSES["inspect"].program() == ["/bin/inspect"]
    there.add("lm_eval")
    assert HARNESSES["lm-eval"].program()[1:] == ["-m", "lm_eval"]
    there.clear()
    with pytest.raises(ConfigError, match="needs starlette: run"):
        run_eval(request("lm-eval", ("a",)))
