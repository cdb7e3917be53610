"""The model card: what runs and evaluations recorded, and nothing that they did not."""

import json
import shutil

import pytest
import yaml
from test_report import write_run

from speciale.errors import CheckpointError
from speciale.evals.card import card, write_card
from speciale.evals.history import read_history


def row(cell, pass1, **more):
    return {
        "cell": cell, "tasks": 20, "samples": 4, "pass1": pass1,
        "interval": None if pass1 is None else [pass1 - 0.1, pass1 + 0.1], "k": 4, "passk": 0.9,
        "score": pass1, "chance": 0.1, "tokens": 30.0, "tokens_per_solved": 60.0,
        "cost_per_solved": None, "not_measured": 0, "budget": None, **more,
    }  # fmt: skip


def evaluation(suite, *rows):
    settings = {"seed": 3, "samples": 4, "temperature": 1.0}
    return json.dumps({"suite": suite, "rows": list(rows), "settings": settings})


@pytest.fixture
def base(tmp_path):
    run = write_run(tmp_path / "runs" / "base")
    (run / "recipe.toml").write_text(
        'name = "base"\n[data]\nsources = ["stdlib"]\ntext_megabytes = 1.5\ncontext = 768\n'
        "conversations = 900\nhasty_share = 0.5\nproblem_share = 0.85\nfamilies = { gcd = 1 }\n"
    )
    return run


@pytest.fixture
def trained(base, tmp_path):
    """An RL run behind it."""
    run = tmp_path / "runs" / "better"
    (run / "evals").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"name": "better", "command": "speciale rl mixed"}))
    (run / "recipe.toml").write_text(f'name = "better"\nmodel = "{base}"\n')
    lines = [
        {"kind": "eval", "rows": [{"domain": "math", "trained": True, "pass1": 0.25}]},
        {"kind": "step", "step": 1, "seconds": 90},
        {"kind": "eval", "rows": [{"domain": "math", "trained": True, "pass1": 0.75}]},
    ]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "evals" / "reasoning.json").write_text(
        evaluation("reasoning", row("gcd@1", 0.5), row("hard@1", 0.15), row("lost@1", None))
    )
    return run


def test_a_card_tells_of_all_runs_behind_a_model(trained):
    text = card(read_history(trained))
    assert text.index("dense pre-training") < text.index("**better**: 1 steps of reinforcement")
    assert "| math | yes | 1 | 25.0% | 75.0% |" in text and "1.5 minutes" in text
    assert "gcd (level 1)" in text and "50.0% leave out the steps" in text
    assert "more than 768 tokens" in text
    assert "`speciale speedrun --recipe laptop --set train.seed=0`" in text
    assert "`speciale rl mixed`" in text


def test_evaluations_stand_with_intervals_and_what_is_missing_is_said(trained):
    text = card(read_history(trained))
    assert "| gcd@1 | 20 | 50.0% | 40.0% to 60.0% | 90.0% (k = 4) | 10.0% | 60 |" in text
    assert "| lost@1 | 20 | not measured |" in text
    assert "Not told from guessing: reasoning: hard@1." in text
    assert "Not measured: agent, longctx, format, safety." in text


def test_a_past_that_a_run_holds_goes_before_one_of_the_same_name(trained, tmp_path, monkeypatch):
    """As in the package, whose model has its past in its own folder."""
    (trained / "recipe.toml").write_text('name = "better"\nmodel = "runs/base"\n')
    moved = shutil.copytree(trained, tmp_path / "elsewhere" / "better")
    write_run(moved / "runs" / "base")
    monkeypatch.chdir(tmp_path)  # where runs/base is another
    assert read_history(moved).runs[0].path.resolve() == (moved / "runs" / "base").resolve()
    shutil.rmtree(moved / "runs")
    assert read_history(moved).runs[0].path.resolve() == (tmp_path / "runs" / "base").resolve()


def test_of_budgets_only_the_whole_is_told(trained):
    rows = [row(cell, 0.2, budget=b) for b in (4, 8) for cell in ("gcd@1", "hard@1", "all")]
    (trained / "evals" / "reasoning-budgets.json").write_text(evaluation("reasoning", *rows))
    text = card(read_history(trained))
    assert text.index("| gcd@1 |") < text.index("| all, 4 tokens of thinking |")
    assert "| all, 8 tokens of thinking |" in text and "gcd@1, 4 tokens" not in text


def test_nothing_solved_has_no_price(trained):
    nothing = row("gcd@1", 0.0, tokens_per_solved=None, interval=[0.0, 0.1])
    (trained / "evals" / "reasoning.json").write_text(evaluation("reasoning", nothing))
    assert "| 0.0% | 0.0% to 10.0% | 90.0% (k = 4) | 10.0% | none solved |" in card(
        read_history(trained)
    )


def test_the_block_for_the_hub_is_yaml(trained):
    _, block, _ = card(read_history(trained)).split("---\n", 2)
    data = yaml.safe_load(block)
    [model] = data["model-index"]
    assert [each["metrics"][0]["value"] for each in model["results"]] == [0.5, 0.15]
    assert model["name"] == "laptop + better"
    assert model["results"][0]["dataset"] == {"name": "gcd@1", "type": "reasoning"}


def test_a_bare_folder_gets_a_card_that_says_what_is_missing(tmp_path):
    (tmp_path / "bare").mkdir()
    text = write_card(tmp_path / "bare").read_text()
    assert "Stages: not recorded." in text and "Not measured: `speciale eval` writes it." in text
    with pytest.raises(CheckpointError, match="no run folder"):
        write_card(tmp_path / "nowhere")


def test_broken_files_are_left_out(trained):
    (trained / "evals" / "agent.json").write_text("{")
    bad = [{"pass1": "much"}, 7, {"cell": "odd@1", "interval": 3, "tasks": [], "chance": 2}]
    (trained / "evals" / "format.json").write_text(json.dumps({"suite": "format", "rows": bad}))
    with open(trained / "metrics.jsonl", "a") as file:
        file.write('{"kind": "eval", "ro')
    text = card(read_history(trained))
    assert "| math | yes | 1 | 25.0% | 75.0% |" in text
    assert "| odd@1 | not recorded | not measured |" in text
