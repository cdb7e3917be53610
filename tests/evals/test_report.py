"""The report page: what it shows of a whole run, of a part of one, and of hostile text."""

import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from speciale.errors import CheckpointError
from speciale.evals.records import accuracy, read_run, run_totals, series, totals
from speciale.evals.report import write_report

STAGES = {"pretrain": 300, "warmup": 40, "sparse": 120, "sft": 80}  # steps
TOKENS = 4096  # a step
LAYERS, EXPERTS = 4, 16


def train_line(stage: str, step: int, before: int) -> dict:
    """One line with smooth made-up curves. before: steps of the stages before."""
    loss = 2.1 + 4.0 * math.exp(-(before + step) / 90) + 0.05 * math.sin(step)
    line = {"kind": "train", "stage": stage, "step": step, "tokens": step * TOKENS, "lr": 1e-3}
    line |= {"grad_norm": 1.2, "tokens_per_second": 5000.0, "mfu": 0.45, "seconds": step * 0.8}
    if stage != "warmup":
        line |= {"loss": loss, "mtp_loss": loss + 0.25}
    if stage in ("warmup", "sparse"):
        done = step if stage == "warmup" else step + STAGES["warmup"]
        line["indexer_kl"] = 0.05 + 1.5 * math.exp(-done / 20)
    if step % 20 == 0:
        raw = [[1 + 0.5 * math.sin(e * (la + 1)) for e in range(EXPERTS)] for la in range(LAYERS)]
        line["expert_load"] = [[value / sum(row) for value in row] for row in raw]
    return line


def metrics() -> list[dict]:
    lines, before = [], 0
    for stage, steps in STAGES.items():
        for step in range(10, steps + 1, 10):
            lines.append(train_line(stage, step, before))
            if step % 40 == 0:
                valid = {"kind": "valid", "stage": stage, "step": step}
                if stage != "warmup":
                    valid["loss"] = lines[-1]["loss"] + 0.02
                if stage in ("warmup", "sparse"):
                    valid["recall"] = [0.4 + 0.1 * layer + step / 1000 for layer in range(LAYERS)]
                lines.append(valid)
        summary = {"kind": "stage", "stage": stage, "seconds": steps * 0.8, "steps": steps}
        summary |= {"tokens": steps * TOKENS, "flops": steps * 6.4e10, "mfu": 0.46}
        lines.append(summary | {"peak_memory_mb": 1800})
        before += steps
    return lines


def results() -> dict:
    cells = [(f, m) for f in ("chain_sum", "letter_counting", "gcd") for m in ("chat", "thinking")]
    return {
        "attention": {
            "context": 512,
            "k": 64,
            "loss": {"dense": 2.51, "sparse": 2.52, "window": 2.71},
            "tokens": 65536,
        },
        "problems": [
            {"family": f, "level": 1, "mode": m, "n": 100, "trained": 0.5 + 0.08 * i,
             "untrained": 0.01 * i}
            for i, (f, m) in enumerate(cells)
        ],
        "samples": [
            {"mode": "thinking", "prompt": "What is 12 + 7 - 4?",
             "reasoning": "12 + 7 = 19.\n19 - 4 = 15.", "content": "15", "expected": "15"},
            {"mode": "chat", "prompt": "Say <b>hi</b>", "reasoning": "",
             "content": "<script>alert(1)</script><img src=x onerror=alert(2)>", "expected": "hi"},
        ],
    }  # fmt: skip


def write_run(path: Path, lines: list[dict] | None = None) -> Path:
    """A whole synthetic run folder at `path`."""
    path.mkdir(parents=True, exist_ok=True)
    (path / "recipe.toml").write_text('name = "laptop"\n[train]\nlearning_rate = 1e-3\n')
    info = {
        "name": "laptop",
        "command": "speciale speedrun --recipe laptop --set train.seed=0",
        "seed": 0,
        "version": "0.1.0",
        "machine": "AMD EPYC, 2 threads",
        "threads": 2,
        "python": "3.11.7",
        "torch": "2.13.0",
        "peak_gflops": 113.2,
        "started": 1764547200,
        "parameters": {"total": 5.1e6, "active": 3.4e6},
        "config": {"hidden_size": 192, "num_hidden_layers": 5, "index_topk": 64},
    }
    (path / "run.json").write_text(json.dumps(info))
    text = "".join(json.dumps(line) + "\n" for line in (metrics() if lines is None else lines))
    (path / "metrics.jsonl").write_text(text)
    (path / "results.json").write_text(json.dumps(results()))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> str:
    """The page of a whole run, drawn once: the figures are what takes time here."""
    return write_report(write_run(tmp_path_factory.mktemp("whole"))).read_text(encoding="utf-8")


class Page(HTMLParser):
    """The tags, attributes and text of a page; `unclosed` is left empty by a balanced one."""

    VOID = ("meta", "use", "path", "rect", "br")

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.attributes, self.unclosed, self.words = [], [], [], []
        self.feed(html)
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.unclosed.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.unclosed.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(run: Path) -> Page:
    return Page(write_report(run).read_text(encoding="utf-8"))


def test_a_whole_run_shows_every_part(whole):
    page = Page(whole)
    assert page.tags.count("svg") == 8  # loss twice: wide and narrow
    assert page.unclosed == []
    for figure in ("5.1 M", "3.4 M active", "2.21 M", "7 min 12 s", "46.0 %", "1,800 MB"):
        assert figure in page.text
    assert "+0.40 %" in page.text  # 2.52 / 2.51 - 1
    assert "70.0 %" in page.text and "2.5 % before training" in page.text
    assert "0.24" in page.text  # core-hours: 432 s x 2 threads / 3600
    assert "learning_rate = 1e-3" in page.text
    assert "speciale speedrun --recipe laptop --set train.seed=0" in page.text
    assert "not complete" not in page.text


def test_the_page_loads_nothing_and_colours_follow_the_page(whole):
    html, page = whole, Page(whole)
    assert not {"script", "link", "img", "iframe", "object", "embed"} & set(page.tags)
    for name, value in page.attributes:
        assert name != "src" and not name.startswith("on")
        assert not name.endswith("href") or value.startswith("#")
    assert not re.search(r"url\((?!#)|@import|https?:", html)
    assert "default-src 'none'" in html
    svg = html[html.index("<svg") : html.rindex("</svg>")]
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    used = set(re.findall(r"var\((--\w+)\)", html))
    assert {"--ink", "--accent"} <= used
    dark = html[html.index("prefers-color-scheme") :]
    assert all(f"{name}:" in html and f"{name}:" in dark for name in used)


def test_svg_ids_are_unique_and_links_land(whole):
    ids = re.findall(r'\sid="([^"]+)"', whole)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', whole)) <= set(ids)


def test_the_same_run_gives_the_same_bytes_and_no_other_file(run, whole):
    before = set(run.iterdir())
    path = write_report(run)
    assert path == run / "report.html" and path.read_text() == whole
    assert set(run.iterdir()) - before == {path}


def test_all_text_is_escaped(run):
    evil = "</style></svg><script>alert('x')</script>&\"$a^{$"
    info = json.loads((run / "run.json").read_text())
    info |= dict.fromkeys(("name", "command", "seed", "version", "machine", "torch"), evil)
    info["config"] = {evil: evil}
    (run / "run.json").write_text(json.dumps(info))
    (run / "recipe.toml").write_text(evil)
    found = results()
    found["problems"][0] |= {"family": evil, "mode": evil, "level": evil}
    found["samples"] = [dict.fromkeys(("mode", "prompt", "reasoning", "content", "expected"), evil)]
    (run / "results.json").write_text(json.dumps(found))
    lines = [line | {"stage": evil} for line in metrics() if line["stage"] == "pretrain"]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)))
    html = write_report(run).read_text()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 15
    page = Page(html)
    assert page.unclosed == []
    # Every part keeps its text as text, in the figures too: title, recipe, samples, axis labels.
    assert page.text.count("<script>alert('x')</script>&\"$a^{$") >= 15


def test_samples_of_a_model_are_text(run, whole):
    text = Page(whole).text
    assert "<script>alert(1)</script><img src=x onerror=alert(2)>" in text
    assert "Say <b>hi</b>" in text
    (run / "metrics.jsonl").unlink()  # fewer figures to draw
    found = results()
    # Half a surrogate pair has no UTF-8 bytes; the page must be written all the same.
    found["samples"] = [{"prompt": "p", "reasoning": "r" * 5000, "content": "\ud83d end"}]
    (run / "results.json").write_text(json.dumps(found))
    html = write_report(run).read_text(encoding="utf-8")
    assert "? end" in html
    assert '<details class="thinking"><summary>Thinking, 5,000 characters' in html  # folded


@pytest.mark.parametrize(
    "absent, said",
    [
        ("recipe.toml", "recipe.toml is not there yet"),
        ("run.json", "run.json is not there yet"),
        ("metrics.jsonl", "No stage has written a metrics line yet"),
        ("results.json", "No samples yet"),
    ],
)
def test_each_missing_file_is_said(tmp_path, absent, said):
    run = write_run(tmp_path, [train_line("pretrain", 10, 0)])
    (run / absent).unlink()
    page = read(run)
    assert said in page.text
    assert f"{absent} is not there yet" in page.text
    assert page.unclosed == []


def test_an_empty_folder_still_makes_a_page(tmp_path):
    page = read(tmp_path)
    assert tmp_path.name in page.text and "svg" not in page.tags
    assert page.text.count("not there yet") >= 4


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"no run folder at .*absent"):
        write_report(tmp_path / "absent")


def test_a_killed_run_with_a_cut_last_line(run):
    lines = [line for line in metrics() if line["stage"] != "sft"][:-1]  # sparse has no summary
    text = "\n".join(map(json.dumps, lines))
    (run / "metrics.jsonl").write_text(text[:-25])
    (run / "results.json").unlink()
    page = read(run)
    assert "last line of metrics.jsonl is cut off" in page.text
    assert "Stage 'sparse' has not ended" in page.text and "(not ended)" in page.text
    stages = read_run(run).stages
    assert [stage.name for stage in stages] == ["pretrain", "warmup", "sparse"]
    last = totals(stages[-1])
    assert last["steps"] == stages[-1].train[-1]["step"] and last["flops"] is None


def test_the_first_lines_of_a_run(tmp_path):
    write_run(tmp_path, [train_line("pretrain", 10, 0)])
    (tmp_path / "results.json").unlink()
    page = read(tmp_path)
    assert page.tags.count("svg") == 2  # one loss figure in two sizes
    assert "No indexer KL yet" in page.text and "No expert load" in page.text


@pytest.mark.parametrize("value", ["null", "[]", "7", '"text"', '{"a": ', "", "[" * 100_000])
def test_files_of_the_wrong_form(run, value):
    for name in ("run.json", "results.json", "metrics.jsonl"):
        (run / name).write_text(value)
    assert "run.json is not a complete JSON object" in read(run).text


@pytest.mark.parametrize("value", [None, [], {}, "text", [[]], [None], [1, [2]], math.nan, True])
def test_values_of_the_wrong_form(run, value):
    lines = metrics()
    kept = ("kind", "stage", "step")
    bad = [{key: line[key] if key in kept else value for key in line} for line in lines]
    bad.append({"kind": value, "stage": value, "step": value})
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, bad)))
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(dict.fromkeys(info, value)))
    found = results()
    for wrong in (  # the third draws bars, from its one sound number
        dict.fromkeys(found, value),
        {"attention": dict.fromkeys(found["attention"], value), "problems": [value],
         "samples": [value]},
        {"attention": {"loss": {"dense": value, "sparse": 2.5}},
         "problems": [dict.fromkeys(found["problems"][0], value)],
         "samples": [dict.fromkeys(found["samples"][0], value)]},
    ):  # fmt: skip
        (run / "results.json").write_text(json.dumps(wrong))
        assert read(run).unclosed == []


def test_one_token_axis_runs_through_the_stages(run):
    pretrain, warmup, sparse, sft = read_run(run).stages
    assert [s.start / TOKENS for s in (pretrain, warmup, sparse, sft)] == [0, 300, 340, 460]
    x, _ = series(sparse, sparse.train, "loss")
    assert (x[0], x[-1]) == (350 * TOKENS, 460 * TOKENS)
    assert series(warmup, warmup.train, "loss") == ([], [])
    valid, _ = series(sparse, sparse.valid, "loss")  # placed by step: 40, 80, 120
    assert valid == [380 * TOKENS, 420 * TOKENS, 460 * TOKENS]
    sparse.valid[0]["step"] = 44  # between two train lines
    assert series(sparse, sparse.valid, "loss")[0][0] == 384 * TOKENS


def test_a_resumed_stage_counts_each_step_once(tmp_path):
    first = [train_line("pretrain", step, 0) | {"loss": 9.0} for step in (10, 20, 30)]
    again = [train_line("pretrain", step, 0) for step in (20, 30, 40)]
    (stage,) = read_run(write_run(tmp_path, first + again)).stages
    assert [row["step"] for row in stage.train] == [10, 20, 30, 40]
    assert [row["loss"] == 9.0 for row in stage.train] == [True, False, False, False]


def test_means_are_weighted(tmp_path):
    ends = [("pretrain", 300.0, 0.4), ("sft", 100.0, 0.2)]
    lines = [
        {"kind": "stage", "stage": s, "seconds": t, "mfu": m, "tokens": 1000} for s, t, m in ends
    ]
    whole = run_totals(read_run(write_run(tmp_path, lines)))
    assert whole["mfu"] == pytest.approx(0.35)
    assert whole["tokens_per_second"] == pytest.approx(5.0)
    rows = [{"n": 300, "trained": 0.5}, {"n": 100, "trained": 0.9}, {"n": 100, "trained": None}]
    assert accuracy(rows, "trained") == pytest.approx(0.6)
    assert accuracy(rows, "untrained") is None


def test_a_deep_wide_model_keeps_the_page_small(tmp_path):
    line = train_line("pretrain", 10, 0) | {"expert_load": [[1 / 256] * 256] * 58}
    line = {key: line[key] for key in line if key != "loss"}
    path = write_report(write_run(tmp_path, [line]))
    assert path.stat().st_size < 2_500_000
    assert "Load of 256 experts in 58 MoE layers" in path.read_text()


def test_the_report_imports_no_torch():
    code = (
        "import sys, speciale.evals.report; "
        "print([m for m in ('torch', 'matplotlib', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
