"""The report of an RL run: what it shows, of broken and large files too, and of hostile text."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser

import pytest
from lifelike_run import DOMAINS, EVIL, NEW, evaluation_record, sample, step_record, write_run

from speciale.errors import DataError
from speciale.rl import report_records
from speciale.rl.report import write_report
from speciale.rl.report_records import read_records, read_samples
from speciale.rl.report_svg import Axes, Line, draw


class Page(HTMLParser):
    """The tags, attributes, text and scripts of a page."""

    VOID = ("meta", "use", "path", "rect", "br")

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.open, self.words = [], [], [], []
        self.inside = {"script": [], "style": []}
        self.feed(html)
        assert self.open == []
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        self.handle_startendtag(tag, attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        tag = self.open[-1] if self.open else ""
        self.inside.get(tag, self.words).append(data)


def lines(path, records, end=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + end)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of a whole run, drawn once: the figures are what takes time here."""
    folder = write_run(tmp_path_factory.mktemp("rl") / "mixed")
    return Page(write_report(folder).read_text("utf-8"))


def test_a_whole_run_shows_every_curve(whole):
    for title in (
        "pass@1, environments trained on", "pass@8, environments never trained on",
        "Reward by component", "Score by domain", "Sampled tokens of an attempt", "Entropy",
        "Clipped and masked", "KL from the reference", "Gap of sampler and trainer", "Staleness",
        "Gap without Keep Routing", "Routing agreement",
        "Tokens a second by phase", "Time of a step by phase", "Sampler busy",
        *(f"{source} ({domain})" for domain, sources in DOMAINS.items() for source in sources),
    ):  # fmt: skip
        assert title in whole.text
    assert whole.tags.count("svg") == 32 == whole.tags.count("figure")
    ids = [value for name, value in whole.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert "25.9 % → 54.6 % +28.7 points" in whole.text
    assert "19.6 % → 44.7 % +25.1 points" in whole.text


def test_the_page_is_one_file_whose_policy_names_its_own_code(whole):
    (policy,) = (v for _, v in whole.attributes if v and v.startswith("default-src 'none'"))

    def named(text):
        return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"

    data, script = whole.inside["script"]
    (style,) = whole.inside["style"]
    assert f"script-src {named(script)};" in policy and f"style-src-elem {named(style)};" in policy
    assert "unsafe" not in policy.replace("style-src-attr 'unsafe-inline'", "")
    assert (
        "innerHTML" not in script and "outerHTML" not in script and "document.write" not in script
    )
    assert not [v for name, v in whole.attributes if name in ("src", "onclick", "onerror")]
    links = [value for name, value in whole.attributes if name in ("href", "xlink:href")]
    assert all(link.startswith("#") for link in links)
    shown = json.loads(data)
    assert {task["task"].rpartition("#")[0] for task in shown} == {
        s for each in DOMAINS.values() for s in each
    }
    assert EVIL in shown[2]["steps"][0]["messages"][0]["content"]


def test_hostile_names_stay_text(tmp_path):
    hostile = {"domain": EVIL, "source": EVIL, "level": EVIL, "split": EVIL, "trained": True}
    row = {**hostile, "n": EVIL, "k": 8, "pass1": 0.5, "passk": EVIL}
    records = [{"kind": "eval", "step": 0, "rows": [row, "no row", None]}]
    records += [{"kind": "step", "step": 1, "reward": {EVIL: 1.0}, "domains": {EVIL: {"score": 1}}}]
    lines(tmp_path / "metrics.jsonl", records)
    lines(tmp_path / "run.json", [{"name": EVIL}])
    one = {"task": EVIL, "domain": EVIL, "messages": [{"role": EVIL}, EVIL], "parts": EVIL}
    lines(tmp_path / "samples.jsonl", [one | {"step": 0}, one | {"step": 1}])
    page = Page(write_report(tmp_path).read_text("utf-8"))
    assert "img" not in page.tags and page.tags.count("script") == 2
    assert "</script><img src=x" in page.text


def test_a_run_without_evaluations_or_samples_yet_says_so(tmp_path):
    lines(tmp_path / "metrics.jsonl", [{"kind": "step", "step": 1, "score": 0.5}])
    lines(tmp_path / "samples.jsonl", [])
    page = Page(write_report(tmp_path).read_text("utf-8"))
    assert "No evaluation has been recorded yet." in page.text
    assert "No task has samples of two evaluations yet." in page.text
    assert page.tags.count("script") == 0


def test_missing_files_are_said_with_what_to_do(tmp_path):
    with pytest.raises(DataError, match=r"metrics\.jsonl .*: give the folder that"):
        write_report(tmp_path)
    lines(tmp_path / "metrics.jsonl", [])
    with pytest.raises(DataError, match="holds no step and no evaluation yet: wait"):
        write_report(tmp_path)
    lines(tmp_path / "metrics.jsonl", [step_record(1)])
    with pytest.raises(DataError, match=r"samples\.jsonl .*: an evaluation writes it"):
        write_report(tmp_path)


def test_broken_lines_are_skipped_and_the_later_of_two_counts(tmp_path):
    text = "".join(json.dumps(step_record(step)) + "\n" for step in (1, 2))
    broken = 'nonsense\n[1]\n\n{"step": "x"}\n{"kind": "step"}\n{"kind": "step", "step": 9, "a'
    later = step_record(2) | {"score": None, "entropy": 9.0, "seconds": 1e3}
    (tmp_path / "metrics.jsonl").write_bytes(
        text.encode() + b"\xff\xfe\n" + json.dumps(later).encode() + b"\n" + broken.encode()
    )
    records = read_records(tmp_path)
    assert records.series("entropy") == ([1, 2], [step_record(1)["entropy"], 9.0])
    assert records.series("score")[0] == [1] and records.seconds == 1e3
    again = evaluation_record(0)["rows"][:1]
    two = [
        {"kind": "eval", "step": 0, "rows": rows} for rows in (evaluation_record(0)["rows"], again)
    ]
    lines(tmp_path / "metrics.jsonl", two)
    assert len(read_records(tmp_path).rows) == 1


def test_only_tasks_of_two_steps_are_shown_and_the_later_sample_of_a_step(tmp_path):
    def at(step, number, **more):
        return sample(step, "agents", "starter/lookup-chain", number) | more

    records = [at(0, 1), at(10, 1, score=0.1), at(10, 1, score=0.2), at(0, 2), {"step": 3}]
    lines(tmp_path / "samples.jsonl", records, '{"step": 20, "task": "starter/look')
    (only,) = read_samples(tmp_path)
    assert only["task"] == "starter/lookup-chain#1"
    assert [(each["step"], each["score"]) for each in only["steps"]] == [(0, 0.5), (10, 0.2)]


def test_large_files_are_cut_fairly(tmp_path, monkeypatch):
    monkeypatch.setattr(report_records, "TASKS", 6)
    records = []
    for step in range(0, 1000, 10):
        for domain, count in (("large", 20), ("little", 2)):
            for number in range(count if step < 20 or domain == "little" else 0):
                made = sample(step, domain, f"x/{domain}", number + 1)
                made["messages"][-1]["content"] = f"{step}" + "y" * 30_000 + "end"
                records.append(made)
    records += [sample(step, "large", "x/large", 20) for step in (20, 30)]
    lines(tmp_path / "samples.jsonl", records)
    shown = read_samples(tmp_path)
    assert shown[0]["task"] == "x/large#20"  # of the most steps
    assert [task["domain"] for task in shown] == ["large"] * 4 + ["little"] * 2
    steps = [each["step"] for each in shown[-1]["steps"]]
    assert len(steps) == report_records.COLUMNS and (steps[0], steps[-1]) == (0, 990)
    answer = shown[-1]["steps"][-1]["messages"][-1]["content"]
    assert answer.startswith("990y") and answer.endswith("yend") and len(answer) < 12_100
    assert "characters left out" in answer
    monkeypatch.setattr(report_records, "BYTES", 300_000)
    assert 1 <= len(read_samples(tmp_path)) < 6


def test_a_long_run_makes_no_larger_page():
    steps = range(20_000)
    noisy = Line("reward", steps, [step % 7 for step in steps])
    svg = draw("long", "a long line", [noisy], Axes(smooth=True))
    assert len(svg) < 40_000 and svg.count("var(--c0)") >= 2
    assert draw("none", "nothing", [Line("reward", [], [])], Axes()) is None


def test_the_environments_never_trained_on_stand_apart(whole):
    apart = whole.text.split("Environments never trained on")[-1].split("Reward by component")[0]
    for domain, sources in DOMAINS.items():
        for source in sources:
            assert (f"{source} ({domain})" in apart) is (source in NEW)
