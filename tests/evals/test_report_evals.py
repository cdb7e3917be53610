"""The page's evaluations, RL and token costs: the figures that reach each plot, what is said of
what is not there, damage, names that try to be markup."""

import json
import math

import pytest
from kept_runs import BUDGETS, TOKEN_COST, add_token_cost, keep, keep_all, row, write_rl
from matplotlib.figure import Figure
from test_report import Page, read, write_run

from speciale.evals.history import rl_runs, run_label
from speciale.evals.kept import read_kept
from speciale.evals.plots import effort, length, reinforcement, suites
from speciale.evals.report import write_report
from speciale.evals.rl_records import read_rl

PARTS = (
    "Token cost against position", "Evaluation", "Accuracy against thinking tokens",
    "Long context", "Reinforcement learning",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with everything, and an RL run in it that solves 0.3 more."""
    run = write_run(tmp_path_factory.mktemp("evaluated") / "laptop", [])
    add_token_cost(run)
    keep_all(run)
    keep_all(write_rl(run / "rl", "mixed", run), better=0.3)
    return run


@pytest.fixture(scope="module")
def html(run):
    return write_report(run).read_text(encoding="utf-8")


@pytest.fixture
def bare(tmp_path):
    return write_run(tmp_path / "bare", [])


@pytest.fixture
def drawn(monkeypatch, run):
    """What a page draws: the axes of each figure by its name."""
    found = {}

    def draw(name, size, label, paint):
        ax = Figure(figsize=size, layout="constrained").subplots()
        paint(ax)
        found[name] = ax
        return f"<svg><text>{name}</text></svg>"

    for module in (suites, effort, length, reinforcement):
        monkeypatch.setattr(module, "draw", draw)
    write_report(run)
    return found


def points(ax, label):
    """The points of a line by its name in the legend."""
    [line] = [line for line in ax.lines if line.get_label() == label]
    return [(float(x), round(float(y), 9)) for x, y in line.get_xydata()]


def words(ax):
    return [text.get_text() for text in ax.texts]


def part(html, title):
    """The text of a section."""
    [found] = [text for text in html.split("<section>") if f"<h2>{title}</h2>" in text]
    return Page(found.split("</section>")[0]).text


def test_pass1_of_both_runs_with_chance_and_no_dot_for_what_was_not_measured(drawn):
    ax = drawn["solved-0"]
    assert [x for x, _ in points(ax, "laptop")] == [0.5, 0.2, 0.35]
    assert [x for x, _ in points(ax, "mixed (rl)")] == pytest.approx([0.8, 0.5, 0.65])
    assert points(ax, "chance") == [(0.05, 0), (0.05, 1), (0.05, 2), (0.05, 3)]
    places = [tick.get_text() for tick in ax.get_yticklabels()]
    assert places == [
        "problems/gcd@1",
        "problems/count_bits@1",
        "reasoning-gym/lost@1",
        "all cells",
    ]
    assert words(ax) == ["not measured"] and ax.texts[0].xy[1] == 2
    bounds = [tuple(line.get_xdata()) for line in ax.lines if len(line.get_xdata()) == 2]
    assert (0.4, 0.6) in [tuple(map(float, each)) for each in bounds]


def test_pass_at_k_rises_from_pass1(drawn):
    ax = drawn["passk-0"]
    curve = points(ax, "laptop")
    assert [x for x, _ in curve] == [1, 2, 3, 4]
    assert [y for _, y in curve] == pytest.approx([1 - 0.65**k for k in (1, 2, 3, 4)])
    assert points(ax, "mixed (rl)")[0] == (1, 0.65)
    assert len(ax.lines) == 2  # of several runs no line a cell


def test_a_single_run_has_a_faint_line_a_cell(bare, drawn):
    keep_all(bare)
    drawn.clear()
    write_report(bare)
    assert len(drawn["passk-0"].lines) == 3  # two measured cells and all of them


def test_accuracy_over_thinking_leaves_a_gap_where_nothing_was_measured(drawn, html):
    ax = drawn["thinking-0"]
    assert points(ax, "laptop") == [(0, 0.1), (8, 0.18), (32, 0.42)]
    x, y = zip(*points(ax, "mixed (rl)"))
    assert x == BUDGETS and y[0] == pytest.approx(0.4) and math.isnan(y[1])
    assert "1 of the points could not be measured" in part(html, "Accuracy against thinking tokens")


def test_the_map_of_lengths_tells_zero_from_not_measured_and_not_asked(drawn):
    ax = drawn["length-0"]
    assert words(ax) == ["90 %", "90 %", "not\nmeasured", "0 %", "0 %"]
    shown = {text.get_text(): text.xy for text in ax.texts}
    assert shown["not\nmeasured"] == (2.5, 0.5)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1K", "2K", "4K"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["needle", "words"]
    dashed = [patch for patch in ax.patches if patch.get_linestyle() not in ("-", "solid")]
    filled = [patch for patch in ax.patches if patch not in dashed]
    assert len(dashed) == 1 and not dashed[0].get_fill()
    assert len(filled) == 8  # a ground and a colour each for the four that were measured
    assert sorted(patch.get_alpha() for patch in filled[1::2]) == pytest.approx([0, 0, 0.45, 0.45])


def test_rl_curves_are_the_recorded_ones(drawn):
    steps = [float(step) for step in range(1, 61)]
    reward = drawn["rl-0-reward"].lines[0]
    assert list(reward.get_xdata()) == steps
    assert list(reward.get_ydata()) == pytest.approx([step / 100 for step in steps])
    trained = points(drawn["rl-0-pass1"], "trained on")
    assert trained == [(0, 0.3), (20, 0.5), (40, 0.7), (60, 0.9)]
    assert points(drawn["rl-0-pass1"], "never trained on")[-1] == (60, 0.1)
    assert list(drawn["rl-0-length"].lines[0].get_ydata())[-1] == 110
    assert set(drawn) >= {f"rl-0-{name}" for name in ("entropy", "kl", "gap")}


def test_a_kl_without_a_reference_is_not_drawn_as_zero(tmp_path):
    records = read_rl(write_rl(tmp_path / "r", "r", tmp_path, steps=3, reference=False))
    found = dict(reinforcement.curves("r", records))
    assert found["KL from the reference"] is None and found["KL of sampler and trainer"]


def test_token_costs_in_milliseconds(drawn, html):
    ax = drawn["token-cost"]
    for name in ("sparse", "dense"):
        wanted = [(each["position"], round(1e3 * each[name], 9)) for each in TOKEN_COST["rows"]]
        assert points(ax, name) == wanted
    told = part(html, PARTS[0])
    assert "one thread" in told and "At position 4,096 dense takes 1.94 times" in told


def test_the_tables_say_every_figure(html):
    told = part(html, "Evaluation")
    assert "laptop: samples 4, temperature 1.0, seed 3" in told and "mixed (rl): samples" in told
    assert "problems/gcd@1 50.0 % 40.0–60.0 % 93.8 % (4) 5.0 % 20 0" in told
    assert "reasoning-gym/lost@1 not measured – – 5.0 % 0 80" in told
    assert "Not evaluated yet: agent, format, safety." in told


def test_the_whole_page_is_sound(html):
    page = Page(html)
    assert page.unclosed == [] and "not complete" not in page.text
    assert page.tags.count("svg") == 15  # 3 of results, 3 of suites, 1 of thinking, 2 maps, 6 of RL
    assert "needle@4096" in page.text and "token-cost-" in html


def test_each_missing_part_names_what_would_make_it(bare):
    html = write_report(bare).read_text()
    said = ("results.json holds no token costs", "speciale eval RUN --suite reasoning,agent",
            "--budgets 8,16,32,64", "--suite longctx", "speciale rl RECIPE")  # fmt: skip
    for title, sentence in zip(PARTS, said):
        told = part(html, title)
        assert sentence in told and ("Not " in told or "No " in told)


def test_a_run_that_lacks_what_the_other_has_is_named(bare):
    write_rl(bare / "rl", "mixed", bare, steps=0)
    keep(bare, "reasoning", "reasoning", [row("gcd@1", 0.5, samples=1)])
    keep(bare / "rl", "longctx", "longctx", [row("needle@1024", None)])
    html = write_report(bare).read_text()
    told = part(html, "Evaluation")
    assert "Not asked this suite: mixed (rl)." in told and "Not asked this suite: bare" not in told
    assert "No curve of pass@k is kept" in told and "Nothing of this suite could be" in told
    assert "Not asked this suite: laptop." in part(html, "Long context")
    assert "Not recorded: Reward, Sampled tokens" in part(html, "Reinforcement learning")


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", '{"rows": 3}', "[" * 100_000])
def test_a_damaged_evaluation_is_a_note(bare, text):
    keep(bare, "reasoning", "reasoning", [row("gcd@1", 0.5)])
    keep(bare, "agent", "agent", []).write_text(text)
    page = read(bare)
    assert "evals/agent.json is not a whole evaluation, so it is left out." in page.text
    assert "gcd@1 50.0 %" in page.text


@pytest.mark.parametrize(
    "value", ["text", [], {}, [[]], True, -1, 1e999, 7.5, [0.9, 0.1], [None, 2], "\ud800"]
)
def test_damaged_values_are_left_out_and_noted(bare, value):
    keys = row("x", 0.5)
    rows = [dict.fromkeys(keys, value), dict.fromkeys(keys, value) | {"cell": "needle@1024"}, value]
    rows += [row("gcd@1", 0.5), row("gcd@1", 0.4, budget=8) | {"interval": value}]
    rows += [dict.fromkeys(keys, value) | {"cell": "all", "budget": 8}]
    for name in ("reasoning", "longctx"):
        keep(bare, name, name, rows)
    write_rl(bare / "rl", "mixed", bare)
    lines = [{"kind": "step", "step": 1, "reward": value, "kl": value, "length": {"mean": value}},
             {"kind": "eval", "step": 0, "rows": [value, {"pass1": value}]},
             {"kind": "step", "step": value}]  # fmt: skip
    (bare / "rl" / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    add_token_cost(bare, {"rows": [dict.fromkeys(("position", "sparse", "dense"), value), value]})
    page = read(bare)
    assert page.unclosed == [] and "values cannot be right, left out" in page.text
    assert "gcd@1 50.0 %" in page.text


def test_a_share_above_one_is_no_figure(tmp_path):
    keep(tmp_path, "a", "a", [row("x", 0.5) | {"pass1": 1.2, "interval": [0.2, 1.3]}])
    notes = []
    [kept] = read_kept(tmp_path / "evals", notes)
    assert kept.rows[0].pass1 is None and kept.rows[0].interval is None
    assert kept.rows[0].passk == pytest.approx(0.9375)
    assert notes == ["evals/a.json: 3 of its values cannot be right, left out."]


def test_names_of_runs_cells_and_suites_are_text(bare):
    evil = "</style></svg><script>alert('x')</script>&\"$a^{$"
    keep(bare, "reasoning", evil, [row(evil, 0.5), row("b", 0.1), row("all", 0.3)])
    keep(bare, "budgets", evil, [row(evil, 0.5, budget=8)])
    keep(bare, "longctx", "longctx", [row(f"{evil}@1024", 0.5)])
    write_rl(bare / "rl", evil, bare, steps=2)
    keep_all(bare / "rl")
    keep(bare / "rl", evil.replace("/", "_"), "safety", []).write_text("{")
    html = write_report(bare).read_text()
    page = Page(html)
    assert "<script" not in html and page.unclosed == []
    assert page.text.count("<script>alert('x')</script>") >= 10
    assert page.text.count(evil[:27]) >= 1  # in the legends too, cut


def test_rl_runs_are_found_within_and_beside(tmp_path):
    run = write_run(tmp_path / "base", [])
    inside = write_rl(run / "rl", "rl", run / "elsewhere")
    beside = write_rl(tmp_path / "speciale", "speciale", run)
    after = write_rl(tmp_path / "then", "then", inside)
    write_rl(tmp_path / "lost", "lost", tmp_path / "no-such-run")
    write_rl(tmp_path / "other", "other", write_run(tmp_path / "base of others", []))
    (tmp_path / "plain").mkdir()
    assert rl_runs(run) == [inside, beside, after]
    assert [run_label(place) for place in (inside, beside)] == ["rl", "speciale"]


def test_an_rl_runs_resumed_step_counts_once(tmp_path):
    run = write_rl(tmp_path / "r", "r", tmp_path, steps=3)
    with open(run / "metrics.jsonl", "a") as file:
        file.write('{"kind": "step", "step": 2, "reward": {"mean": 9}}\n{"kind": "st')
    assert read_rl(run).curve("reward", "mean") == ([1, 2, 3], [0.01, 9, 0.03])
