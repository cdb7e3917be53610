"""lm-eval-harness and Inspect as they are, end to end: an oracle scores 1, a model what its own
answers give, and what breaks is asked again.

They need `pip install 'speciale[harness]'`, or `lm_eval` and `inspect` on PATH.
"""

import asyncio
import json

import pytest
from harness_tasks import SUMS, Oracle, write_tasks
from starlette.responses import JSONResponse

from model.configs import random_model, tiny_config
from speciale.agents import http
from speciale.chat.markers import EOS
from speciale.chat.tokenizer import save_tokenizer
from speciale.errors import ConfigError
from speciale.evals.attempts import Settings, read_records
from speciale.evals.harnesses.serving import NAME, served
from speciale.evals.run import Request, run_eval
from speciale.evals.suites.suite import Choice
from speciale.evals.target import ServerOptions
from speciale.model import save_model
from speciale.train.bpe import train_tokenizer

pytestmark = pytest.mark.slow
NAMES = ("lm-eval", "inspect")
KEY = "sk-nobody-may-see-this"


def evaluated(name, cells, target, out, model="m", **settings):
    """What is kept of it, and its records by task."""
    settings = Settings(**{"samples": 1, "max_tokens": 8, "temperature": 0.0, **settings})
    server = ServerOptions(model=model, concurrency=4, key_env="SUMS_KEY")
    run_eval(
        Request((str(target),), (name,), Choice((cells[name],), 20), settings, server, out=out)
    )
    records = read_records(out / "attempts" / f"{name}.jsonl").values()
    return json.loads((out / f"{name}.json").read_text()), {r.task: r for r in records}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("SUMS_KEY", KEY)
    monkeypatch.setattr(http, "_WAIT_S", 0.0)  # a server that is away is asked again at once


@pytest.mark.parametrize("name", NAMES)
def test_an_oracle_scores_one(name, tmp_path):
    oracle, cells = Oracle(), write_tasks(tmp_path, SUMS)
    with oracle.serving() as url:
        kept, _ = evaluated(name, cells, url, tmp_path / "out", samples=2, temperature=0.7)
    [row] = kept["rows"]
    assert (row["cell"], row["tasks"], row["samples"], row["pass1"]) == ("sums", 4, 2, 1.0)
    assert row["not_measured"] == 0 and row["tokens"] == 2
    assert kept["program"].startswith({"lm-eval": "lm_eval 0", "inspect": "inspect_ai 0"}[name])
    assert {body["temperature"] for body in oracle.bodies} == {0.7}
    assert len({body["seed"] for body in oracle.bodies}) == len(oracle.bodies) == 8
    assert set(oracle.keys) == {f"Bearer {KEY}"}
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or KEY.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("name", NAMES)
def test_what_breaks_is_not_measured_and_asked_again(name, tmp_path):
    """Down; then only half of it answers, the rest is nonsense; then all; then down again."""
    cells, out = write_tasks(tmp_path, SUMS), tmp_path / "out"
    with Oracle().serving() as url:
        pass
    with pytest.raises(ConfigError, match=rf"nothing could be measured of m: {url} did not answer"):
        evaluated(name, cells, url, out)
    assert not (out / f"{name}.json").exists()
    oracle = Oracle(lambda q: JSONResponse({"hello": 1}) if "is 1" in q or "is 2" in q else None)
    with oracle.serving() as url:
        kept, records = evaluated(name, cells, url, out)
        [row] = kept["rows"]
        assert (row["tasks"], row["pass1"], row["not_measured"]) == (2, 1.0, 2)
        assert len(records) == 2 and all(record.score == 1 for record in records.values())
        oracle.wrong, oracle.bodies = lambda _question: None, []
        [row] = evaluated(name, cells, url, out)[0]["rows"]
        assert (row["tasks"], row["pass1"], row["not_measured"]) == (4, 1.0, 0)
        assert len(oracle.bodies) == 2  # those that were missing
    assert evaluated(name, cells, url, out)[0]["rows"] == [row]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model of random weights that never ends by itself."""
    place = tmp_path_factory.mktemp("model")
    tokenizer = train_tokenizer(["What is 1 + 3? Find the number of 12 and 345." * 9], 320)
    model = random_model(tiny_config(vocab_size=tokenizer.get_vocab_size()))
    model.lm_head.weight.data[tokenizer.token_to_id(EOS)] = 0
    save_model(model, place)
    save_tokenizer(tokenizer, place)
    return place


def test_a_served_model_scores_what_its_own_answers_give(folder, tmp_path):
    """Asked directly, at temperature 0 and without thinking; half of what it says is made the
    right answer."""
    questions = [question for question, _ in SUMS]

    async def ask(server, question):
        body = {"model": NAME, "temperature": 0, "max_tokens": 8}
        body["messages"] = [{"role": "user", "content": question}]
        answer = await server.post("/chat/completions", body)
        return answer["choices"][0]["message"]["content"]

    async def work():
        async with served(folder, KEY) as url:
            server = http.Server(url, KEY)
            said = [await ask(server, question) for question in questions]
            await server.close()
            assert all(said) and len(set(said)) > 1, said
            right = [text if n % 2 else "no" for n, text in enumerate(said)]
            cells = write_tasks(tmp_path, list(zip(questions, right)))
            for name in NAMES:
                # In a thread, since a command has an event loop of its own.
                kept, records = await asyncio.to_thread(
                    evaluated, name, cells, url, tmp_path / name, model=NAME
                )
                assert [r.answer for _, r in sorted(records.items())] == said, name
                assert [r.score for _, r in sorted(records.items())] == [0, 1, 0, 1], name
                assert kept["rows"][0]["pass1"] == 0.5 and kept["rows"][0]["tokens"] == 8

    asyncio.run(work())


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_is_served_for_the_time_it_takes(name, folder, tmp_path):
    cells = write_tasks(tmp_path, SUMS)
    kept, records = evaluated(name, cells, folder, tmp_path / "out")
    [row] = kept["rows"]
    assert (row["tasks"], row["pass1"], row["not_measured"]) == (4, 0.0, 0)
    # It thinks to the end, as where our own suites ask it.
    assert all(record.answer == "" and record.tokens == 8 for record in records.values())
